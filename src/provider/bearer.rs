//! A bearer of administrative calls: how long it is good, and what a refusal makes of it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderValue};
use zeroize::Zeroizing;

use super::call::Call;
use super::client_auth::sensitive_header;
use super::http::Http;
use super::reply::Reply;
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

    /// Whether the provider has refused it.
    pub(super) fn is_denied(&self) -> bool {
        self.denied.load(Relaxed)
    }

    /// Whether it is neither refused nor at its end.
    pub(super) fn is_good(&self) -> bool {
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
