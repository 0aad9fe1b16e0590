//! The bearer of administrative calls: kept until shortly before its end, and got anew, once an attempt,
//! where the provider refuses it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderValue};
use url::Url;
use zeroize::Zeroizing;

use super::call::Call;
use super::client_auth::sensitive_header;
use super::genauth::AccessKey;
use super::grant::Grant;
use super::http::Http;
use super::reply::Reply;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{BearerConfig, Secret};
use crate::outcome::{Answer, Verdict};

/// Lifetime of a token that comes without one (RFC 6749 section 5.1 recommends to say it).
const UNSAID_LIFETIME: Duration = Duration::from_secs(60);
/// Most of its life that a token is not used for, so that it does not end under way.
const LONGEST_MARGIN: Duration = Duration::from_secs(30);

/// A token that authorizes administrative calls.
pub(super) struct Bearer {
    token: Zeroizing<String>,
    header: HeaderValue,
    until: Option<Instant>,
    denied: AtomicBool,
}

impl Bearer {
    /// The token, which is used for `lifetime` less a margin; `None`: for ever. Fails where it cannot stand
    /// in a header.
    pub(super) fn new(scheme: &str, token: String, lifetime: Option<Duration>) -> Option<Self> {
        let token = Zeroizing::new(token);
        let header = sensitive_header(&Zeroizing::new(format!("{scheme} {}", token.as_str())))?;
        let until = lifetime.map(|lifetime| Instant::now() + usable(lifetime));
        Some(Self { token, header, until, denied: AtomicBool::new(false) })
    }

    /// The token itself.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Sends `call` with this token. A 401 tells that the token is no longer good.
    pub(super) async fn send<'a>(&'a self, http: &Http, call: Call<'a>) -> Result<Reply<'a>, Answer> {
        let reply =
            http.send(call.header(AUTHORIZATION, self.header.clone()).secrets([self.token.as_str()])).await?;
        if reply.status == 401 {
            self.deny();
        }
        Ok(reply)
    }

    /// Remembers that the provider refuses this token.
    pub(super) fn deny(&self) {
        self.denied.store(true, Relaxed);
    }

    fn is_denied(&self) -> bool {
        self.denied.load(Relaxed)
    }

    fn is_good(&self) -> bool {
        !self.is_denied() && self.until.is_none_or(|until| Instant::now() < until)
    }
}

/// How long of `lifetime` a token is used: all but 30 s, and at least half.
fn usable(lifetime: Duration) -> Duration {
    lifetime.saturating_sub(LONGEST_MARGIN).max(lifetime / 2)
}

/// The lifetime that a server states in seconds.
pub(super) fn lifetime(expires_in: Option<u64>) -> Duration {
    // A year at most: no clock overflows.
    expires_in.map_or(UNSAID_LIFETIME, |seconds| Duration::from_secs(seconds.min(365 * 24 * 60 * 60)))
}

/// Where bearers come from.
pub(super) enum Source {
    /// The settings.
    Fixed(Arc<Bearer>),
    /// The token endpoint, by client credentials.
    Grant(Grant),
    /// GenAuth's management API, by access key.
    AccessKey(AccessKey),
}

impl Source {
    /// The source that the settings name.
    pub(super) fn new(setup: &Setup<'_>, config: &BearerConfig) -> Result<Self, ProviderSetupError> {
        match config {
            BearerConfig::Fixed(token) => Self::fixed(setup, "bearer_token", "Bearer", token),
            BearerConfig::Granted(config) => Ok(Self::Grant(Grant::new(setup, config)?)),
        }
    }

    /// A token that does not end.
    pub(super) fn fixed(
        setup: &Setup<'_>,
        setting: &str,
        scheme: &str,
        token: &Secret,
    ) -> Result<Self, ProviderSetupError> {
        let bearer = Bearer::new(scheme, token.expose().to_owned(), None);
        let bearer = bearer.ok_or_else(|| setup.refuse(setting, "cannot stand in an HTTP header"))?;
        Ok(Self::Fixed(Arc::new(bearer)))
    }
}

/// The bearer of one provider's administrative calls.
pub(super) struct Bearers {
    source: Source,
    kept: RwLock<Option<Arc<Bearer>>>,
}

impl Bearers {
    /// None is got before it is needed.
    pub(super) fn new(source: Source) -> Self {
        Self { source, kept: RwLock::new(None) }
    }

    /// Runs `attempt` with the bearer; once more with a new one where the provider refused one that had been
    /// kept.
    ///
    /// All of the attempt is repeated, so each of its calls must be one that may come twice.
    pub(super) async fn lend<F: Future<Output = Result<Answer, Answer>>>(
        &self,
        http: &Http,
        attempt: impl Fn(Arc<Bearer>) -> F,
    ) -> Answer {
        self.attempt_twice(http, attempt).await.unwrap_or_else(|failure| failure)
    }

    async fn attempt_twice<F: Future<Output = Result<Answer, Answer>>>(
        &self,
        http: &Http,
        attempt: impl Fn(Arc<Bearer>) -> F,
    ) -> Result<Answer, Answer> {
        let kept = self.kept();
        let first = self.or_new(http, kept.clone()).await?;
        let answer = attempt(Arc::clone(&first)).await;
        if kept.is_none() || !first.is_denied() {
            return answer;
        }
        attempt(self.or_new(http, self.kept()).await?).await
    }

    /// Where bearers are got, if that is elsewhere.
    pub(super) fn endpoint(&self) -> Option<&Url> {
        match &self.source {
            Source::Grant(grant) => Some(grant.endpoint()),
            Source::Fixed(_) | Source::AccessKey(_) => None,
        }
    }

    fn kept(&self) -> Option<Arc<Bearer>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner).clone();
        kept.filter(|bearer| bearer.is_good())
    }

    /// `kept`, else a new one. No lock is held meanwhile: attempts that come together each ask.
    async fn or_new(&self, http: &Http, kept: Option<Arc<Bearer>>) -> Result<Arc<Bearer>, Answer> {
        let bearer = match (kept, &self.source) {
            (Some(bearer), _) => return Ok(bearer),
            (None, Source::Fixed(bearer)) => return Ok(Arc::clone(bearer)),
            (None, Source::Grant(grant)) => grant.ask(http).await?,
            (None, Source::AccessKey(key)) => key.ask(http).await?,
        };
        let bearer = Arc::new(bearer);
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&bearer));
        Ok(bearer)
    }
}

/// The answer where a granted token holds what no header may.
pub(super) fn unpresentable(reply: &Reply<'_>) -> Answer {
    reply.fails(Verdict::Misconfigured, "the token that it grants cannot stand in an HTTP header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_until_shortly_before_its_end() {
        let rows = [
            (Some(0), 0),
            (Some(20), 10),
            (Some(60), 30),
            (Some(61), 31),
            (Some(300), 270),
            (Some(7200), 7170),
            (None, 30),
        ];
        for (expires_in, seconds) in rows {
            assert_eq!(usable(lifetime(expires_in)), Duration::from_secs(seconds), "{expires_in:?}");
        }
        assert!(usable(lifetime(Some(u64::MAX))) < Duration::from_secs(366 * 24 * 60 * 60));
    }

    #[test]
    fn a_bearer_that_was_refused_or_has_ended_is_not_good() {
        let bearer =
            |seconds| Bearer::new("Bearer", "t".to_owned(), Some(Duration::from_secs(seconds))).unwrap();
        assert!(bearer(300).is_good() && !bearer(0).is_good());
        let refused = bearer(300);
        refused.deny();
        assert!(!refused.is_good());
    }

    #[test]
    fn line_breaks_cannot_stand_in_a_header() {
        assert!(Bearer::new("Bearer", "a\r\nb: c".to_owned(), None).is_none());
    }
}
