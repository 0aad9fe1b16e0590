//! When a provider is left alone: a circuit breaker, pure decisions over the answers to the calls that are
//! made with one credential.
//!
//! It watches two signals, because each alone misses what the other catches. A *run of failures* shows a
//! provider that has gone away: at the twentieth failure, whatever there was before, while the share of
//! failures reaches one half only when there have been as many failures as successes in the last half minute.
//! The *share of failures* shows a provider of which one replica in two is broken: every other call succeeds
//! and ends the run, but half of the calls of the last half minute have failed.
//!
//! | state | who calls | what ends it |
//! |---|---|---|
//! | closed | everyone | one of the two signals, a `Retry-After`, an answer that a person has to mend |
//! | ramping | everyone, slot by slot for 10 s | the same, the share since its start; a success afterwards |
//! | held | nobody, as `Retry-After` says | its time: then ramping |
//! | open | nobody | the time of the next probe, or `provider resume`: then half-open |
//! | half-open | one probe | its answer: a success leads to ramping, a failure back to open |
//!
//! The run leaves out failures with a `Retry-After`, which say nothing of the provider's health. A call from
//! before that succeeds ends *held* (once its time is past: closed) and *open* (ramping) as well.
//!
//! The waits before probes are 2, 4, 8, 16, 32, 60, 60 … s, each times a jitter of 0.75 to 1.25: the first
//! probe follows after 1.5 to 2.5 s, and two of a long outage are 45 to 75 s apart.

#[cfg(test)]
mod tests;
mod waits;

use std::time::{Duration, Instant};

use super::calls::Calls;
use crate::outcome::{Answer, Verdict};

/// So many failures in a row open the breaker, however many calls had succeeded before; and so does half of
/// at least so many calls that failed within [`Calls::RECENT`].
const ENOUGH_CALLS: u64 = 20;
/// First wait before a probe; doubles with every failed one.
const FIRST_PROBE: Duration = Duration::from_secs(2);
/// Longest wait between probes, before jitter.
const LAST_PROBE: Duration = Duration::from_secs(60);
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
    /// Leave the provider alone.
    Reject,
}

/// What an answer says of the provider.
#[derive(Clone, Copy)]
pub(super) enum Signal {
    /// It decided about the target: it is there.
    Answers,
    /// It did not.
    Fails,
    /// It asks to be left alone for so long.
    AsksToWait(Duration),
    /// A person has to mend something.
    Misconfigured,
    /// It is being found out whom the answer is about.
    Doubted,
}

impl Signal {
    pub(super) fn of(answer: &Answer) -> Self {
        match (answer.verdict, answer.retry_after) {
            (Verdict::Transient, Some(wait)) if !wait.is_zero() => Self::AsksToWait(wait),
            (Verdict::Transient, _) => Self::Fails,
            (Verdict::Misconfigured, _) => Self::Misconfigured,
            (Verdict::Doubted, _) => Self::Doubted,
            _ => Self::Answers,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed,
    Ramping(Ramp),
    Held { until: Instant },
    Open(Pause),
    HalfOpen(Pause),
}

/// The calls since the slots began to open again.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ramp {
    since: Instant,
    calls: u64,
    failures: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Pause {
    /// Until when the provider asked to be left alone. Now or earlier: it did not.
    until: Instant,
    /// When the next probe is due, never before `until`.
    probe_at: Instant,
    /// The wait after that probe, should it fail, before jitter.
    wait: Duration,
    why: Why,
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

/// The breaker of one credential, as this worker sees it.
pub(super) struct Breaker {
    state: State,
    /// Failures since the last success.
    in_a_row: u64,
    /// Whether the provider's own probe is made in place of a target while a person has to mend something, or
    /// after targets that were the probe failed.
    spares_targets: bool,
    /// Longest that a `Retry-After` holds the provider back before one probe is made (`retry_after_max`). A
    /// longer one is rather a wrong clock than a wish.
    longest_hold: Duration,
}

/// An answer that is reported, and what it is judged by.
struct Report<'a> {
    signal: Signal,
    calls: &'a Calls,
    now: Instant,
    /// 0 to 1.
    jitter: f64,
}

impl Breaker {
    /// Closed.
    pub(super) fn new(longest_hold: Duration) -> Self {
        Self { state: State::Closed, in_a_row: 0, spares_targets: false, longest_hold }
    }

    /// What a call that asks now may do.
    pub(super) fn decide(&self, now: Instant) -> Decision {
        match self.state {
            State::Closed | State::Ramping(_) => Decision::Call,
            State::Held { until } if now >= until => Decision::Call,
            State::Open(pause) if now >= pause.probe_at && !self.spares_targets_of(pause) => Decision::Probe,
            State::Held { .. } | State::Open(_) | State::HalfOpen(_) => Decision::Reject,
        }
    }

    /// The same for a call that goes ahead if it may. A `Probe` must be answered by `report` or `withdraw`.
    pub(super) fn admit(&mut self, now: Instant) -> Decision {
        let decision = self.decide(now);
        match (decision, self.state) {
            (Decision::Call, State::Held { .. }) => self.state = State::ramping(now),
            (Decision::Probe, State::Open(pause)) => self.state = State::HalfOpen(pause),
            _ => {}
        }
        decision
    }

    /// How many targets are worth claiming for this provider: all, one for a probe, none.
    pub(super) fn wanted(&self, now: Instant) -> usize {
        match self.decide(now) {
            Decision::Call => usize::MAX,
            Decision::Probe => 1,
            Decision::Reject => 0,
        }
    }

    /// How many of `slots` are open.
    pub(super) fn open_slots(&self, slots: usize, now: Instant) -> usize {
        let State::Ramping(ramp) = self.state else { return slots };
        let share = now.saturating_duration_since(ramp.since).as_secs_f64() / RAMP.as_secs_f64();
        ((slots as f64 * share) as usize).clamp(1, slots)
    }

    /// Learns from an answer. `calls` already counts it; `jitter` is 0 to 1. Returns whether the state's name
    /// changed.
    pub(super) fn report(&mut self, answer: &Answer, calls: &Calls, now: Instant, jitter: f64) -> bool {
        let (before, signal) = (self.name(), Signal::of(answer));
        self.in_a_row = match signal {
            Signal::Answers | Signal::Misconfigured => 0,
            Signal::Fails if answer.retry_after.is_none() => self.in_a_row + 1,
            // A provider that says when to come back is held; that says nothing of its health. Nor does an
            // answer that is not understood yet.
            Signal::Fails | Signal::AsksToWait(_) | Signal::Doubted => self.in_a_row,
        };
        let report = Report { signal, calls, now, jitter };
        self.state = match self.state {
            State::Closed => self.closed(&report),
            State::Ramping(ramp) => self.ramping(ramp, &report),
            State::Held { until } => self.held(until, &report),
            State::Open(pause) => self.open(pause, &report),
            State::HalfOpen(pause) => self.half_open(pause, &report),
        };
        self.name() != before
    }

    fn closed(&self, report: &Report<'_>) -> State {
        match report.signal {
            Signal::Fails if self.in_a_row >= ENOUGH_CALLS || report.half_of_calls_failed() => {
                report.pause(FIRST_PROBE, Why::Failing, report.now)
            }
            Signal::Fails | Signal::Answers | Signal::Doubted => State::Closed,
            Signal::AsksToWait(wait) => self.told_to_wait(wait, report.now, report),
            Signal::Misconfigured => report.pause(FIRST_PROBE, Why::Misconfigured, report.now),
        }
    }

    fn ramping(&self, mut ramp: Ramp, report: &Report<'_>) -> State {
        ramp.calls += 1;
        match report.signal {
            Signal::Answers if report.now < ramp.since + RAMP => State::Ramping(ramp),
            Signal::Fails => {
                ramp.failures += 1;
                if ramp.calls >= ENOUGH_IN_RAMP && ramp.failures * 2 >= ramp.calls {
                    report.pause(FIRST_PROBE, Why::Persisting, report.now)
                } else if self.in_a_row >= ENOUGH_CALLS {
                    report.pause(FIRST_PROBE, Why::Failing, report.now)
                } else {
                    State::Ramping(ramp)
                }
            }
            Signal::Doubted => self.state,
            Signal::Answers | Signal::AsksToWait(_) | Signal::Misconfigured => self.closed(report),
        }
    }

    /// Held: an answer that comes now is to a call from before.
    fn held(&self, until: Instant, report: &Report<'_>) -> State {
        match report.signal {
            Signal::Answers if report.now >= until => State::Closed,
            Signal::Answers | Signal::Fails | Signal::Doubted => self.state,
            Signal::AsksToWait(wait) => self.told_to_wait(wait, until, report),
            Signal::Misconfigured => report.pause(FIRST_PROBE, Why::Misconfigured, until),
        }
    }

    /// Open: an answer that comes now is to a call from before, and only a probe's failure makes the wait
    /// longer.
    fn open(&self, pause: Pause, report: &Report<'_>) -> State {
        match report.signal {
            Signal::Answers if report.now < pause.until => State::Held { until: pause.until },
            Signal::Answers => State::ramping(report.now),
            Signal::Fails | Signal::Doubted => State::Open(pause),
            Signal::Misconfigured => State::Open(Pause { why: Why::Misconfigured, ..pause }),
            // Whoever was told to wait less does not hasten the probe.
            Signal::AsksToWait(wait) => {
                let until = pause.until.max(report.now + wait.min(self.longest_hold));
                State::Open(Pause { until, probe_at: pause.probe_at.max(until), ..pause })
            }
        }
    }

    /// Half-open: the answer is taken for the probe's.
    fn half_open(&self, pause: Pause, report: &Report<'_>) -> State {
        match report.signal {
            Signal::Fails => report.pause(pause.wait, pause.why.after_probe(), pause.until),
            Signal::Misconfigured => report.pause(pause.wait, Why::Misconfigured, pause.until),
            // The next probe waits as after a failure, unless what is found out shows the provider well.
            Signal::Doubted => report.pause(pause.wait, pause.why, pause.until),
            Signal::Answers | Signal::AsksToWait(_) => self.open(pause, report),
        }
    }

    /// Held; or open, where the provider fails as well or names a time beyond reason: then one probe is made
    /// before everyone calls.
    fn told_to_wait(&self, wait: Duration, until: Instant, report: &Report<'_>) -> State {
        let until = until.max(report.now + wait.min(self.longest_hold));
        if wait > self.longest_hold || report.half_of_calls_failed() {
            State::Open(Pause { until, probe_at: until, wait: FIRST_PROBE * 2, why: Why::Failing })
        } else {
            State::Held { until }
        }
    }

    /// `closed`, `open` or `half_open`, as in `audit.providers`.
    pub(super) fn name(&self) -> &'static str {
        match self.state {
            State::Closed | State::Ramping(_) => "closed",
            State::Held { .. } | State::Open(_) => "open",
            State::HalfOpen(_) => "half_open",
        }
    }
}
