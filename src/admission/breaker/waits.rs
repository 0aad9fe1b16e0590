//! How long the waits of a breaker are, who ends them, and whose probe does.

use std::time::{Duration, Instant};

use super::{Breaker, CLOSED, ENOUGH_CALLS, FIRST_PROBE, LAST_PROBE, Pause, Ramp, Report, State, Why};

impl Breaker {
    /// The provider asked to be left alone, as another credential's answer or another worker says.
    pub(in crate::admission) fn hold(&mut self, wait: Duration, now: Instant) {
        let asked = now + wait.min(self.longest_hold);
        match &mut self.state {
            State::Closed | State::Ramping(_) => self.state = State::Held { until: asked },
            State::Held { until } => *until = asked.max(*until),
            State::Open(Pause { until, probe_at, .. }) | State::HalfOpen(Pause { until, probe_at, .. }) => {
                *until = asked.max(*until);
                *probe_at = asked.max(*probe_at);
            }
        }
    }

    /// For how long the provider asked to be left alone, if it did.
    pub(in crate::admission) fn held_for(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Held { until }
            | State::Open(Pause { until, .. })
            | State::HalfOpen(Pause { until, .. }) => {
                Some(until.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
            }
            State::Closed | State::Ramping(_) => None,
        }
    }

    /// `closed`, `open` or `half_open`, as in `audit.providers`. One that is held is closed once its time is
    /// past, whether or not anybody has called since.
    pub(in crate::admission) fn name(&self, now: Instant) -> &'static str {
        match self.state {
            State::Closed | State::Ramping(_) => CLOSED,
            State::Held { until } if now >= until => CLOSED,
            State::Held { .. } | State::Open(_) => "open",
            State::HalfOpen(_) => "half_open",
        }
    }

    /// Why it is not closed; `None`: it is.
    pub(in crate::admission) fn reason(&self, now: Instant) -> Option<&'static str> {
        match self.state {
            State::Closed | State::Ramping(_) => None,
            State::Held { until } if now >= until => None,
            State::Open(Pause { why: Why::Misconfigured, .. })
            | State::HalfOpen(Pause { why: Why::Misconfigured, .. }) => Some("misconfigured"),
            _ if self.held_for(now).is_some() => Some("retry_after"),
            State::Held { .. } => Some("retry_after"),
            State::Open(_) | State::HalfOpen(_) => Some("failing"),
        }
    }

    /// An operator ends the wait: what was held goes on, slot by slot; what fails is probed at once. Returns
    /// whether there was a wait.
    pub(in crate::admission) fn resume(&mut self, now: Instant) -> bool {
        match &mut self.state {
            State::Closed | State::Ramping(_) => return false,
            State::Held { .. } => self.state = State::ramping(now),
            State::Open(pause) | State::HalfOpen(pause) => {
                *pause = Pause { until: now, probe_at: now, wait: FIRST_PROBE, why: pause.why };
            }
        }
        true
    }

    /// From now on the provider's own probe is made in place of a target, or is not.
    pub(in crate::admission) fn spare_targets(&mut self, spares: bool) {
        self.spares_targets = spares;
    }

    pub(super) fn spares_targets_of(&self, pause: Pause) -> bool {
        self.spares_targets && matches!(pause.why, Why::Persisting | Why::Misconfigured)
    }

    /// When the provider's own probe is to be made, if it is the one that decides.
    pub(in crate::admission) fn own_probe_at(&self) -> Option<Instant> {
        self.pause().filter(|pause| self.spares_targets_of(*pause)).map(|pause| pause.probe_at)
    }

    /// Whether the provider is left alone until a target is the probe.
    pub(in crate::admission) fn waits_for_target(&self) -> bool {
        self.pause().is_some_and(|pause| !self.spares_targets_of(pause))
    }

    fn pause(&self) -> Option<Pause> {
        match self.state {
            State::Open(pause) | State::HalfOpen(pause) => Some(pause),
            State::Closed | State::Ramping(_) | State::Held { .. } => None,
        }
    }

    /// The provider's own probe is about to be made. It must be answered by `report`, or by `withdraw` where
    /// it tells nothing.
    pub(in crate::admission) fn begin_own_probe(&mut self) {
        if let (Some(_), State::Open(pause)) = (self.own_probe_at(), self.state) {
            self.state = State::HalfOpen(pause);
        }
    }

    /// A probe that was admitted was not made, or told nothing.
    pub(in crate::admission) fn withdraw(&mut self) {
        if let State::HalfOpen(pause) = self.state {
            self.state = State::Open(pause);
        }
    }
}

impl Report<'_> {
    /// Open until a probe after about `wait`, and as long as the provider asked for.
    pub(super) fn pause(&self, wait: Duration, why: Why, until: Instant) -> State {
        let until = until.max(self.now);
        let probe_at = (self.now + wait.mul_f64(0.75 + self.jitter / 2.0)).max(until);
        State::Open(Pause { until, probe_at, wait: (wait * 2).min(LAST_PROBE), why })
    }

    pub(super) fn half_of_calls_failed(&self) -> bool {
        let recent = self.calls.recent(self.now);
        recent.calls >= ENOUGH_CALLS && recent.failures * 2 >= recent.calls
    }
}

impl State {
    pub(super) fn ramping(since: Instant) -> Self {
        Self::Ramping(Ramp { since, calls: 0, failures: 0 })
    }
}

impl Why {
    /// Why it is still open after a probe that failed.
    pub(super) fn after_probe(self) -> Self {
        match self {
            Self::Failing => Self::ProbeFailed,
            Self::ProbeFailed => Self::Persisting,
            other => other,
        }
    }
}
