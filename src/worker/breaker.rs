//! When a provider is left alone: pure decisions over the calls of the last minutes.

use std::time::{Duration, Instant};

use super::calls::Calls;
use crate::outcome::{Answer, Verdict};

/// A provider is left alone when at least half of at least so many calls failed within [`Calls::RECENT`].
const ENOUGH_CALLS: u64 = 20;
/// First wait before a probe; doubles with every failed one.
const FIRST_PROBE: Duration = Duration::from_secs(2);
/// Longest wait between probes.
const LAST_PROBE: Duration = Duration::from_secs(60);
/// Longest that a `Retry-After` holds back a whole provider before one probe is made; the target that got it waits in full.
const LONGEST_HOLD: Duration = Duration::from_secs(600);

/// What a call may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
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
    /// Told to come back later; then closed again.
    Held {
        until: Instant,
    },
    /// Failing: the next probe's time, the wait after it should it fail, and whether one is under way.
    Open {
        probe_at: Instant,
        wait: Duration,
        probing: bool,
    },
}

/// One provider's breaker, as this worker sees it.
pub(super) struct Breaker {
    phase: Phase,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { phase: Phase::Closed }
    }
}

impl Breaker {
    /// Asks for admission; a `Probe` must be answered by `report` or `withdraw`.
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        match &mut self.phase {
            Phase::Closed => Admission::Call,
            Phase::Held { until } if now < *until => Admission::Wait(*until),
            Phase::Held { .. } => {
                self.phase = Phase::Closed;
                Admission::Call
            }
            Phase::Open { probe_at, probing, .. } if now < *probe_at || *probing => Admission::Wait((*probe_at).max(now + FIRST_PROBE)),
            Phase::Open { probing, .. } => {
                *probing = true;
                Admission::Probe
            }
        }
    }

    /// How many targets are worth claiming for this provider: all, one for a probe, none.
    pub(super) fn appetite(&self, now: Instant) -> usize {
        match self.phase {
            Phase::Closed => usize::MAX,
            Phase::Held { until } => {
                if now < until {
                    0
                } else {
                    usize::MAX
                }
            }
            Phase::Open { probe_at, probing, .. } => usize::from(!probing && now >= probe_at),
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
        self.phase = self.next(answer, calls, now, jitter);
        self.name() != before
    }

    fn next(&self, answer: &Answer, calls: &Calls, now: Instant, jitter: f64) -> Phase {
        let open = |wait: Duration| Phase::Open {
            probe_at: (now + wait.mul_f64(0.75 + jitter / 2.0)).max(self.held_until(now)),
            wait: (wait * 2).min(LAST_PROBE),
            probing: false,
        };
        match (answer.verdict, self.phase) {
            // A call from before it opened: only a probe's failure makes the wait longer.
            (Verdict::Misconfigured, Phase::Open { probing: false, .. }) => self.phase,
            (Verdict::Misconfigured, Phase::Open { wait, .. }) => open(wait),
            (Verdict::Misconfigured, _) => open(FIRST_PROBE),
            (Verdict::Transient, phase) => match (answer.retry_after, phase) {
                (Some(floor), phase) if !floor.is_zero() => {
                    let until = self.held_until(now).max(now + floor.min(LONGEST_HOLD));
                    match (phase, open(FIRST_PROBE)) {
                        // A provider that fails is probed when its time has come, not called by everyone.
                        (Phase::Open { wait, .. }, _) => Phase::Open { probe_at: until, wait, probing: false },
                        (_, Phase::Open { wait, .. }) if floor > LONGEST_HOLD || failing(calls, now) => {
                            Phase::Open { probe_at: until, wait, probing: false }
                        }
                        _ => Phase::Held { until },
                    }
                }
                (_, Phase::Open { wait, probing: true, .. }) => open(wait),
                (_, Phase::Closed) if failing(calls, now) => open(FIRST_PROBE),
                (_, phase) => phase,
            },
            (_, Phase::Held { until }) if now < until => Phase::Held { until },
            // The provider decided about the target: it is there.
            _ => Phase::Closed,
        }
    }

    fn held_until(&self, now: Instant) -> Instant {
        match self.phase {
            Phase::Held { until } => until,
            Phase::Closed | Phase::Open { .. } => now,
        }
    }

    /// `closed`, `open` or `half_open`, as in `audit.providers`.
    pub(super) fn name(&self) -> &'static str {
        match self.phase {
            Phase::Closed => "closed",
            Phase::Held { .. } | Phase::Open { probing: false, .. } => "open",
            Phase::Open { probing: true, .. } => "half_open",
        }
    }
}

fn failing(calls: &Calls, now: Instant) -> bool {
    let recent = calls.recent(now);
    recent.calls >= ENOUGH_CALLS && recent.failures * 2 >= recent.calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Proof;

    fn answer(verdict: Verdict) -> Answer {
        Answer { verdict, http_status: None, error: None, retry_after: None }
    }

    fn fail(breaker: &mut Breaker, calls: &mut Calls, verdict: Verdict, now: Instant) {
        calls.note(now, Duration::from_millis(1), false);
        breaker.report(&answer(verdict), calls, now, 0.5);
    }

    #[test]
    fn half_of_twenty_failures_open_it_and_one_probe_closes_it() {
        let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
        for _ in 0..19 {
            fail(&mut breaker, &mut calls, Verdict::Transient, now);
            assert_eq!(breaker.admit(now), Admission::Call);
        }
        fail(&mut breaker, &mut calls, Verdict::Transient, now);
        assert!(matches!(breaker.admit(now), Admission::Wait(_)));
        assert_eq!(breaker.appetite(now), 0);
        let later = now + FIRST_PROBE;
        assert_eq!(breaker.appetite(later), 1);
        assert_eq!(breaker.admit(later), Admission::Probe);
        assert!(matches!(breaker.admit(later), Admission::Wait(_)), "one probe at a time");
        breaker.report(&answer(Verdict::Done(Proof::Accepted)), &calls, later, 0.5);
        assert_eq!(breaker.admit(later), Admission::Call);
    }

    #[test]
    fn calls_that_were_under_way_when_it_opened_do_not_lengthen_the_wait() {
        for verdict in [Verdict::Transient, Verdict::Misconfigured] {
            let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
            for _ in 0..52 {
                fail(&mut breaker, &mut calls, verdict, now);
            }
            assert_eq!(breaker.admit(now + FIRST_PROBE), Admission::Probe, "{verdict:?}");
        }
    }

    #[test]
    fn one_misconfigured_answer_opens_it_and_probes_space_out() {
        let (mut breaker, mut calls, mut now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
        fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
        for expected in [2, 4, 8, 16, 32, 60, 60] {
            now += Duration::from_secs(expected);
            assert_eq!(
                breaker.admit(now - Duration::from_millis(1)),
                Admission::Wait((now).max(now - Duration::from_millis(1) + FIRST_PROBE))
            );
            assert_eq!(breaker.admit(now), Admission::Probe, "after {expected} s");
            fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
        }
    }

    #[test]
    fn a_retry_after_holds_everything_back_and_a_late_success_does_not_shorten_it() {
        let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
        let mut throttled = answer(Verdict::Transient);
        throttled.retry_after = Some(Duration::from_secs(30));
        calls.note(now, Duration::from_millis(1), false);
        breaker.report(&throttled, &calls, now, 0.5);
        breaker.report(&answer(Verdict::Done(Proof::Accepted)), &calls, now, 0.5);
        assert!(matches!(breaker.admit(now + Duration::from_secs(29)), Admission::Wait(_)));
        assert_eq!(breaker.admit(now + Duration::from_secs(30)), Admission::Call);
        breaker.report(&throttled, &calls, now, 0.5);
        breaker.report(&answer(Verdict::Misconfigured), &calls, now, 0.5);
        assert!(matches!(breaker.admit(now + Duration::from_secs(29)), Admission::Wait(_)), "nor does a failure of another kind");
        assert_eq!(breaker.admit(now + Duration::from_secs(30)), Admission::Probe);
    }

    #[test]
    fn a_failing_provider_that_names_a_time_is_probed_then_and_not_called_by_everyone() {
        let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
        let mut busy = answer(Verdict::Transient);
        busy.retry_after = Some(Duration::from_secs(5));
        for _ in 0..20 {
            calls.note(now, Duration::from_millis(1), false);
            breaker.report(&busy, &calls, now, 0.5);
        }
        assert!(matches!(breaker.admit(now + Duration::from_secs(4)), Admission::Wait(_)));
        let later = now + Duration::from_secs(5);
        assert_eq!(breaker.admit(later), Admission::Probe);
        calls.note(later, Duration::from_millis(1), false);
        breaker.report(&busy, &calls, later, 0.5);
        assert_eq!(breaker.admit(later + Duration::from_secs(5)), Admission::Probe, "a probe that is told to wait leads to the next probe");
    }

    #[test]
    fn a_very_long_retry_after_is_probed_after_ten_minutes() {
        let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
        let mut throttled = answer(Verdict::Transient);
        throttled.retry_after = Some(Duration::from_secs(86_400));
        calls.note(now, Duration::from_millis(1), false);
        breaker.report(&throttled, &calls, now, 0.5);
        assert!(matches!(breaker.admit(now + LONGEST_HOLD - Duration::from_secs(1)), Admission::Wait(_)));
        assert_eq!(breaker.admit(now + LONGEST_HOLD), Admission::Probe);
    }

    #[test]
    fn a_withdrawn_probe_leaves_room_for_the_next() {
        let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
        fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
        let later = now + FIRST_PROBE;
        assert_eq!(breaker.admit(later), Admission::Probe);
        breaker.withdraw();
        assert_eq!(breaker.admit(later), Admission::Probe);
    }
}
