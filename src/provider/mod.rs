//! Identity providers: the only user of reqwest. One file per kind, each with a pure `classify` from response to [`Answer`].

mod baanx;
mod client_auth;
mod discovery;
mod fault;
mod genauth;
mod http;
mod introspect;
mod reply;
mod rfc7009;
mod scrub;
mod setup;

use std::sync::Arc;

use reqwest::Method;
use url::Url;

pub use self::setup::ProviderSetupError;

use self::baanx::Baanx;
use self::genauth::Genauth;
use self::http::{Call, Http};
use self::rfc7009::Rfc7009;
use self::setup::Setup;
use crate::config::{KindConfig, ProviderConfig, Verify};
use crate::outcome::{Answer, Proof, Verdict};
use crate::target::{Kind, PresentedToken, Target};

/// One configured provider, with its own connections and credentials. It cannot be printed.
pub struct Provider {
    name: Arc<str>,
    http: Http,
    dialect: Dialect,
    verify: Verify,
}

enum Dialect {
    Rfc7009(Box<Rfc7009>),
    Genauth(Box<Genauth>),
    Baanx(Box<Baanx>),
}

impl Provider {
    /// Builds the client; reads `ca_file` and touches no network. An error names the setting (`providers.main.client_secret`).
    pub fn new(name: Arc<str>, config: &ProviderConfig) -> Result<Provider, ProviderSetupError> {
        let setup = Setup { name: &name, config };
        let dialect = match &config.kind {
            KindConfig::Rfc7009(kind) => Dialect::Rfc7009(Box::new(Rfc7009::new(&setup, kind)?)),
            KindConfig::Genauth(kind) => Dialect::Genauth(Box::new(Genauth::new(&setup, kind)?)),
            KindConfig::Baanx(_) if config.verify == Verify::Introspect => {
                return Err(setup.refuse("verify", r#"is "introspect", but kind "baanx" has no introspection; remove it"#));
            }
            KindConfig::Baanx(kind) => Dialect::Baanx(Box::new(Baanx::new(&setup, kind)?)),
        };
        let http = Http::new(&setup)?;
        Ok(Provider { name, http, dialect, verify: config.verify })
    }

    /// The `<name>` of `[providers.<name>]`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether there is a call for this target at all.
    pub fn supports(&self, target: &Target) -> bool {
        self.supports_kind(target.selector.kind())
    }

    /// Whether there is a call for targets of this kind.
    pub fn supports_kind(&self, kind: Kind) -> bool {
        match self.dialect {
            Dialect::Rfc7009(_) | Dialect::Genauth(_) | Dialect::Baanx(_) => kind == Kind::Token,
        }
    }

    /// How many requests an attempt at `target` makes in the usual case.
    pub fn calls_per_attempt(&self, _target: &Target) -> u32 {
        if self.verify == Verify::Introspect { 2 } else { 1 }
    }

    /// One attempt at `target`: one revocation request, and an introspection request where `verify` asks for it and the provider said yes.
    ///
    /// Never panics. Each request is bounded by `timeout`; an attempt that also has to discover both endpoints makes at most six.
    /// `error` is set on every failure, and on a success that leaves something for a person to know.
    pub async fn revoke(&self, target: &Target) -> Answer {
        let Some(token) = target.token() else {
            return unsupported(target.selector.kind());
        };
        let answer = match &self.dialect {
            Dialect::Rfc7009(server) => server.revoke(&self.http, token).await,
            Dialect::Genauth(application) => application.revoke(&self.http, token).await,
            Dialect::Baanx(environment) => environment.revoke(&self.http, token).await,
        };
        match (self.verify, answer.verdict) {
            (Verify::Introspect, Verdict::Done(Proof::Accepted)) => self.verify(token, answer).await,
            _ => answer,
        }
    }

    /// For `check`: reaches the provider without changing anything there. One sentence either way.
    pub async fn probe(&self) -> Result<String, String> {
        let described = match &self.dialect {
            Dialect::Rfc7009(server) => server.describe(&self.http, self.verify).await,
            Dialect::Genauth(_) | Dialect::Baanx(_) => None,
        };
        let probed = match (described, self.endpoint()) {
            (Some(Err(failure)), _) => Err(failure),
            (Some(Ok(found)), None) => Ok(found),
            (_, Some(url)) => self.reach(url).await,
            (None, None) => Ok(format!("provider {} has nothing to reach", self.name)),
        };
        probed.map_err(|failure| failure.error.unwrap_or_default())
    }

    async fn verify(&self, token: &PresentedToken, accepted: Answer) -> Answer {
        match &self.dialect {
            Dialect::Rfc7009(server) => server.verify(&self.http, token, accepted).await,
            Dialect::Genauth(application) => application.verify(&self.http, token, accepted).await,
            Dialect::Baanx(_) => accepted,
        }
    }

    fn endpoint(&self) -> Option<&Url> {
        match &self.dialect {
            Dialect::Rfc7009(server) => server.configured(),
            Dialect::Genauth(application) => Some(application.configured()),
            Dialect::Baanx(environment) => Some(environment.configured()),
        }
    }

    // HEAD on the root: no OAuth server acts on it, and any response at all proves address, port and certificate.
    async fn reach(&self, url: &Url) -> Result<String, Answer> {
        let mut root = url.clone();
        root.set_path("/");
        root.set_query(None);
        let reply = self.http.send(Call::new(Method::HEAD, &root)).await?;
        Ok(format!("{} answered {}: the host is reached; credentials are proven by the first revocation only", reply.what, reply.status))
    }
}

fn unsupported(kind: Kind) -> Answer {
    let error = Some(format!("the provider has no call that revokes a {}; it is denied locally until it expires", kind.as_str()));
    Answer { verdict: Verdict::Unsupported, http_status: None, error, retry_after: None }
}
