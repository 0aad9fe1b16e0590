//! Permits: each is the right to make one call to a provider, and they are given out in turn.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::breaker::Decision;
use super::health::Health;
use super::lanes::{Call, Lanes, Next};
use super::probes::Probes;
use super::room::{Memory, Room};
use crate::event::{Lane, Party};
use crate::outcome::Answer;
use crate::provider::Provider;
use crate::target::{PerScope, Scope};

/// What a provider's settings allow.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most calls of this worker at once.
    pub concurrency: usize,
    /// Most requests a second of all workers together; `None`: as many as the calls at once make.
    pub rate_per_s: Option<f64>,
    /// Longest that the provider's `Retry-After` is waited.
    pub retry_after_max: Duration,
}

/// One provider and who may call it.
pub struct Admission {
    /// The provider.
    pub provider: Provider,
    pub(super) limits: Limits,
    pub(super) memory: Memory,
    state: Mutex<State>,
    pub(super) probes: Probes,
    /// An operator has ended a wait.
    pub(super) resumed: Notify,
    /// The last of operators' orders that was followed; negative: none was looked for yet.
    pub(super) followed: AtomicI64,
}

/// What calls change, under one lock.
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
    admission: Arc<Admission>,
    call: Call,
    is_probe: bool,
    is_reported: bool,
    is_returned: bool,
}

impl Admission {
    /// Closed breakers, all slots free. With a rate, no call is admitted until the worker knows its share of
    /// it.
    pub fn new(provider: Provider, limits: Limits) -> Arc<Self> {
        let now = Instant::now();
        let mut lanes = Lanes::new(limits.concurrency, now);
        lanes.set_rate(limits.rate_per_s.map(|_| 0.0));
        let has_probe = PerScope::new(|scope| provider.has_probe(scope));
        let health = Health::new(provider.name().clone(), has_probe, limits.retry_after_max, now);
        let state = State { health, lanes, is_timed: false, is_watched: PerScope::default() };
        Arc::new(Self {
            provider,
            limits,
            memory: Memory::new(),
            state: Mutex::new(state),
            probes: Probes::default(),
            resumed: Notify::new(),
            followed: AtomicI64::new(-1),
        })
    }

    /// How many targets to claim: what memory has room for, or one for a probe, or none.
    pub fn wanted(&self, lane: Lane, scope: Scope) -> usize {
        let (state, now) = (self.lock(), Instant::now());
        let (rate, pace) = (state.lanes.rate(), state.health.pace(self.limits.concurrency, now));
        self.memory.wanted(lane, rate, pace).min(state.health.breaker(scope).wanted(now))
    }

    /// Room for `targets` that are claimed, if there is any.
    pub fn room(&self, lane: Lane, targets: usize) -> Option<Room> {
        self.memory.places(lane).take(targets)
    }

    /// Room for `targets` of a user that have just arrived, if that leaves others theirs and the breaker of
    /// calls for tokens lets so many through.
    pub fn reserve(&self, lane: Lane, party: Party, targets: usize) -> Option<Room> {
        if self.lock().health.breaker(Scope::Token).wanted(Instant::now()) < targets {
            return None;
        }
        self.memory.places(lane).take_for(party, targets)
    }

    /// A lease for `targets` of a user for which [`reserve`](Self::reserve) has no room now: they are read
    /// back from Postgres when there is some.
    pub fn reserve_ahead(&self, party: Party, targets: usize) -> Option<Room> {
        let (state, now) = (self.lock(), Instant::now());
        if state.health.breaker(Scope::Token).wanted(now) < targets {
            return None;
        }
        let (rate, pace) = (state.lanes.rate(), state.health.pace(self.limits.concurrency, now));
        drop(state);
        // A rate alone tells nothing of a provider that has answered nobody yet.
        pace.and_then(|pace| self.memory.take_ahead(party, targets, rate, pace))
    }

    /// Whether the breaker would send such a call away now.
    pub fn rejects(&self, scope: Scope) -> bool {
        self.lock().health.breaker(scope).decide(Instant::now()) == Decision::Reject
    }

    /// Waits for a call's turn; `None` where the breaker rejects it.
    pub async fn permit(self: &Arc<Self>, call: Call) -> Option<CallPermit> {
        let (turn, permit) = oneshot::channel();
        self.lock().lanes.wait(call, turn);
        self.dispatch();
        permit.await.ok()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
                let admission = self.clone();
                Some((turn, CallPermit { admission, call, is_probe, is_reported: false, is_returned: false }))
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

async fn dispatch_at(admission: Arc<Admission>, at: Instant) {
    tokio::time::sleep_until(at.into()).await;
    admission.lock().is_timed = false;
    admission.dispatch();
}

pub(super) fn hand(turn: oneshot::Sender<CallPermit>, permit: CallPermit) {
    if let Err(mut permit) = turn.send(permit) {
        // Gone this very moment. Dropping the permit would dispatch again from within, one call deeper for
        // each that is gone.
        permit.give_back();
    }
}

impl CallPermit {
    /// Says what came of the call. Returns whether such calls are to be left alone.
    pub fn report(mut self, answer: &Answer, took: Duration) -> bool {
        self.is_reported = true;
        let scope = self.call.scope;
        let is_left_alone = {
            let mut state = self.admission.lock();
            state.health.report(scope, answer, took);
            state.health.breaker(scope).name(Instant::now()) != "closed"
        };
        if is_left_alone {
            self.admission.watch(scope);
        }
        is_left_alone
    }

    /// Gives its slot back, to be given to the next by whoever dispatches.
    fn give_back(&mut self) {
        self.is_returned = true;
        let mut state = self.admission.lock();
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
            self.admission.dispatch();
        }
    }
}
