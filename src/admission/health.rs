//! How the calls to a provider fare that are made with one credential: their breaker, their record, the last
//! good and the last bad news.
//!
//! Tokens are revoked as the OAuth client; sessions and subjects mostly with an administrator's credentials.
//! A role that is missing there must not pause the logouts that need none, so each has a breaker of its own.

use std::time::{Duration, Instant};

use super::breaker::Breaker;
use super::calls::Calls;
use super::doubts::{Doubt, Doubts, Finding, Ruling};
use crate::clock::Clock;
use crate::outcome::{Answer, Proof, Verdict};
use crate::provider::Probed;
use crate::store::ProviderStatus;

/// The calls with one credential.
struct Health {
    breaker: Breaker,
    calls: Calls,
    doubts: Doubts,
    /// Answers in doubt since the last success on which the probe has not decided yet.
    undecided: usize,
    /// Whether the provider has a probe of its own for this credential.
    has_probe: bool,
    /// How many probes came to each of [`RESULTS`].
    probes: [u64; RESULTS.len()],
    last_success_at: Option<Instant>,
    last_failure_at: Option<Instant>,
    last_error: Option<String>,
}

/// The calls for tokens, and those for whole sessions, subjects and more.
pub(super) struct Healths([Health; 2]);

/// What probes come to.
pub(super) const RESULTS: [&str; 4] = ["accepted", "refused", "unanswered", "nothing"];

impl Healths {
    /// Closed breakers, no calls; whether the provider has probes of its own for tokens and for wide calls.
    pub(super) fn new(now: Instant, has_probe: [bool; 2]) -> Self {
        Self(has_probe.map(|has_probe| Health {
            breaker: Breaker::default(),
            calls: Calls::new(now),
            doubts: Doubts::default(),
            undecided: 0,
            has_probe,
            probes: Default::default(),
            last_success_at: None,
            last_failure_at: None,
            last_error: None,
        }))
    }

    /// The breaker of wide calls, or of those for tokens.
    pub(super) fn breaker(&self, wide: bool) -> &Breaker {
        &self.0[usize::from(wide)].breaker
    }

    /// The same, to be asked for admission.
    pub(super) fn breaker_mut(&mut self, wide: bool) -> &mut Breaker {
        &mut self.0[usize::from(wide)].breaker
    }

    /// Of `slots`, how many are open for tokens and how many for wide calls. While nothing but doubt comes
    /// back, no crowd follows those who are in it; a few do, because one of them may be the success that says
    /// that it is not us.
    pub(super) fn open_slots(&self, slots: usize, now: Instant) -> [usize; 2] {
        self.0.each_ref().map(|health| {
            let open = health.breaker.open_slots(slots, now);
            open.saturating_sub(health.undecided).max(open.div_ceil(4))
        })
    }

    /// It is decided on an answer in doubt, or nobody waits for that any more.
    pub(super) fn decided(&mut self, wide: bool) {
        let undecided = &mut self.0[usize::from(wide)].undecided;
        *undecided = undecided.saturating_sub(1);
    }

    /// How many calls `slots` make a second when all are in use, as long as calls took lately; `None` without
    /// calls.
    pub(super) fn pace(&self, slots: usize, now: Instant) -> Option<f64> {
        let calls = self.0.iter().map(|health| health.calls.recent(now).calls).sum::<u64>();
        let busy = self.0.iter().map(|health| health.calls.busy(now).as_secs_f64()).sum::<f64>();
        (calls > 0).then(|| slots as f64 * calls as f64 / busy.max(f64::MIN_POSITIVE))
    }

    /// For how long the provider asked to be left alone, if it did.
    pub(super) fn held_for(&self, now: Instant) -> Option<Duration> {
        self.0.iter().filter_map(|health| health.breaker.held_for(now)).max()
    }

    /// The provider asked to be left alone, whoever calls.
    pub(super) fn hold(&mut self, wait: Duration, now: Instant) {
        self.0.iter_mut().for_each(|health| health.breaker.hold(wait, now));
    }

    /// A target's redirect, while a probe can tell whether everybody is redirected: it is in doubt, because a
    /// firewall may send only this target away.
    pub(super) fn redirect_in_doubt(&self, wide: bool, answer: Answer) -> Answer {
        let is_redirect =
            answer.verdict == Verdict::Misconfigured && matches!(answer.http_status, Some(300..=399));
        if is_redirect && self.0[usize::from(wide)].doubts.trusts_probe() {
            Answer { verdict: Verdict::Doubted, ..answer }
        } else {
            answer
        }
    }

    /// Learns from an answer; logs when the breaker's state changes.
    pub(super) fn report(&mut self, provider: &str, wide: bool, answer: &Answer, took: Duration) {
        let now = Instant::now();
        let changed = self.0[usize::from(wide)].report(answer, took, now);
        self.share_hold(wide, answer, now);
        if changed {
            log(provider, wide, self.breaker(wide).name(), answer);
        }
    }

    /// What a probe means that was made from `began` on; logs when the breaker's state changes.
    pub(super) fn probed(
        &mut self,
        provider: &str,
        wide: bool,
        probed: Option<Probed>,
        began: Instant,
    ) -> Finding {
        let (now, health) = (Instant::now(), &mut self.0[usize::from(wide)]);
        let Some(probed) = probed else { return Finding::Nothing };
        let finding = health.doubts.probed(probed, began, now);
        health.probes[finding.place()] += 1;
        let answer = match &finding {
            Finding::Accepted => Answer::done(Proof::Accepted, None),
            Finding::Refused { answer, .. } | Finding::Unanswered(answer) => answer.clone(),
            Finding::Nothing => {
                health.breaker.withdraw();
                health.breaker.spare_targets(false);
                return finding;
            }
        };
        // Where the provider may be one that refuses its probe always, the next one is a target.
        health.breaker.spare_targets(!matches!(finding, Finding::Refused { untested: true, .. }));
        self.learn(provider, wide, &answer);
        finding
    }

    /// Decides on an answer in doubt. What a probe showed has been learnt already.
    pub(super) fn rule(
        &mut self,
        provider: &str,
        wide: bool,
        doubt: Doubt,
        answer: Answer,
        finding: Finding,
    ) -> Answer {
        let ruling = self.0[usize::from(wide)].doubts.rule(doubt, finding);
        let answer = ruling.applied(answer, wide);
        if let Ruling::Us { by_probe: false } = ruling {
            self.learn(provider, wide, &answer);
        }
        answer
    }

    /// Learns what was found out beside the calls.
    fn learn(&mut self, provider: &str, wide: bool, answer: &Answer) {
        let (now, health) = (Instant::now(), &mut self.0[usize::from(wide)]);
        let changed = health.learn(answer, now);
        self.share_hold(wide, answer, now);
        if changed {
            log(provider, wide, self.breaker(wide).name(), answer);
        }
    }

    /// A provider that asks to be left alone asks it of everybody.
    fn share_hold(&mut self, wide: bool, answer: &Answer, now: Instant) {
        if let (Verdict::Transient, Some(wait)) =
            (answer.verdict, answer.retry_after.filter(|wait| !wait.is_zero()))
        {
            self.breaker_mut(!wide).hold(wait, now);
        }
    }

    /// How many probes came to what.
    pub(super) fn probes(&self) -> [(&'static str, u64); RESULTS.len()] {
        std::array::from_fn(|place| (RESULTS[place], self.0.iter().map(|health| health.probes[place]).sum()))
    }

    /// What this worker sees of the provider: the worse of both, and all calls.
    pub(super) fn status(&self, provider: &str, now: Instant, clock: &Clock) -> ProviderStatus {
        let (worse, records) = (self.worse(), self.0.each_ref().map(|health| &health.calls));
        let sum = |count: fn(&Calls, Instant) -> u64| {
            i64::try_from(records.map(|calls| count(calls, now)).iter().sum::<u64>())
        };
        ProviderStatus {
            provider: provider.to_owned(),
            breaker: worse.breaker.name(),
            last_success_at: self
                .0
                .iter()
                .filter_map(|health| health.last_success_at)
                .max()
                .map(|at| clock.at(at)),
            last_failure_at: self
                .0
                .iter()
                .filter_map(|health| health.last_failure_at)
                .max()
                .map(|at| clock.at(at)),
            last_error: worse.last_error.clone(),
            calls_5m: sum(|calls, now| calls.all(now).calls).unwrap_or(i64::MAX),
            failures_5m: sum(|calls, now| calls.all(now).failures).unwrap_or(i64::MAX),
            p50_ms_5m: Calls::quantile_ms(records, now, 0.5),
            p95_ms_5m: Calls::quantile_ms(records, now, 0.95),
            held_for: self.held_for(now),
            order_no: 0,
        }
    }

    /// `closed`, `open` or `half_open`: the worse of both.
    pub(super) fn name(&self) -> &'static str {
        self.worse().breaker.name()
    }

    /// The one that fares worse; of equals, the one that failed last.
    fn worse(&self) -> &Health {
        let [tokens, wide] = &self.0;
        if wide.badness() > tokens.badness() { wide } else { tokens }
    }

    /// The longest that a `Retry-After` holds the provider back.
    pub(super) fn set_longest_hold(&mut self, longest: Duration) {
        self.0.iter_mut().for_each(|health| health.breaker.set_longest_hold(longest));
    }

    /// An operator ends the wait, whoever calls. Returns whether there was one.
    pub(super) fn resume(&mut self, now: Instant) -> bool {
        self.0.each_mut().map(|health| health.breaker.resume(now)).contains(&true)
    }
}

impl Finding {
    /// Its place among the [`RESULTS`].
    fn place(&self) -> usize {
        match self {
            Self::Accepted => 0,
            Self::Refused { .. } => 1,
            Self::Unanswered(_) => 2,
            Self::Nothing => 3,
        }
    }
}

impl Health {
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

    fn badness(&self) -> (u8, Option<Instant>) {
        let level = match self.breaker.name() {
            "closed" => 0,
            "half_open" => 1,
            _ => 2,
        };
        (level, self.last_failure_at)
    }
}

fn log(provider: &str, wide: bool, breaker: &str, answer: &Answer) {
    let (calls, error) = (if wide { "sessions and subjects" } else { "tokens" }, answer.error.as_deref());
    if breaker == "open" {
        tracing::error!(
            provider,
            calls,
            breaker,
            error,
            "provider left alone: its targets wait and spend no attempt until a probe is answered or its \
                Retry-After has passed"
        );
    } else {
        tracing::info!(provider, calls, breaker, "provider answers again");
    }
}
