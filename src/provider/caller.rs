//! A caller of Global Token Revocation that shows a JWT of its own signing, as Okta does and Auth0 asks for:
//! `typ` `global-token-revocation+jwt`, `aud` exactly the endpoint's address, five minutes of life.

use std::time::Duration;

use serde_json::json;

use super::assertion::jti;
use super::bearer::Bearer;
use super::http::Http;
use super::setup::{ProviderSetupError, Setup};
use super::signer::{Key, Signer};
use crate::config::{CallerConfig, KindConfig};
use crate::outcome::{Answer, Verdict};

/// How long one is good, seconds.
const LIFETIME_S: i64 = 300;

/// Who signs.
pub(super) struct Caller {
    signer: Signer,
    issuer: String,
    subject: String,
    audience: String,
}

impl Caller {
    /// The caller of `config`.
    pub(super) fn new(setup: &Setup<'_>, config: &CallerConfig) -> Result<Self, ProviderSetupError> {
        let setting = "caller_private_key";
        let (id, algorithm) = (config.key_id.as_deref(), config.algorithm);
        let signer = Signer::private(setup, Key { id, algorithm, ..Key::new(setting, &config.key) })?;
        let audience = match &setup.config.kind {
            KindConfig::GlobalTokenRevocation(kind) => kind.endpoint.clone(),
            _ => None,
        };
        let audience = audience.ok_or_else(|| {
            setup.refuse("global_token_revocation_endpoint", "is missing: it is the aud of the caller's JWT")
        })?;
        let (issuer, subject) = (config.issuer.clone(), config.subject.clone());
        Ok(Self { signer: signer.typed("global-token-revocation+jwt"), issuer, subject, audience })
    }

    /// A JWT for one attempt: it is never kept, because a receiver may refuse a `jti` that it has seen.
    pub(super) fn sign(&self, http: &Http) -> Result<Bearer, Answer> {
        let now = http.clock().now().unix_timestamp();
        let jwt = self.signer.sign(&json!({
            "iss": self.issuer, "sub": self.subject, "aud": self.audience,
            "iat": now, "exp": now + LIFETIME_S, "jti": jti(),
        }))?;
        let bearer = Bearer::new("Bearer", jwt.to_string(), Some(Duration::ZERO));
        bearer.ok_or_else(|| Answer::failed(Verdict::Misconfigured, None, "the JWT cannot stand in a header"))
    }
}
