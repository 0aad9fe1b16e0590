//! The provider's own probes, outside slots and rate: whose fault an answer in doubt is, and whether what
//! pauses the provider is mended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::Admission;
use super::doubts::{Doubt, Finding};
use super::permit::Permits;
use crate::outcome::{Answer, Verdict};
use crate::provider::Provider;
use crate::target::{PerScope, Scope};

/// Least time from one probe to the next: a crowd of answers in doubt shares one.
const APART: Duration = Duration::from_millis(250);

/// What probes come to.
const RESULTS: [&str; 4] = ["accepted", "refused", "unanswered", "nothing"];

/// One probe at a time, with either credential.
pub(super) struct Probes {
    provider: Arc<Provider>,
    last: PerScope<Mutex<Option<Made>>>,
    /// How many came to each of [`RESULTS`].
    counts: [AtomicU64; RESULTS.len()],
}

/// A probe, and what it meant.
struct Made {
    began: Instant,
    finding: Finding,
}

impl Probes {
    /// None made yet.
    pub(super) fn of(provider: Arc<Provider>) -> Self {
        Self { provider, last: PerScope::default(), counts: Default::default() }
    }

    /// How many came to what.
    pub(super) fn results(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RESULTS.into_iter().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    fn count(&self, finding: &Finding) {
        let place = match finding {
            Finding::Accepted => 0,
            Finding::Refused { .. } => 1,
            Finding::Unanswered(_) => 2,
            Finding::Nothing => 3,
        };
        self.counts[place].fetch_add(1, Ordering::Relaxed);
    }
}

impl Admission {
    /// The answer to a target's call, in doubt where it is a redirect that may be meant for this target
    /// alone.
    pub(crate) fn redirect_in_doubt(&self, scope: Scope, answer: Answer) -> Answer {
        self.permits.lock().health.redirect_in_doubt(scope, answer)
    }

    /// Decides what an answer in doubt means, by a probe that begins after it, which all who wait share. The
    /// caller holds no permit.
    pub(crate) async fn rule(&self, scope: Scope, doubt: Doubt, answer: Answer) -> Answer {
        let _undecided = Undecided { permits: &self.permits, scope };
        if self.held_for().is_some() {
            return answer
                .ruled(Verdict::Doubted, "the provider asked to be left alone: it is tried again then");
        }
        let finding = self.permits.probe(scope, doubt.answered).await;
        let answer = self.permits.lock().health.rule(scope, doubt, answer, finding);
        watch(&self.permits, scope);
        answer
    }

    /// Tries what is still left alone with the provider's own probe, so that it need not wait for a target.
    pub(super) fn probe_what_fails(&self) {
        for scope in Scope::ALL {
            if self.permits.lock().health.breaker(scope).waits_for_target() {
                let permits = self.permits.clone();
                tokio::spawn(async move { permits.probe(scope, Instant::now()).await });
            }
        }
    }
}

/// As long as this lives, an answer is in doubt.
struct Undecided<'a> {
    permits: &'a Arc<Permits>,
    scope: Scope,
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        self.permits.lock().health.decided(self.scope);
        self.permits.dispatch();
    }
}

impl Permits {
    /// What a probe means that began after `after`.
    async fn probe(self: &Arc<Self>, scope: Scope, after: Instant) -> Finding {
        let Probes { provider, last, .. } = &self.probes;
        if !provider.has_probe(scope) {
            return Finding::Nothing;
        }
        let mut last = last[scope].lock().await;
        match &*last {
            Some(made) if made.began > after => return made.finding.clone(),
            Some(made) => tokio::time::sleep_until((made.began + APART).into()).await,
            None => {}
        }
        let began = Instant::now();
        let Some(probed) = provider.try_credentials(scope).await else { return Finding::Nothing };
        let finding = self.lock().health.probed(scope, probed, began);
        self.probes.count(&finding);
        *last = Some(Made { began, finding: finding.clone() });
        drop(last);
        watch(self, scope);
        self.dispatch();
        finding
    }

    /// When the next probe of a paused provider is due; `None`: no more by this watch.
    fn next_probe_at(&self, scope: Scope) -> Option<Instant> {
        let mut state = self.lock();
        let at = state.health.breaker(scope).own_probe_at();
        state.is_watched[scope] = at.is_some();
        at
    }

    /// Whether the probe is still due then.
    fn begin_probe(&self, scope: Scope, at: Instant) -> bool {
        let mut state = self.lock();
        let breaker = state.health.breaker_mut(scope);
        let is_due = breaker.own_probe_at() == Some(at);
        if is_due {
            breaker.begin_own_probe();
        }
        is_due
    }
}

/// Probes a provider that a person has to mend, or that targets alone may fail at, until it is well, or until
/// a target has to be the probe.
pub(super) fn watch(permits: &Arc<Permits>, scope: Scope) {
    if std::mem::replace(&mut permits.lock().is_watched[scope], true) {
        return;
    }
    if permits.next_probe_at(scope).is_some() {
        tokio::spawn(probe_while_paused(permits.clone(), scope));
    }
}

async fn probe_while_paused(permits: Arc<Permits>, scope: Scope) {
    loop {
        // Before the next probe's time is read: an operator who ends the wait now is not missed.
        let resumed = permits.resumed.notified();
        let Some(at) = permits.next_probe_at(scope) else { return };
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {}
            () = resumed => continue,
        }
        if permits.begin_probe(scope, at) {
            // One that began earlier may have been learnt from before this one was announced.
            permits.probe(scope, Instant::now()).await;
        }
    }
}
