//! What the log says of a provider: that it is left alone, that it fails for another cause meanwhile, and
//! that it answers again.

use std::time::{Duration, Instant};

use crate::outcome::{Answer, Verdict};
use crate::target::Scope;

/// Calls that were under way when the breaker opened end in many ways: within this time none is told.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);

/// What was said last of a breaker that is not closed: why, and when.
#[derive(Default)]
pub(super) struct Told(Option<(Cause, Instant)>);

/// The status, or the error where there was no answer.
#[derive(PartialEq, Eq)]
enum Cause {
    Status(u16),
    Error(Option<String>),
}

impl Told {
    /// Tells what an answer changes. `changed`: the breaker's state, which is `breaker` now.
    pub(super) fn tell(
        &mut self,
        (provider, scope): (&str, Scope),
        (breaker, changed): (&str, bool),
        answer: &Answer,
        now: Instant,
    ) {
        let calls = match scope {
            Scope::Token => "tokens",
            Scope::Wide => "sessions and subjects",
        };
        let error = answer.error.as_deref();
        match &self.0 {
            _ if changed && breaker == "open" => {
                tracing::error!(
                    provider,
                    calls,
                    breaker,
                    error,
                    "provider left alone: its targets wait and spend no attempt until a probe is answered or \
                        its Retry-After has passed"
                );
                self.0 = Some((Cause::of(answer), now));
            }
            _ if changed => {
                tracing::info!(provider, calls, breaker, "provider answers again");
                self.0 = None;
            }
            Some((cause, at))
                if is_failure(answer) && *at + SETTLES_WITHIN <= now && *cause != Cause::of(answer) =>
            {
                tracing::warn!(
                    provider,
                    calls,
                    breaker,
                    error,
                    "provider still left alone: it fails for another cause"
                );
                self.0 = Some((Cause::of(answer), now));
            }
            _ => {}
        }
    }
}

impl Cause {
    fn of(answer: &Answer) -> Self {
        answer.http_status.map_or_else(|| Self::Error(answer.error.clone()), Self::Status)
    }
}

fn is_failure(answer: &Answer) -> bool {
    matches!(answer.verdict, Verdict::Transient | Verdict::Misconfigured)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Proof;

    #[test]
    fn a_cause_is_told_once_and_another_one_too() {
        let failed = |status, error: &str| Answer::failed(Verdict::Transient, status, error.to_owned());
        let (refused, slow, hung) = (
            failed(None, "connection refused"),
            failed(Some(500), "answered 500"),
            failed(None, "timed out"),
        );
        let start = Instant::now();
        let mut told = Told::default();
        let mut tell = |answer: &Answer, breaker: (&str, bool), after_s: u64| {
            let now = start + Duration::from_secs(after_s);
            told.tell(("main", Scope::Token), breaker, answer, now);
            told.0.as_ref().map(|(_, at)| (*at - start).as_secs())
        };
        let still = ("half_open", false);
        for (answer, breaker, after_s, told_at) in [
            (&slow, ("closed", false), 0, None),
            (&refused, ("open", true), 1, Some(1)),
            (&slow, ("open", false), 2, Some(1)),
            (&refused, still, 5, Some(1)),
            (&slow, still, 6, Some(6)),
            (&failed(Some(500), "answered 500 with other words"), still, 9, Some(6)),
            (&hung, still, 9, Some(9)),
            (&failed(Some(401), "invalid_client"), still, 12, Some(12)),
            (&Answer::done(Proof::Accepted, None), ("closed", true), 13, None),
        ] {
            assert_eq!(tell(answer, breaker, after_s), told_at, "{after_s} s, {:?}", answer.error);
        }
    }
}
