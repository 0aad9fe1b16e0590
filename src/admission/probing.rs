//! The provider's own probes, outside slots and rate: whose fault an answer in doubt is, and whether what
//! pauses the provider is mended.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Admission;
use super::doubts::{Doubt, Finding};
use super::probes::Made;
use crate::outcome::{Answer, Verdict};
use crate::provider::Probed;
use crate::target::{Scope, TargetId};

/// Least time from one probe to the next: a crowd of answers in doubt shares one.
const APART: Duration = Duration::from_millis(250);

impl Admission {
    /// How many probes came to what.
    pub fn probes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.probes.counts()
    }

    /// The answer to a target's call, in doubt where it is a redirect that may be meant for this target
    /// alone.
    pub(crate) fn redirect_in_doubt(&self, scope: Scope, answer: Answer) -> Answer {
        self.lock().health.redirect_in_doubt(scope, answer)
    }

    /// What the answer to a target says of its provider.
    pub(crate) fn of_provider<'a>(
        &self,
        scope: Scope,
        target: TargetId,
        answer: &'a Answer,
    ) -> Cow<'a, Answer> {
        match answer.retry_after {
            Some(_) if !self.lock().health.is_for_all(scope, target) => {
                Cow::Owned(Answer { retry_after: None, ..answer.clone() })
            }
            _ => Cow::Borrowed(answer),
        }
    }

    /// Decides what an answer in doubt means, by a probe that begins after it, which all who wait share. The
    /// caller holds no permit.
    pub(crate) async fn rule(self: &Arc<Self>, scope: Scope, doubt: Doubt, answer: Answer) -> Answer {
        let _undecided = Undecided { admission: self, scope };
        if self.held_for().is_some() {
            return answer
                .ruled(Verdict::Doubted, "the provider asked to be left alone: it is tried again then");
        }
        let finding = self.probe(scope, doubt.answered).await;
        let answer = self.lock().health.rule(scope, doubt, answer, finding);
        self.watch(scope);
        answer
    }

    /// Tries what is still left alone with the provider's own probe, so that it need not wait for a target.
    pub(super) fn probe_what_fails(self: &Arc<Self>) {
        for scope in Scope::ALL {
            if self.lock().health.breaker(scope).waits_for_target() {
                let admission = self.clone();
                tokio::spawn(async move { admission.probe(scope, Instant::now()).await });
            }
        }
    }
}

/// As long as this lives, an answer is in doubt.
struct Undecided<'a> {
    admission: &'a Arc<Admission>,
    scope: Scope,
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        self.admission.lock().health.decided(self.scope);
        self.admission.dispatch();
    }
}

impl Admission {
    /// What a probe means that began after `after`.
    async fn probe(self: &Arc<Self>, scope: Scope, after: Instant) -> Finding {
        if !self.provider.has_probe(scope) {
            return Finding::Nothing;
        }
        let mut last = self.probes.last[scope].lock().await;
        match &*last {
            Some(made) if made.began > after => return made.finding.clone(),
            Some(made) => tokio::time::sleep_until((made.began + APART).into()).await,
            None => {}
        }
        let began = Instant::now();
        let probed = self.provider.try_credentials(scope).await.unwrap_or(Probed::Nothing);
        let finding = self.lock().health.probed(scope, probed, began);
        self.probes.count(&finding);
        *last = Some(Made { began, finding: finding.clone() });
        drop(last);
        self.watch(scope);
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

    /// Probes a provider that a person has to mend, or that targets alone may fail at, until it is well, or
    /// until a target has to be the probe.
    pub(super) fn watch(self: &Arc<Self>, scope: Scope) {
        if std::mem::replace(&mut self.lock().is_watched[scope], true) {
            return;
        }
        if self.next_probe_at(scope).is_some() {
            tokio::spawn(probe_while_paused(self.clone(), scope));
        }
    }
}

async fn probe_while_paused(admission: Arc<Admission>, scope: Scope) {
    loop {
        // Before the next probe's time is read: an operator who ends the wait now is not missed.
        let resumed = admission.resumed.notified();
        let Some(at) = admission.next_probe_at(scope) else { return };
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {}
            () = resumed => continue,
        }
        if admission.begin_probe(scope, at) {
            // One that began earlier may have been learnt from before this one was announced.
            admission.probe(scope, Instant::now()).await;
        }
    }
}
