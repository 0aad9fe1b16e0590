//! When a provider is left alone: pure decisions over the calls of the last minutes.

use std::time::{Duration, Instant};

use super::calls::Calls;
use crate::outcome::{Answer, Verdict};

/// A provider is left alone when so many calls in a row failed, however many had succeeded before, and when
/// at least half of at least so many calls failed within [`Calls::RECENT`].
const ENOUGH_CALLS: u64 = 20;
/// First wait before a probe; doubles with every failed one.
const FIRST_PROBE: Duration = Duration::from_secs(2);
/// Longest wait between probes.
const LAST_PROBE: Duration = Duration::from_secs(60);
/// Longest that a `Retry-After` holds back a whole provider before one probe is made, unless it is set
/// otherwise (`retry_after_max`). A longer one is rather a wrong clock than a wish.
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it takes, once a probe was answered, until all slots are open again.
const RAMP: Duration = Duration::from_secs(10);
/// While they open, this many calls are enough to judge by.
const ENOUGH_IN_RAMP: u64 = 5;

/// What a call may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Go ahead.
    Call,
    /// Go ahead, alone: the answer decides whether others follow.
    Probe,
    /// Leave the provider alone until then.
    Wait(Instant),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Closed,
    /// Answering again: slots open one after the other.
    Ramping {
        since: Instant,
        calls: u64,
        failures: u64,
    },
    /// Told to come back later; then closed again.
    Held {
        until: Instant,
    },
    /// Failing: until when it was told to wait (now or earlier: it was not), the next probe's time, which is
    /// never before that, the wait after the probe should it fail, and whether one is under way.
    Open {
        until: Instant,
        probe_at: Instant,
        wait: Duration,
        probing: bool,
        why: Why,
    },
}

/// Why it is open.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Why {
    /// Calls fail.
    Failing,
    /// So did a target that was the probe.
    ProbeFailed,
    /// So did another, or calls after a probe that was answered. Some servers fail for some targets alone:
    /// another probe has to tell.
    Persisting,
    /// A person has to mend something.
    Misconfigured,
}

impl Why {
    /// Whether no target is to be the probe, if the provider has one of its own.
    fn is_spared(self) -> bool {
        matches!(self, Self::Persisting | Self::Misconfigured)
    }

    /// Why it is still open after a probe that failed.
    fn after_probe(self) -> Self {
        match self {
            Self::Failing => Self::ProbeFailed,
            Self::ProbeFailed => Self::Persisting,
            other => other,
        }
    }
}

/// One provider's breaker, as this worker sees it.
pub(super) struct Breaker {
    phase: Phase,
    /// Failures since the last success.
    in_a_row: u64,
    /// Whether no target is the probe while a person has to mend something, or while targets that were it
    /// failed: the provider's own probe is.
    spares_targets: bool,
    /// `retry_after_max`
    longest_hold: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { phase: Phase::Closed, in_a_row: 0, spares_targets: false, longest_hold: LONGEST_HOLD }
    }
}

impl Breaker {
    /// Asks for admission; a `Probe` must be answered by `report` or `withdraw`.
    pub(super) fn admit(&mut self, now: Instant) -> Decision {
        match &mut self.phase {
            Phase::Closed | Phase::Ramping { .. } => Decision::Call,
            Phase::Held { until } if now < *until => Decision::Wait(*until),
            Phase::Held { .. } => {
                self.phase = Phase::Ramping { since: now, calls: 0, failures: 0 };
                Decision::Call
            }
            Phase::Open { probe_at, probing, why, .. }
                if now < *probe_at || *probing || (self.spares_targets && why.is_spared()) =>
            {
                Decision::Wait((*probe_at).max(now + FIRST_PROBE))
            }
            Phase::Open { probing, .. } => {
                *probing = true;
                Decision::Probe
            }
        }
    }

    /// How many targets are worth claiming for this provider: all, one for a probe, none.
    pub(super) fn appetite(&self, now: Instant) -> usize {
        match self.phase {
            Phase::Closed | Phase::Ramping { .. } => usize::MAX,
            Phase::Held { until } => {
                if now < until {
                    0
                } else {
                    usize::MAX
                }
            }
            Phase::Open { why, .. } if self.spares_targets && why.is_spared() => 0,
            Phase::Open { probe_at, probing, .. } => usize::from(!probing && now >= probe_at),
        }
    }

    /// How many of `slots` are open.
    pub(super) fn open_slots(&self, slots: usize, now: Instant) -> usize {
        match self.phase {
            Phase::Ramping { since, .. } => {
                let share = now.saturating_duration_since(since).as_secs_f64() / RAMP.as_secs_f64();
                ((slots as f64 * share) as usize).clamp(1, slots)
            }
            Phase::Closed | Phase::Held { .. } | Phase::Open { .. } => slots,
        }
    }

    /// Another worker was told to come back in `wait`.
    pub(super) fn hold(&mut self, wait: Duration, now: Instant) {
        let until = now + wait.min(self.longest_hold);
        match &mut self.phase {
            Phase::Closed | Phase::Ramping { .. } => self.phase = Phase::Held { until },
            Phase::Held { until: known } => *known = until.max(*known),
            Phase::Open { until: known, probe_at, .. } => {
                *known = until.max(*known);
                *probe_at = until.max(*probe_at);
            }
        }
    }

    /// For how long the provider asked to be left alone, if it did.
    pub(super) fn held_for(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Held { until } | Phase::Open { until, .. } => {
                Some(until.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
            }
            Phase::Closed | Phase::Ramping { .. } => None,
        }
    }

    /// Whether targets are spared from being probes.
    pub(super) fn spare_targets(&mut self, spares: bool) {
        self.spares_targets = spares;
    }

    /// When the provider's own probe is to be made, if it is the one that decides.
    pub(super) fn own_probe_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open { probe_at, why, .. } if self.spares_targets && why.is_spared() => Some(probe_at),
            _ => None,
        }
    }

    /// Whether calls are left alone until a target is the probe.
    pub(super) fn is_unwatched(&self) -> bool {
        matches!(self.phase, Phase::Open { .. }) && self.own_probe_at().is_none()
    }

    /// The provider's own probe is about to be made. It must be answered by `report`, or by `withdraw` where
    /// it tells nothing.
    pub(super) fn begin_own_probe(&mut self) {
        if let (Some(_), Phase::Open { probing, .. }) = (self.own_probe_at(), &mut self.phase) {
            *probing = true;
        }
    }

    /// A probe that was admitted and not made.
    pub(super) fn withdraw(&mut self) {
        if let Phase::Open { probing, .. } = &mut self.phase {
            *probing = false;
        }
    }

    /// Learns from an answer. `calls` already counts it. Returns whether the phase's name changed.
    pub(super) fn report(&mut self, answer: &Answer, calls: &Calls, now: Instant, jitter: f64) -> bool {
        let before = self.name();
        self.in_a_row = match (answer.verdict, answer.retry_after) {
            (Verdict::Transient, None) => self.in_a_row + 1,
            // Asked to come back later, it is held; that says nothing of its health. Nor does an answer that
            // is not understood yet.
            (Verdict::Transient, Some(_)) | (Verdict::Doubted, _) => self.in_a_row,
            _ => 0,
        };
        self.phase = self.next(answer, calls, now, jitter);
        self.name() != before
    }

    fn next(&self, answer: &Answer, calls: &Calls, now: Instant, jitter: f64) -> Phase {
        let open = |wait: Duration, why: Why| Phase::Open {
            until: self.held_until(now),
            probe_at: (now + wait.mul_f64(0.75 + jitter / 2.0)).max(self.held_until(now)),
            wait: (wait * 2).min(LAST_PROBE),
            probing: false,
            why,
        };
        match (answer.verdict, self.phase) {
            // What it means is being found out. Should it have been a probe, the next one waits as after a
            // failure, unless this finds the provider well.
            (Verdict::Doubted, Phase::Open { wait, probing: true, why, .. }) => open(wait, why),
            (Verdict::Doubted, phase) => phase,
            // A call from before it opened: only a probe's failure makes the wait longer.
            (Verdict::Misconfigured, Phase::Open { probing: false, why: Why::Misconfigured, .. }) => {
                self.phase
            }
            (Verdict::Misconfigured, Phase::Open { probing: false, until, probe_at, wait, .. }) => {
                Phase::Open { until, probe_at, wait, probing: false, why: Why::Misconfigured }
            }
            (Verdict::Misconfigured, Phase::Open { wait, .. }) => open(wait, Why::Misconfigured),
            (Verdict::Misconfigured, _) => open(FIRST_PROBE, Why::Misconfigured),
            (Verdict::Transient, phase) => match (answer.retry_after, phase) {
                (Some(floor), phase) if !floor.is_zero() => {
                    let until = self.held_until(now).max(now + floor.min(self.longest_hold));
                    match (phase, open(FIRST_PROBE, Why::Failing)) {
                        // A provider that fails is probed when its time has come, not called by everyone.
                        // Whoever was told less does not hasten that.
                        (Phase::Open { probe_at, wait, why, .. }, _) => {
                            Phase::Open { until, probe_at: probe_at.max(until), wait, probing: false, why }
                        }
                        (_, Phase::Open { wait, why, .. })
                            if floor > self.longest_hold || failing(calls, now) =>
                        {
                            Phase::Open { until, probe_at: until, wait, probing: false, why }
                        }
                        _ => Phase::Held { until },
                    }
                }
                (_, Phase::Open { wait, probing: true, why, .. }) => open(wait, why.after_probe()),
                (_, Phase::Closed) if self.in_a_row >= ENOUGH_CALLS || failing(calls, now) => {
                    open(FIRST_PROBE, Why::Failing)
                }
                (_, Phase::Ramping { since, calls, failures }) => match (calls + 1, failures + 1) {
                    (calls, failures) if calls >= ENOUGH_IN_RAMP && failures * 2 >= calls => {
                        open(FIRST_PROBE, Why::Persisting)
                    }
                    (calls, failures) => Phase::Ramping { since, calls, failures },
                },
                (_, phase) => phase,
            },
            (_, Phase::Held { until } | Phase::Open { until, .. }) if now < until => Phase::Held { until },
            // The provider decided about the target: it is there.
            (_, Phase::Open { .. }) => Phase::Ramping { since: now, calls: 0, failures: 0 },
            (_, Phase::Ramping { since, calls, failures }) if now < since + RAMP => {
                Phase::Ramping { since, calls: calls + 1, failures }
            }
            _ => Phase::Closed,
        }
    }

    fn held_until(&self, now: Instant) -> Instant {
        match self.phase {
            Phase::Held { until } | Phase::Open { until, .. } => until.max(now),
            Phase::Closed | Phase::Ramping { .. } => now,
        }
    }

    /// `closed`, `open` or `half_open`, as in `audit.providers`.
    pub(super) fn name(&self) -> &'static str {
        match self.phase {
            Phase::Closed | Phase::Ramping { .. } => "closed",
            Phase::Held { .. } | Phase::Open { probing: false, .. } => "open",
            Phase::Open { probing: true, .. } => "half_open",
        }
    }

    /// The longest that a `Retry-After` holds the provider back.
    pub(super) fn set_longest_hold(&mut self, longest: Duration) {
        self.longest_hold = longest;
    }

    /// An operator ends the wait: what was held goes on, slot by slot; what fails is probed at once. Returns
    /// whether there was a wait.
    pub(super) fn resume(&mut self, now: Instant) -> bool {
        match &mut self.phase {
            Phase::Closed | Phase::Ramping { .. } => return false,
            Phase::Held { .. } => self.phase = Phase::Ramping { since: now, calls: 0, failures: 0 },
            Phase::Open { until, probe_at, wait, .. } => (*until, *probe_at, *wait) = (now, now, FIRST_PROBE),
        }
        true
    }
}

fn failing(calls: &Calls, now: Instant) -> bool {
    let recent = calls.recent(now);
    recent.calls >= ENOUGH_CALLS && recent.failures * 2 >= recent.calls
}

#[cfg(test)]
mod tests;
