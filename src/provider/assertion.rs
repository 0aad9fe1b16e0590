//! JWTs by which a client shows itself: assertions (RFC 7523 sections 2.2 and 3), and client secrets that are
//! JWTs.

use serde::Serialize;
use url::Url;
use zeroize::Zeroizing;

use super::http::Http;
use super::setup::{ProviderSetupError, Setup};
use super::signer::{Key, Signer};
use crate::config::{ClientConfig, KindConfig};
use crate::outcome::Answer;

/// How long one is good, seconds: it is made for one request.
const LIFETIME_S: i64 = 60;

/// How a client signs what it shows.
pub(super) struct Assertion {
    signer: Signer,
    issuer: String,
    subject: String,
    /// `None`: the address that is called.
    audience: Option<String>,
    is_secret: bool,
}

/// What is shown in one request.
pub(super) struct Signed {
    pub(super) jwt: Zeroizing<String>,
    /// Whether it goes where a client's secret goes.
    pub(super) is_secret: bool,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
}

impl Assertion {
    /// What the client of `config` signs.
    pub(super) fn of_client(setup: &Setup<'_>, config: &ClientConfig, signer: Signer) -> Self {
        let audience = config.assertion.audience.clone().or_else(|| audience(setup));
        Self { audience, ..Self::of(signer, &config.id) }
    }

    /// The same with the client's private key.
    pub(super) fn by_private_key(
        setup: &Setup<'_>,
        config: &ClientConfig,
    ) -> Result<Self, ProviderSetupError> {
        let setting = "client_private_key";
        let assertion = &config.assertion;
        let text = assertion.key.as_ref().ok_or_else(|| setup.refuse(setting, "is missing; set it"))?;
        let (id, algorithm) = (assertion.key_id.as_deref(), assertion.algorithm);
        let key =
            Key { id, algorithm, certificate: assertion.certificate.as_deref(), ..Key::new(setting, text) };
        Ok(Self::of_client(setup, config, Signer::private(setup, key)?))
    }

    /// What the client `id` signs for the address that it calls.
    pub(super) fn of(signer: Signer, id: &str) -> Self {
        let [issuer, subject] = [id, id].map(str::to_owned);
        Self { signer, issuer, subject, audience: None, is_secret: false }
    }

    /// A client secret that is a JWT of `issuer`.
    pub(super) fn secret(signer: Signer, issuer: &str, subject: &str, audience: &str) -> Self {
        let [issuer, subject, audience] = [issuer, subject, audience].map(str::to_owned);
        Self { signer, issuer, subject, audience: Some(audience), is_secret: true }
    }

    /// One for a request to `url`.
    pub(super) fn sign(&self, http: &Http, url: &Url) -> Result<Signed, Answer> {
        let now = http.clock().now().unix_timestamp();
        let claims = Claims {
            iss: &self.issuer,
            sub: &self.subject,
            aud: self.audience.as_deref().unwrap_or(url.as_str()),
            iat: now,
            exp: now + LIFETIME_S,
            jti: jti(),
        };
        Ok(Signed { jwt: self.signer.sign(&claims)?, is_secret: self.is_secret })
    }
}

/// A name that no other JWT has.
pub(super) fn jti() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Whom assertions are for where no setting says it. `None`: the address that is called, which is what Okta
/// and Entra ask for.
fn audience(setup: &Setup<'_>) -> Option<String> {
    let issuer = setup.config.issuer.clone();
    match &setup.config.kind {
        KindConfig::Okta(_) | KindConfig::Entra(_) => None,
        KindConfig::Keycloak(kind) => {
            issuer.or_else(|| Some(format!("{}/realms/{}", kind.base_url, kind.realm)))
        }
        _ => issuer,
    }
}
