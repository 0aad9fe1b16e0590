//! What the demo measured, and whether anything lived on.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::AT_ONCE;
use revocation_sandbox::{Login, Observer, SandboxError, Timeline, Token};

/// What is still good for something.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct Left {
    /// Access tokens that the service accepts.
    pub(super) accepted: usize,
    /// Tokens that the provider calls active.
    pub(super) active: usize,
}

impl Left {
    pub(super) async fn of(observer: &Observer<'_>, user: &Login) -> Result<Self, SandboxError> {
        let (accepted, active) = futures::try_join!(observer.is_accepted(user), observer.active(user))?;
        Ok(Self { accepted: accepted.into(), active })
    }

    pub(super) async fn count(observer: &Observer<'_>, users: &[Login]) -> Result<Self, SandboxError> {
        let all =
            stream::iter(users).map(async |user| Self::of(observer, user).await).buffer_unordered(AT_ONCE);
        all.try_fold(Self::default(), async |sum, one| {
            Ok(Self { accepted: sum.accepted + one.accepted, active: sum.active + one.active })
        })
        .await
    }
}

/// Milliseconds over all users who got that far.
#[derive(Default, Serialize)]
pub(super) struct Step {
    pub(super) p50_ms: Option<f64>,
    pub(super) max_ms: Option<f64>,
}

impl Step {
    fn of(times: impl Iterator<Item = Option<f64>>) -> Self {
        let mut times: Vec<f64> = times.flatten().collect();
        times.sort_unstable_by(f64::total_cmp);
        Self { p50_ms: times.get(times.len().saturating_sub(1) / 2).copied(), max_ms: times.last().copied() }
    }
}

#[derive(Serialize)]
struct User {
    user: String,
    access_token_sha256: String,
    refresh_token_sha256: String,
    service_refuses_ms: Option<f64>,
    provider_inactive_ms: Option<f64>,
    on_record_ms: Option<f64>,
    attempts: i64,
}

/// The JSON of `--json`.
#[derive(Serialize)]
pub(super) struct Figures {
    authorization_server: &'static str,
    pub(super) users: usize,
    pub(super) tokens: usize,
    pub(super) service_refuses: Step,
    pub(super) provider_inactive: Step,
    pub(super) on_record: Step,
    pub(super) attempts: i64,
    /// Users whose targets were not revoked and confirmed in the audit in time.
    pub(super) unrecorded: usize,
    pub(super) left: Left,
    pub(super) bystander: Left,
    timelines: Vec<User>,
}

impl Figures {
    pub(super) fn new(is_real: bool) -> Self {
        Self {
            authorization_server: if is_real { "oidc-provider" } else { "built-in" },
            users: 0,
            tokens: 0,
            service_refuses: Step::default(),
            provider_inactive: Step::default(),
            on_record: Step::default(),
            attempts: 0,
            unrecorded: 0,
            left: Left::default(),
            bystander: Left::default(),
            timelines: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, login: &Login, timeline: &Timeline) {
        self.users += 1;
        self.tokens += 2;
        self.attempts += timeline.attempts;
        self.unrecorded += usize::from(timeline.recorded.is_none());
        self.timelines.push(User {
            user: login.sub.clone(),
            access_token_sha256: short(&login.tokens.access),
            refresh_token_sha256: short(&login.tokens.refresh),
            service_refuses_ms: timeline.refused.map(ms),
            provider_inactive_ms: timeline.inactive.map(ms),
            on_record_ms: timeline.recorded.map(ms),
            attempts: timeline.attempts,
        });
    }

    /// Complete, with what the last look found.
    pub(super) fn with_end(mut self, left: Left, bystander: Left) -> Self {
        let over = |time: fn(&User) -> Option<f64>| Step::of(self.timelines.iter().map(time));
        let steps = [
            over(|user| user.service_refuses_ms),
            over(|user| user.provider_inactive_ms),
            over(|user| user.on_record_ms),
        ];
        [self.service_refuses, self.provider_inactive, self.on_record] = steps;
        Self { left, bystander, ..self }
    }

    /// The sentence about what is wrong, if anything is.
    pub(super) fn verdict(&self) -> Result<(), String> {
        let Self { left: Left { accepted, active }, unrecorded, bystander, .. } = self;
        let living = format!(
            "tokens outlived their logout: the service accepts {accepted}, the provider calls {active} active"
        );
        match (accepted + active, unrecorded, (bystander.accepted, bystander.active)) {
            (0, 0, (1, 2)) => Ok(()),
            (0, 0, _) => Err("the bystander, who never logged out, lost a token".to_owned()),
            (0, _, _) => {
                Err(format!("{unrecorded} logouts are not in audit.revocations as revoked and confirmed"))
            }
            _ => Err(living),
        }
    }
}

/// The first eight digits of a token's SHA-256: all that is ever shown of it.
pub(super) fn short(token: &Token) -> String {
    token.fingerprint().chars().take(8).collect()
}

/// To a tenth.
fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(unrecorded: usize, accepted: usize, active: usize, bystander: usize) -> Result<(), String> {
        let left = Left { accepted, active };
        let figures = Figures { unrecorded, ..Figures::new(true) };
        figures.with_end(left, Left { accepted: bystander, active: 2 * bystander }).verdict()
    }

    #[test]
    fn anything_that_lives_on_and_anyone_wronged_is_a_failure() {
        assert!(ended(0, 0, 0, 1).is_ok());
        let failures = [ended(0, 1, 0, 1), ended(0, 0, 1, 1), ended(1, 0, 0, 1), ended(0, 0, 0, 0)];
        assert!(failures.iter().all(Result::is_err));
    }

    #[test]
    fn the_median_is_a_time_that_was_measured() {
        let step = Step::of([Some(3.0), None, Some(1.0), Some(2.0), Some(9.0)].into_iter());
        assert_eq!((step.p50_ms, step.max_ms), (Some(2.0), Some(9.0)));
        assert_eq!(Step::of(std::iter::empty()).p50_ms, None);
    }
}
