//! OAuth client authentication (RFC 6749 section 2.3): exactly one mechanism a request, as configured, never
//! chosen from metadata.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use super::call::Call;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{BasicEncoding, ClientAuth, ClientConfig, Secret};
use crate::target::{PresentedToken, TokenTypeHint};

/// What a form takes beside the values of its fields: their names and the client. What has to be escaped, no
/// character of a JWT, takes more.
const FORM_BYTES: usize = 256;

/// An OAuth client as it shows itself to the provider.
pub(super) struct Client {
    id: String,
    proof: Proof,
}

enum Proof {
    /// The credentials in base64, as they stand after `Basic `, and the secret itself for scrubbing.
    Basic {
        header: HeaderValue,
        encoded: Zeroizing<String>,
        secret: Secret,
    },
    Post(Secret),
    None,
}

impl Client {
    /// The client of `config`; a method that needs a secret is refused without one.
    pub(super) fn new(
        setup: &Setup<'_>,
        config: &ClientConfig,
        encoding: BasicEncoding,
    ) -> Result<Self, ProviderSetupError> {
        let secret = || {
            config.secret.clone().ok_or_else(|| {
                setup.refuse("client_secret", r#"is missing; set it, or client_auth = "none""#)
            })
        };
        let proof = match config.auth {
            ClientAuth::None => Proof::None,
            ClientAuth::SecretPost => Proof::Post(secret()?),
            ClientAuth::SecretBasic => basic(setup, &config.id, secret()?, encoding)?,
        };
        Ok(Self { id: config.id.clone(), proof })
    }

    /// Its id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// A form POST about `token`, authenticated.
    pub(super) fn call<'a>(
        &'a self,
        url: &'a Url,
        token: &'a PresentedToken,
        hint: Option<TokenTypeHint>,
    ) -> Call<'a> {
        let token = token.token.expose();
        let hint = hint.map(|hint| ("token_type_hint", hint.as_str()));
        self.post(url, [("token", token)].into_iter().chain(hint)).secrets([token])
    }

    /// A form POST that asks for a token of the client's own (RFC 6749 section 4.4.2).
    pub(super) fn grant<'a>(&'a self, url: &'a Url, scope: Option<&'a str>) -> Call<'a> {
        let scope = scope.map(|scope| ("scope", scope));
        self.post(url, [("grant_type", "client_credentials")].into_iter().chain(scope))
    }

    fn post<'a>(
        &'a self,
        url: &'a Url,
        fields: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Call<'a> {
        let call = Call::new(Method::POST, url).form(self.form(fields));
        match &self.proof {
            Proof::Basic { header, encoded, secret } => {
                call.header(AUTHORIZATION, header.clone()).secrets([secret.expose(), encoded.as_str()])
            }
            Proof::Post(secret) => call.secrets([secret.expose()]),
            Proof::None => call,
        }
    }

    /// Sized once: growing would leave copies of a token behind.
    fn form<'a>(&'a self, fields: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> String {
        let form_bytes = FORM_BYTES + fields.clone().map(|(_, value)| value.len()).sum::<usize>();
        let mut form = Serializer::new(String::with_capacity(form_bytes));
        match &self.proof {
            Proof::Basic { .. } => {}
            Proof::Post(secret) => {
                form.append_pair("client_id", &self.id).append_pair("client_secret", secret.expose());
            }
            Proof::None => {
                form.append_pair("client_id", &self.id);
            }
        }
        form.extend_pairs(fields).finish()
    }
}

fn basic(
    setup: &Setup<'_>,
    id: &str,
    secret: Secret,
    encoding: BasicEncoding,
) -> Result<Proof, ProviderSetupError> {
    let pair = Zeroizing::new(match encoding {
        BasicEncoding::Raw => format!("{id}:{}", secret.expose()),
        BasicEncoding::Rfc6749 => format!("{}:{}", form_encoded(id), form_encoded(secret.expose())),
    });
    let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    let header = sensitive_header(&format!("Basic {}", encoded.as_str()));
    let header = header.ok_or_else(|| setup.refuse("client_secret", "cannot stand in an HTTP header"))?;
    Ok(Proof::Basic { header, encoded, secret })
}

/// A header value that is left out of Debug output; `None` where it holds control characters.
pub(super) fn sensitive_header(value: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_bytes(value.as_bytes()).ok()?;
    header.set_sensitive(true);
    Some(header)
}

fn form_encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}
