//! Identity providers, and what else is called by HTTP: the only user of reqwest. One file a kind, with a
//! pure `classify` from response to [`Answer`] and its `Dialect`, or with the calls that it declares.

mod address;
mod apple;
mod assertion;
mod auth0;
mod authentik;
mod baanx;
mod bearer;
mod bearers;
mod body;
mod call;
mod caller;
mod certificate;
mod clerk;
mod client_auth;
mod cognito;
#[cfg(feature = "otlp")]
mod collector;
mod declared;
mod dialect;
mod discovery;
mod entra;
mod failure;
mod fault;
mod firebase;
mod fusionauth;
mod genauth;
mod github;
mod global_token_revocation;
mod google;
mod grant;
mod http;
mod hydra;
mod introspect;
mod jwk;
mod key_source;
mod keycloak;
mod kinds;
mod lenient;
mod markup;
mod normal;
mod oauth;
mod okta;
mod private;
mod probe;
mod remarks;
mod reply;
mod reset;
mod rfc7009;
mod scrub;
mod service_account;
mod set_poll;
mod setup;
mod signer;
mod sigv4;
mod slack;
mod ssf_streams;
mod supabase;
mod traced;
mod unreadable;
mod workos;
mod zitadel;

use std::sync::Arc;

use reqwest::Method;
use url::Url;

#[cfg(feature = "otlp")]
pub use self::collector::collector;
pub use self::key_source::KeySource;
pub use self::probe::Probed;
pub use self::remarks::remarks;
pub use self::set_poll::SetPoll;
pub use self::setup::ProviderSetupError;
pub use self::ssf_streams::{SsfError, SsfStreams, Transmitter};

use self::body::Body;
use self::call::Call;
use self::dialect::Dialect;
use self::http::Http;
use self::kinds::dialect;
use self::reply::Reply;
use self::setup::Setup;
use self::unreadable::Unreadable;
use crate::clock::Clock;
use crate::config::{ProviderConfig, Verify};
use crate::outcome::{Answer, Proof, Verdict};
use crate::target::{Kind, PresentedToken, Scope, Selector, Target};
use crate::trace::{Spans, Trace};

/// One configured provider, with its own connections and credentials. It cannot be printed.
pub struct Provider {
    name: Arc<str>,
    http: Http,
    dialect: Box<dyn Dialect>,
    verify: Verify,
    unreadable: Unreadable,
}

impl Provider {
    /// Builds the client; reads `ca_file` and touches no network. An error names the setting
    /// (`providers.main.client_secret`).
    pub fn new(name: Arc<str>, config: &ProviderConfig) -> Result<Provider, ProviderSetupError> {
        let setup = Setup { name: &name, config };
        let dialect = dialect(&setup)?;
        let http = Http::new(&setup)?;
        Ok(Provider { name, http, dialect, verify: config.verify, unreadable: Unreadable::default() })
    }

    /// The same, with the time of another clock.
    #[must_use]
    pub fn by(self, clock: Clock) -> Self {
        Self { http: self.http.by(clock), ..self }
    }

    /// The same, with spans of its requests.
    #[must_use]
    pub fn traced_by(self, spans: Spans) -> Self {
        Self { http: self.http.traced_by(spans), ..self }
    }

    /// The clock that it looks at.
    pub fn clock(&self) -> &Clock {
        self.http.clock()
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
        self.dialect.calls(kind) > 0
    }

    /// How many HTTP requests an attempt at `target` makes in the usual case, both introspections included; 0
    /// where there is no call for it.
    ///
    /// An attempt makes more where it has to get metadata or a bearer first, and at Keycloak one for each
    /// client that holds offline tokens of a subject.
    pub fn calls_per_attempt(&self, target: &Target) -> u32 {
        let calls = self.dialect.calls(target.selector.kind());
        let verifies = calls > 0 && self.verify == Verify::Introspect && target.token().is_some();
        calls + 2 * u32::from(verifies)
    }

    /// One attempt at `target`: the requests that revoke it and, where `verify` asks for it and it is a
    /// token, an introspection before them and, where the provider said yes, another after them.
    ///
    /// Never panics. Each request is bounded by `timeout`; [`Self::calls_per_attempt`] tells how many there
    /// are. What takes several requests is done when all were accepted; else all of them are made again by
    /// the next attempt. `error` is set on every failure, and on a success that leaves something for a person
    /// to know.
    pub async fn revoke(&self, target: &Target) -> Answer {
        self.revoke_over(&self.http, target).await
    }

    /// The same with requests that carry the trace that they are a part of, each as a span of its own.
    pub async fn revoke_within(&self, trace: Option<Trace>, target: &Target) -> Answer {
        match trace {
            Some(trace) => self.revoke_over(&self.http.within(trace), target).await,
            None => self.revoke(target).await,
        }
    }

    async fn revoke_over(&self, http: &Http, target: &Target) -> Answer {
        let answer = match (self.verify, &target.selector) {
            (Verify::Introspect, Selector::Token(token)) => self.end_between_looks(http, target, token).await,
            _ => self.dialect.end(http, target).await,
        };
        let answer = answer.unwrap_or_else(|| unsupported(target.selector.kind()));
        self.unreadable.count(target, answer)
    }

    /// Whether a person has to look at `target`, because attempt after attempt was answered by what is no
    /// readable HTTP.
    pub fn is_unreadable(&self, target: &Target) -> bool {
        self.unreadable.is_enough(target)
    }

    /// Whatever the first look brings, the revocation is sent.
    async fn end_between_looks(
        &self,
        http: &Http,
        target: &Target,
        token: &PresentedToken,
    ) -> Option<Answer> {
        let before = introspect::first(self.dialect.look(http, token)).await;
        let answer = self.dialect.end(http, target).await?;
        match answer.verdict {
            Verdict::Done(Proof::Accepted) => {
                Some(introspect::conclude(answer, before, self.dialect.look(http, token).await))
            }
            // Only a look can say that it is not.
            Verdict::Done(Proof::AlreadyInvalid) => match self.dialect.look(http, token).await {
                introspect::Look::Active(contradiction) => Some(contradiction),
                _ => Some(answer),
            },
            _ => Some(answer),
        }
    }

    /// Whether [`Self::try_credentials`] has a request to make.
    pub fn has_probe(&self, scope: Scope) -> bool {
        self.dialect.has_probe(scope)
    }

    /// Tries the credentials of calls for tokens, or of wide ones, with a request that names no target and
    /// changes nothing; `None` where the kind has none.
    ///
    /// Bounded as an attempt is; not among [`Self::calls_per_attempt`].
    pub async fn try_credentials(&self, scope: Scope) -> Option<Probed> {
        self.dialect.try_credentials(&self.http, self.verify, scope).await
    }

    /// For `check`: reaches the provider and tries the credentials, without changing anything there. One
    /// sentence either way.
    pub async fn probe(&self) -> Result<String, String> {
        let described = self.dialect.describe(&self.http, self.verify).await.transpose();
        let mut sentences: Vec<String> = described.map_err(told)?.into_iter().collect();
        let mut seen: Vec<url::Origin> = Vec::new();
        for url in self.dialect.addresses() {
            if !seen.contains(&url.origin()) {
                seen.push(url.origin());
                sentences.push(self.reach(url).await.map_err(told)?);
            }
        }
        for (scope, calls) in [(Scope::Token, "tokens"), (Scope::Wide, "sessions and subjects")] {
            sentences.extend(self.tried(scope, calls).await?);
        }
        Ok(sentences.join("; "))
    }

    /// What came of trying the credentials of calls for tokens, or of wide ones; `None` where there are none.
    async fn tried(&self, scope: Scope, calls: &str) -> Result<Option<String>, String> {
        let kinds: &[Kind] = match scope {
            Scope::Token => &[Kind::Token],
            Scope::Wide => &[Kind::Session, Kind::Subject, Kind::Client],
        };
        if !kinds.iter().any(|kind| self.supports_kind(*kind)) {
            return Ok(None);
        }
        match self.try_credentials(scope).await {
            Some(Probed::Accepted) => Ok(Some(format!("the credentials for {calls} are accepted"))),
            Some(Probed::Refused { answer, .. })
                if scope == Scope::Wide && self.dialect.has_admin_unasked() =>
            {
                Ok(Some(format!("{calls} cannot be ended: {}", told(answer))))
            }
            Some(Probed::Refused { answer, plainly: true }) => Err(told(answer)),
            // Some servers refuse whatever they do not know, whoever asks.
            Some(Probed::Refused { answer, plainly: false }) => Err(format!(
                "{}; if revocations succeed all the same, the server refuses unknown tokens and this can be \
                    ignored",
                told(answer)
            )),
            Some(Probed::Unanswered(answer)) => Err(told(answer)),
            Some(Probed::Nothing) | None => {
                Ok(Some(format!("the credentials for {calls} are proven by the first revocation only")))
            }
        }
    }

    // HEAD on the root: no OAuth server acts on it, and any response proves address, port and certificate.
    async fn reach(&self, url: &Url) -> Result<String, Answer> {
        let mut root = url.clone();
        root.set_path("/");
        root.set_query(None);
        let reply = self.http.send(Call::new(Method::HEAD, &root)).await?;
        Ok(format!("{} answered {}: the host is reached", reply.what, reply.status))
    }
}

/// What an OAuth server's response to a revocation means (`kind = "rfc7009"`), for benchmarks.
#[doc(hidden)]
pub fn classify(endpoint: &Url, status: u16, content_type: Option<&str>, body: &[u8]) -> Answer {
    let (what, _, secrets) = Call::new(Method::POST, endpoint).into_parts();
    let body = Body::read(body, content_type, None);
    rfc7009::classify(&Reply { what, status, body, location: None, retry_after: None, secrets })
}

fn told(failure: Answer) -> String {
    failure.error.unwrap_or_default()
}

fn unsupported(kind: Kind) -> Answer {
    let (kind, until) = (kind.as_str(), "it is denied locally until it expires");
    let why = format!("the provider has no call that revokes a {kind}; {until}");
    Answer::failed(Verdict::Unsupported, None, why)
}
