//! OAuth client authentication (RFC 6749 section 2.3): exactly one mechanism a request, as configured, never
//! chosen from metadata.
//!
//! An assertion (RFC 7523 section 2.2) is made anew for each request: servers refuse a `jti` that they have
//! seen, so that a second attempt with the first one's would look like wrong credentials.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use super::assertion::{Assertion, Signed};
use super::call::Call;
use super::http::Http;
use super::setup::{ProviderSetupError, Setup};
use super::signer::Signer;
use crate::config::{BasicEncoding, ClientAuth, ClientConfig, Secret};
use crate::outcome::Answer;
use crate::target::{PresentedToken, TokenTypeHint};

/// What a form takes beside the values of its fields: their names and the client. What has to be escaped, no
/// character of a JWT, takes more.
const FORM_BYTES: usize = 256;
/// RFC 7523 section 2.2: `client_assertion_type`
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

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
    /// An assertion, or a secret that is one.
    Signed(Box<Assertion>),
    /// None in the request: a public client, or one that the certificate of the connection shows.
    None,
}

/// What a client shows of itself in one request.
pub(super) struct Shown(Option<Signed>);

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
            ClientAuth::None | ClientAuth::Tls | ClientAuth::SelfSignedTls => Proof::None,
            ClientAuth::SecretPost => Proof::Post(secret()?),
            ClientAuth::SecretBasic => basic(setup, &config.id, secret()?, encoding)?,
            ClientAuth::SecretJwt => {
                Proof::Signed(Box::new(Assertion::of_client(setup, config, Signer::secret(&secret()?))))
            }
            ClientAuth::PrivateKeyJwt => Proof::Signed(Box::new(Assertion::by_private_key(setup, config)?)),
        };
        Ok(Self { id: config.id.clone(), proof })
    }

    /// A client that shows an assertion, or a secret that is a JWT.
    pub(super) fn with_assertion(id: &str, assertion: Assertion) -> Self {
        Self { id: id.to_owned(), proof: Proof::Signed(Box::new(assertion)) }
    }

    /// What it shows to `url` in one request.
    pub(super) fn show(&self, http: &Http, url: &Url) -> Result<Shown, Answer> {
        match &self.proof {
            Proof::Signed(assertion) => assertion.sign(http, url).map(|signed| Shown(Some(signed))),
            Proof::Basic { .. } | Proof::Post(_) | Proof::None => Ok(Shown(None)),
        }
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
        shown: &'a Shown,
    ) -> Call<'a> {
        let token = token.token.expose();
        let hint = hint.map(|hint| ("token_type_hint", hint.as_str()));
        self.post(url, [("token", token)].into_iter().chain(hint), shown).secrets([token])
    }

    /// A form POST that asks for a token of the client's own (RFC 6749 section 4.4.2), with `more` fields.
    pub(super) fn grant<'a>(
        &'a self,
        url: &'a Url,
        more: impl Iterator<Item = (&'a str, &'a str)> + Clone,
        shown: &'a Shown,
    ) -> Call<'a> {
        self.post(url, [("grant_type", "client_credentials")].into_iter().chain(more), shown)
    }

    fn post<'a>(
        &'a self,
        url: &'a Url,
        fields: impl Iterator<Item = (&'a str, &'a str)> + Clone,
        shown: &'a Shown,
    ) -> Call<'a> {
        let call = Call::new(Method::POST, url).form(self.form(fields, shown));
        match &self.proof {
            Proof::Basic { header, encoded, secret } => {
                call.header(AUTHORIZATION, header.clone()).secrets([secret.expose(), encoded.as_str()])
            }
            Proof::Post(secret) => call.secrets([secret.expose()]),
            Proof::Signed(_) => call.secrets(shown.0.iter().map(|signed| signed.jwt.as_str())),
            Proof::None => call,
        }
    }

    /// Sized once: growing would leave copies of a token behind.
    fn form<'a>(&'a self, fields: impl Iterator<Item = (&'a str, &'a str)> + Clone, shown: &Shown) -> String {
        let signed = shown.0.as_ref().map_or(0, |signed| signed.jwt.len());
        let form_bytes = FORM_BYTES + signed + fields.clone().map(|(_, value)| value.len()).sum::<usize>();
        let mut form = Serializer::new(String::with_capacity(form_bytes));
        match &self.proof {
            Proof::Basic { .. } => {}
            Proof::Post(secret) => {
                form.append_pair("client_id", &self.id).append_pair("client_secret", secret.expose());
            }
            Proof::Signed(_) | Proof::None => {
                form.append_pair("client_id", &self.id);
            }
        }
        match &shown.0 {
            Some(Signed { jwt, is_secret: true }) => {
                form.append_pair("client_secret", jwt);
            }
            Some(Signed { jwt, is_secret: false }) => {
                form.append_pair("client_assertion_type", ASSERTION_TYPE)
                    .append_pair("client_assertion", jwt);
            }
            None => {}
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
