//! The provider's own probes, outside slots and rate: whose fault an answer in doubt is, and whether what
//! pauses the provider is mended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::doubts::{Doubt, Finding};
use super::{Admission, Core, dispatch};
use crate::outcome::{Answer, Verdict};
use crate::provider::Provider;

/// Least time from one probe to the next: a crowd of answers in doubt shares one.
const APART: Duration = Duration::from_millis(250);

/// One probe at a time, for tokens and for wide calls.
pub(super) struct Probes {
    provider: Arc<Provider>,
    last: [Mutex<Option<Made>>; 2],
}

/// A probe, and what it meant.
struct Made {
    began: Instant,
    finding: Finding,
}

impl Probes {
    /// None made yet.
    pub(super) fn of(provider: Arc<Provider>) -> Self {
        Self { provider, last: Default::default() }
    }
}

impl Admission {
    /// The answer to a target's call, in doubt where it is a redirect that may be meant for this target
    /// alone.
    pub(crate) fn redirect_in_doubt(&self, wide: bool, answer: Answer) -> Answer {
        self.core.state().health.redirect_in_doubt(wide, answer)
    }

    /// Decides what an answer in doubt means, by a probe that begins after it, which all who wait share. The
    /// caller holds no slot.
    pub(crate) async fn rule(&self, wide: bool, doubt: Doubt, answer: Answer) -> Answer {
        let _undecided = Undecided { core: &self.core, wide };
        if self.held_for().is_some() {
            return answer
                .ruled(Verdict::Doubted, "the provider asked to be left alone: it is tried again then");
        }
        let finding = self.core.probe(wide, doubt.answered).await;
        let answer = self.core.state().health.rule(&self.core.name, wide, doubt, answer, finding);
        watch(&self.core, wide);
        answer
    }
}

impl Admission {
    /// Tries what is still left alone with the provider's own probe, so that it need not wait for a target.
    pub(super) fn probe_what_fails(&self) {
        for wide in [false, true] {
            if self.core.state().health.breaker(wide).is_unwatched() {
                let core = self.core.clone();
                tokio::spawn(async move { core.probe(wide, Instant::now()).await });
            }
        }
    }
}

/// As long as this lives, an answer is in doubt.
struct Undecided<'a> {
    core: &'a Arc<Core>,
    wide: bool,
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        self.core.state().health.decided(self.wide);
        dispatch(self.core);
    }
}

impl Core {
    /// What a probe means that began after `after`.
    async fn probe(self: &Arc<Self>, wide: bool, after: Instant) -> Finding {
        if !self.probes.provider.has_probe(wide) {
            return Finding::Nothing;
        }
        let mut last = self.probes.last[usize::from(wide)].lock().await;
        match &*last {
            Some(made) if made.began > after => return made.finding.clone(),
            Some(made) => tokio::time::sleep_until((made.began + APART).into()).await,
            None => {}
        }
        let began = Instant::now();
        let probed = self.probes.provider.try_credentials(wide).await;
        let finding = self.state().health.probed(&self.name, wide, probed, began);
        *last = Some(Made { began, finding: finding.clone() });
        drop(last);
        watch(self, wide);
        dispatch(self);
        finding
    }

    /// When the next probe of a paused provider is due; `None`: no more by this watch.
    fn next_probe_at(&self, wide: bool) -> Option<Instant> {
        let mut state = self.state();
        let at = state.health.breaker(wide).own_probe_at();
        state.is_watched[usize::from(wide)] = at.is_some();
        at
    }

    /// Whether the probe is still due then.
    fn begin_probe(&self, wide: bool, at: Instant) -> bool {
        let mut state = self.state();
        let breaker = state.health.breaker_mut(wide);
        let is_due = breaker.own_probe_at() == Some(at);
        if is_due {
            breaker.begin_own_probe();
        }
        is_due
    }
}

/// Probes a provider that a person has to mend, or that targets alone may fail at, until it is well, or until
/// a target has to be the probe.
pub(super) fn watch(core: &Arc<Core>, wide: bool) {
    if std::mem::replace(&mut core.state().is_watched[usize::from(wide)], true) {
        return;
    }
    if core.next_probe_at(wide).is_some() {
        tokio::spawn(probe_while_paused(core.clone(), wide));
    }
}

async fn probe_while_paused(core: Arc<Core>, wide: bool) {
    loop {
        // Before the look at the time: an operator who makes it now is not missed.
        let resumed = core.resumed.notified();
        let Some(at) = core.next_probe_at(wide) else { return };
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {}
            () = resumed => continue,
        }
        if core.begin_probe(wide, at) {
            // One that began earlier may have been learnt from before this one was announced.
            core.probe(wide, Instant::now()).await;
        }
    }
}
