//! How a provider fares: for each of the two credentials its calls are made with, the breaker, the record of
//! calls, the doubts, and the last good and bad news.
//!
//! Tokens are revoked as the OAuth client; sessions and subjects mostly with an administrator's credentials.
//! A role that is missing there must not pause the logouts that need none, so each has a breaker of its own.
//! A `Retry-After` alone is everybody's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::breaker::{Breaker, Signal};
use super::calls::{Calls, Count};
use super::doubts::{Doubt, Doubts, Finding, Ruling};
use super::told::Told;
use super::wishes::Wishes;
use crate::clock::Clock;
use crate::outcome::{Answer, Proof, Verdict};
use crate::provider::Probed;
use crate::store::ProviderStatus;
use crate::target::{PerScope, Scope, TargetId};

/// What this worker knows of a provider.
pub(super) struct Health {
    provider: Arc<str>,
    credentials: PerScope<Credential>,
    wishes: Wishes,
}

/// The calls with one credential.
struct Credential {
    breaker: Breaker,
    calls: Calls,
    doubts: Doubts,
    /// Answers in doubt since the last success on which no probe has decided yet.
    undecided: usize,
    /// Whether the provider has a probe of its own for this credential.
    has_probe: bool,
    last_success_at: Option<Instant>,
    last_failure_at: Option<Instant>,
    last_error: Option<String>,
    told: Told,
}

impl Health {
    /// Closed breakers, no calls. `has_probe`: whether the provider has a probe of its own; `longest_hold`:
    /// the longest that a `Retry-After` holds it back.
    pub(super) fn new(
        provider: Arc<str>,
        has_probe: PerScope<bool>,
        longest_hold: Duration,
        now: Instant,
    ) -> Self {
        let credentials = PerScope::new(|scope| Credential {
            breaker: Breaker::new(longest_hold),
            calls: Calls::new(now),
            doubts: Doubts::default(),
            undecided: 0,
            has_probe: has_probe[scope],
            last_success_at: None,
            last_failure_at: None,
            last_error: None,
            told: Told::default(),
        });
        Self { provider, credentials, wishes: Wishes::default() }
    }

    /// The breaker of such calls.
    pub(super) fn breaker(&self, scope: Scope) -> &Breaker {
        &self.credentials[scope].breaker
    }

    /// The same, to be asked for admission.
    pub(super) fn breaker_mut(&mut self, scope: Scope) -> &mut Breaker {
        &mut self.credentials[scope].breaker
    }

    /// How many of `slots` are open. While nothing but doubt comes back, no crowd follows those who are in
    /// it; a few do, because one of them may be the success that says that it is not us.
    pub(super) fn open_slots(&self, slots: usize, now: Instant) -> PerScope<usize> {
        PerScope::new(|scope| {
            let credential = &self.credentials[scope];
            let open = credential.breaker.open_slots(slots, now);
            open.saturating_sub(credential.undecided).max(open.div_ceil(4))
        })
    }

    /// How many calls `slots` make a second when all are in use, as long as calls took lately; `None` without
    /// calls.
    pub(super) fn pace(&self, slots: usize, now: Instant) -> Option<f64> {
        let recent: Count = self.credentials.iter().map(|credential| credential.calls.recent(now)).sum();
        let busy: f64 =
            self.credentials.iter().map(|credential| credential.calls.busy(now).as_secs_f64()).sum();
        (recent.calls > 0).then(|| slots as f64 * recent.calls as f64 / busy.max(f64::MIN_POSITIVE))
    }

    /// The provider asked to be left alone, whoever calls.
    pub(super) fn hold(&mut self, wait: Duration, now: Instant) {
        self.credentials.iter_mut().for_each(|credential| credential.breaker.hold(wait, now));
    }

    /// For how long the provider asked to be left alone, if it did.
    pub(super) fn held_for(&self, now: Instant) -> Option<Duration> {
        self.credentials.iter().filter_map(|credential| credential.breaker.held_for(now)).max()
    }

    /// An operator ends the wait, whoever calls. Returns whether there was one.
    pub(super) fn resume(&mut self, now: Instant) -> bool {
        self.credentials.iter_mut().fold(false, |waited, credential| credential.breaker.resume(now) | waited)
    }

    /// A target's redirect, while a probe can tell whether everybody is redirected: it is in doubt, because a
    /// firewall may send only this target away.
    pub(super) fn redirect_in_doubt(&self, scope: Scope, answer: Answer) -> Answer {
        let is_redirect =
            answer.verdict == Verdict::Misconfigured && matches!(answer.http_status, Some(300..=399));
        if is_redirect && self.credentials[scope].doubts.trusts_probe() {
            Answer { verdict: Verdict::Doubted, ..answer }
        } else {
            answer
        }
    }

    /// Whether a `Retry-After` that comes with the answer to a target is the provider's.
    pub(super) fn is_for_all(&mut self, scope: Scope, target: TargetId) -> bool {
        let last_success_at = self.credentials[scope].last_success_at;
        self.wishes.is_for_all(target, last_success_at, Instant::now())
    }

    /// Learns from the answer to a target's call.
    pub(super) fn report(&mut self, scope: Scope, answer: &Answer, took: Duration) {
        let now = Instant::now();
        let changed = self.credentials[scope].report(answer, took, now);
        self.spread(scope, answer, now, changed);
    }

    /// Learns from the answer to a probe that was made from `began` on; returns what it means.
    pub(super) fn probed(&mut self, scope: Scope, probed: Probed, began: Instant) -> Finding {
        let Credential { breaker, doubts, .. } = &mut self.credentials[scope];
        let finding = doubts.probed(probed, began, Instant::now());
        let answer = match &finding {
            Finding::Accepted => Answer::done(Proof::Accepted, None),
            Finding::Refused { answer, .. } | Finding::Unanswered(answer) => answer.clone(),
            Finding::Nothing => {
                breaker.withdraw();
                breaker.spare_targets(false);
                return finding;
            }
        };
        // Where the provider may be one that refuses its probe always, the next one is a target.
        breaker.spare_targets(!matches!(finding, Finding::Refused { untested: true, .. }));
        self.learn(scope, &answer);
        finding
    }

    /// Decides on an answer in doubt. What a probe showed has been learnt already.
    pub(super) fn rule(&mut self, scope: Scope, doubt: Doubt, answer: Answer, finding: Finding) -> Answer {
        let ruling = self.credentials[scope].doubts.rule(doubt, finding);
        let answer = ruling.applied(answer, scope);
        if let Ruling::Us { by_probe: false } = ruling {
            self.learn(scope, &answer);
        }
        answer
    }

    /// It is decided on an answer in doubt, or nobody waits for that any more.
    pub(super) fn decided(&mut self, scope: Scope) {
        let undecided = &mut self.credentials[scope].undecided;
        *undecided = undecided.saturating_sub(1);
    }

    /// Learns what was found out beside the calls.
    fn learn(&mut self, scope: Scope, answer: &Answer) {
        let now = Instant::now();
        let changed = self.credentials[scope].learn(answer, now);
        self.spread(scope, answer, now, changed);
    }

    /// What follows from an answer for the other credential, and for the log.
    fn spread(&mut self, scope: Scope, answer: &Answer, now: Instant, changed: bool) {
        if let Signal::AsksToWait(wait) = Signal::of(answer) {
            self.breaker_mut(scope.other()).hold(wait, now);
        }
        let Self { provider, credentials, .. } = self;
        let Credential { breaker, told, .. } = &mut credentials[scope];
        told.tell((provider, scope), (breaker.name(now), changed), answer, now);
    }

    /// What `audit.providers` shows: the worse breaker, and all calls.
    pub(super) fn status(&self, now: Instant, clock: &Clock, order_no: i64) -> ProviderStatus {
        let (worse, calls) =
            (self.worse(now), || self.credentials.iter().map(|credential| &credential.calls));
        let last = |at: fn(&Credential) -> Option<Instant>| {
            self.credentials.iter().filter_map(at).max().map(|at| clock.at(at))
        };
        let count: Count = calls().map(|calls| calls.all(now)).sum();
        let by_slot: Vec<_> = calls().map(|calls| calls.by_slot(now)).collect();
        let each = |of: fn(&Count) -> u64| {
            let sum = |slot: usize| by_slot.iter().map(|counts| of(&counts[slot])).sum::<u64>();
            let slots = by_slot.first().map_or(0, |counts| counts.len());
            (0..slots).map(|slot| i32::try_from(sum(slot)).unwrap_or(i32::MAX)).collect()
        };
        ProviderStatus {
            provider: self.provider.to_string(),
            breaker: worse.breaker.name(now),
            last_success_at: last(|credential| credential.last_success_at),
            last_failure_at: last(|credential| credential.last_failure_at),
            last_error: worse.last_error.clone(),
            calls_5m: i64::try_from(count.calls).unwrap_or(i64::MAX),
            failures_5m: i64::try_from(count.failures).unwrap_or(i64::MAX),
            p50_ms_5m: Calls::quantile_ms(calls(), now, 0.5),
            p95_ms_5m: Calls::quantile_ms(calls(), now, 0.95),
            calls_by_10s: each(|count| count.calls),
            failures_by_10s: each(|count| count.failures),
            reason: worse.breaker.reason(now),
            held_for: self.held_for(now),
            order_no,
        }
    }

    /// `closed`, `open` or `half_open`: the worse of both.
    pub(super) fn name(&self, now: Instant) -> &'static str {
        self.worse(now).breaker.name(now)
    }

    /// Why it is left alone, if it is.
    pub(super) fn reason(&self, now: Instant) -> Option<&'static str> {
        self.worse(now).breaker.reason(now)
    }

    /// The one that fares worse; of equals, the one that failed last.
    fn worse(&self, now: Instant) -> &Credential {
        let PerScope { token, wide } = &self.credentials;
        if wide.badness(now) > token.badness(now) { wide } else { token }
    }
}

impl Credential {
    fn report(&mut self, answer: &Answer, took: Duration, now: Instant) -> bool {
        let failed = matches!(answer.verdict, Verdict::Transient | Verdict::Misconfigured);
        self.calls.note(now, took, !failed);
        let began = now.checked_sub(took).unwrap_or(now);
        if matches!(answer.verdict, Verdict::Done(_) | Verdict::Contradicted | Verdict::Unsupported) {
            self.doubts.succeeded(began, now);
            self.undecided = 0;
        }
        self.undecided += usize::from(answer.verdict == Verdict::Doubted);
        // A target's call that was under way when a probe was refused does not take that back.
        if !failed && self.breaker.own_probe_at().is_some() && self.doubts.is_older_than_refusal(began) {
            return false;
        }
        let changed = self.learn(answer, now);
        // Where a target was the probe, the next one is the provider's own.
        self.breaker.spare_targets(self.has_probe);
        changed
    }

    fn learn(&mut self, answer: &Answer, now: Instant) -> bool {
        match answer.verdict {
            Verdict::Transient | Verdict::Misconfigured => {
                self.last_failure_at = Some(now);
                self.last_error.clone_from(&answer.error);
            }
            Verdict::Doubted => {}
            _ => self.last_success_at = Some(now),
        }
        self.breaker.report(answer, &self.calls, now, rand::random())
    }

    fn badness(&self, now: Instant) -> (u8, Option<Instant>) {
        let level = match self.breaker.name(now) {
            "closed" => 0,
            "half_open" => 1,
            _ => 2,
        };
        (level, self.last_failure_at)
    }
}
