//! Permits: each is the right to make one call to a provider, and they are given out in turn.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::breaker::Decision;
use super::health::Health;
use super::lanes::{Call, Lanes, Next};
use super::probing::{self, Probes};
use crate::outcome::Answer;
use crate::target::{PerScope, Scope};

/// What gives out one provider's permits; shared with the permits that are out and with the probes.
pub(super) struct Permits {
    state: Mutex<State>,
    pub(super) probes: Probes,
    /// An operator has ended a wait.
    pub(super) resumed: Notify,
}

pub(super) struct State {
    pub(super) health: Health,
    pub(super) lanes: Lanes<oneshot::Sender<CallPermit>>,
    /// Whether a timer runs until the rate allows the next call.
    is_timed: bool,
    /// Whether a task makes the provider's own probes.
    pub(super) is_watched: PerScope<bool>,
}

/// The right to make one call. Dropping it unused takes back a probe, and what the call would have cost of
/// the rate.
pub struct CallPermit {
    permits: Arc<Permits>,
    call: Call,
    is_probe: bool,
    is_reported: bool,
    is_returned: bool,
}

impl Permits {
    /// None out.
    pub(super) fn new(
        health: Health,
        lanes: Lanes<oneshot::Sender<CallPermit>>,
        probes: Probes,
    ) -> Arc<Self> {
        let state = State { health, lanes, is_timed: false, is_watched: PerScope::default() };
        Arc::new(Self { state: Mutex::new(state), probes, resumed: Notify::new() })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn of a call; `None` where its breaker rejects it.
    pub(super) async fn wait(self: &Arc<Self>, call: Call) -> Option<CallPermit> {
        let (turn, permit) = oneshot::channel();
        self.lock().lanes.wait(call, turn);
        self.dispatch();
        permit.await.ok()
    }

    /// Gives permits to whoever's turn it is, and sends those away whom a breaker rejects.
    pub(super) fn dispatch(self: &Arc<Self>) {
        loop {
            let Some((turn, permit)) = self.next() else { return };
            hand(turn, permit);
        }
    }

    fn next(self: &Arc<Self>) -> Option<(oneshot::Sender<CallPermit>, CallPermit)> {
        let (mut state, now) = (self.lock(), Instant::now());
        match state.next(now) {
            Next::Call(call, turn) => {
                let is_probe = state.health.breaker_mut(call.scope).admit(now) == Decision::Probe;
                let permits = self.clone();
                Some((turn, CallPermit { permits, call, is_probe, is_reported: false, is_returned: false }))
            }
            Next::At(at) => {
                if !std::mem::replace(&mut state.is_timed, true) {
                    tokio::spawn(dispatch_at(self.clone(), at));
                }
                None
            }
            Next::Idle => None,
        }
    }
}

impl State {
    /// Whoever's turn it is, of those whom no breaker rejects.
    fn next(&mut self, now: Instant) -> Next<oneshot::Sender<CallPermit>> {
        self.lanes.forget(oneshot::Sender::is_closed);
        for scope in Scope::ALL {
            if self.health.breaker(scope).decide(now) == Decision::Reject {
                drop(self.lanes.dismiss(scope));
            }
        }
        self.lanes.next(self.health.open_slots(self.lanes.slots(), now), now)
    }
}

async fn dispatch_at(permits: Arc<Permits>, at: Instant) {
    tokio::time::sleep_until(at.into()).await;
    permits.lock().is_timed = false;
    permits.dispatch();
}

pub(super) fn hand(turn: oneshot::Sender<CallPermit>, permit: CallPermit) {
    if let Err(mut permit) = turn.send(permit) {
        // Gone this very moment. Dropping the permit would dispatch again from within, one call deeper for each
        // that is gone.
        permit.give_back();
    }
}

impl CallPermit {
    /// Says what came of the call. Returns whether such calls are to be left alone.
    pub fn report(mut self, answer: &Answer, took: Duration) -> bool {
        self.is_reported = true;
        let scope = self.call.scope;
        let is_left_alone = {
            let mut state = self.permits.lock();
            state.health.report(scope, answer, took);
            state.health.breaker(scope).name() != "closed"
        };
        if is_left_alone {
            probing::watch(&self.permits, scope);
        }
        is_left_alone
    }

    /// Gives its slot back, to be given to the next by whoever dispatches.
    fn give_back(&mut self) {
        self.is_returned = true;
        let mut state = self.permits.lock();
        if !self.is_reported {
            state.lanes.refund(self.call.requests);
            if self.is_probe {
                state.health.breaker_mut(self.call.scope).withdraw();
            }
        }
        state.lanes.release(self.call);
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        if !self.is_returned {
            self.give_back();
            self.permits.dispatch();
        }
    }
}
