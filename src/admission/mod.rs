//! The gate before one provider: room for work in memory, its turn in a lane, the breakers.
//!
//! Wide calls, for anything but a token, have a breaker of their own (see `health`); slots, lanes and the
//! rate are common to all.

mod breaker;
mod calls;
mod doubts;
mod fair_queue;
mod health;
mod lanes;
mod probing;
mod room;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use crate::event::{Lane, Party};
use crate::outcome::Answer;
use crate::provider::Provider;
use crate::store::ProviderStatus;
use breaker::Decision;
use health::Healths;
use lanes::{Call, Lanes, Next, index};
use probing::Probes;
use room::Window;

pub(crate) use doubts::Doubt;
pub(crate) use fair_queue::FairQueue;
pub use room::Room;

/// Most targets of one provider in memory, by lane. What does not fit waits in Postgres and is claimed when
/// there is room.
const WINDOWS: [usize; 2] = [8192, 1024];
/// Of ordinary logouts' places so many are for those who come now, however much there is in Postgres: of
/// these a claim takes a quarter at most.
const KEPT: usize = WINDOWS[0] / 4;
/// Of mass revocations, which an operator may pause and which wait for each other, no more work than for this
/// time, as far as it is known how long that is; but at least so many targets where the provider's rate is
/// limited, and where it is not.
const AHEAD: Duration = Duration::from_secs(2);
const LEAST_AT_RATE: usize = 8;
const LEAST_AT_PACE: usize = 64;

/// The gate of one provider.
pub struct Admission {
    /// The provider behind it.
    pub provider: Arc<Provider>,
    /// Room for targets in memory, by lane.
    windows: [Arc<Window>; 2],
    /// Most requests a second of all workers together.
    rate_per_s: Option<f64>,
    /// Longest that its `Retry-After` is waited; `None`: as `[retry]` says.
    retry_after_max: Option<Duration>,
    /// The last of operators' orders that was followed; negative: none was looked for yet.
    followed: AtomicI64,
    core: Arc<Core>,
}

/// What calls under way share with the gate.
struct Core {
    name: Arc<str>,
    slots: usize,
    state: Mutex<State>,
    probes: Probes,
    /// An operator has ended a wait.
    resumed: Notify,
}

struct State {
    health: Healths,
    lanes: Lanes<oneshot::Sender<CallPermit>>,
    /// Whether somebody will look again when the rate allows the next call.
    is_timed: bool,
    /// Whether somebody makes the provider's own probes, for tokens and for wide calls.
    is_watched: [bool; 2],
}

/// The right to make one call. Dropping it unused takes back a probe, and what the call would have cost of
/// the rate.
pub struct CallPermit {
    core: Arc<Core>,
    call: Call,
    probe: bool,
    reported: bool,
    returned: bool,
}

impl Admission {
    /// Closed breakers, all slots free. With a rate, nothing goes through until the worker knows its share of
    /// it.
    pub fn new(provider: Provider, concurrency: usize, rate_per_s: Option<f64>) -> Self {
        let mut lanes = Lanes::new(concurrency, Instant::now());
        lanes.set_rate(rate_per_s.map(|_| 0.0));
        let (provider, now) = (Arc::new(provider), Instant::now());
        let health = Healths::new(now, [false, true].map(|wide| provider.has_probe(wide)));
        let state = Mutex::new(State { health, lanes, is_timed: false, is_watched: [false; 2] });
        let core = Arc::new(Core {
            name: provider.name().clone(),
            slots: concurrency,
            state,
            probes: Probes::of(provider.clone()),
            resumed: Notify::new(),
        });
        Self {
            provider,
            windows: WINDOWS.map(Window::new),
            rate_per_s,
            retry_after_max: None,
            followed: AtomicI64::new(-1),
            core,
        }
    }

    /// Room for `targets` of a user in memory, if that leaves others theirs and the provider takes calls for
    /// tokens.
    pub fn reserve(&self, lane: Lane, party: Party, targets: usize) -> Option<Room> {
        if self.core.state().health.breaker(false).appetite(Instant::now()) < targets {
            return None;
        }
        self.windows[index(lane)].take_for(party, targets)
    }

    /// Room for `targets` in memory, if there is any.
    pub fn room(&self, lane: Lane, targets: usize) -> Option<Room> {
        self.windows[index(lane)].take(targets)
    }

    /// How many targets to claim, wide ones or tokens: what has room, or one for a probe, or none.
    pub fn appetite(&self, lane: Lane, wide: bool) -> usize {
        let (state, now) = (self.core.state(), Instant::now());
        let free = self.windows[index(lane)].free();
        let room = match lane {
            // However full it is, a retry of one user comes in beside the floods of others.
            Lane::Interactive => free.saturating_sub(KEPT).max(free / 4),
            Lane::Mass => free.saturating_sub(
                WINDOWS[1] - mass_window(state.lanes.rate(), state.health.pace(self.core.slots, now)),
            ),
        };
        room.min(state.health.breaker(wide).appetite(now))
    }

    /// Whether a call, wide or for a token, would not be sent away now.
    pub fn takes_calls(&self, wide: bool) -> bool {
        self.core.state().health.breaker(wide).appetite(Instant::now()) > 0
    }

    /// Targets in memory.
    pub fn in_flight(&self) -> usize {
        self.windows.iter().map(|window| window.taken()).sum()
    }

    /// Shares the provider's rate with the other workers: `workers` in all, this one among them.
    pub fn share(&self, workers: i64) {
        let share = self.rate_per_s.map(|rate| rate / workers.max(1) as f64);
        self.core.state().lanes.set_rate(share);
    }

    /// Another worker was told by the provider to come back in `wait`.
    pub fn hold(&self, wait: Duration) {
        self.core.state().health.hold(wait, Instant::now());
    }

    /// For how long the provider asked to be left alone, if it did.
    pub fn held_for(&self) -> Option<Duration> {
        self.core.state().health.held_for(Instant::now())
    }

    /// Waits for its turn to make a call of `requests` requests; `None` where the provider is to be left
    /// alone.
    pub async fn enter(&self, lane: Lane, party: Party, wide: bool, requests: u32) -> Option<CallPermit> {
        let (turn, wait) = oneshot::channel();
        self.core.state().lanes.wait(Call { lane, party, wide, requests }, turn);
        dispatch(&self.core);
        wait.await.ok()
    }

    /// What this worker sees of the provider.
    pub fn status(&self) -> ProviderStatus {
        let seen = self.core.state().health.status(&self.core.name, Instant::now(), self.provider.clock());
        ProviderStatus { order_no: self.followed.load(Ordering::Relaxed).max(0), ..seen }
    }

    /// How many of the provider's own probes came to what.
    pub fn probes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.core.state().health.probes().into_iter()
    }

    /// `closed`, `open` or `half_open`: the worse of tokens and wide calls.
    pub fn breaker(&self) -> &'static str {
        self.core.state().health.name()
    }

    /// The same with a bound for `Retry-After`.
    #[must_use]
    pub fn honouring_at_most(self, retry_after_max: Duration) -> Self {
        self.core.state().health.set_longest_hold(retry_after_max);
        Self { retry_after_max: Some(retry_after_max), ..self }
    }

    /// Longest that the provider's `Retry-After` is waited, where it is set.
    pub fn retry_after_max(&self) -> Option<Duration> {
        self.retry_after_max
    }

    /// Ends the wait if `order` is news. What was ordered before this worker looked for the first time is
    /// not: its breakers had just begun. Returns whether it is followed now.
    pub fn follow(&self, order: i64) -> bool {
        let before = self.followed.fetch_max(order, Ordering::Relaxed);
        let is_news = (0..order).contains(&before);
        if is_news {
            self.resume();
        }
        is_news
    }

    /// An operator ends the wait.
    pub fn resume(&self) {
        let waited = self.core.state().health.resume(Instant::now());
        tracing::info!(provider = &*self.core.name, waited, "an operator has the provider called again");
        self.core.resumed.notify_waiters();
        self.probe_what_fails();
        dispatch(&self.core);
    }
}

/// Most targets of mass revocations in memory, at a rate that is this worker's share and at a pace that the
/// slots allow, both a second.
fn mass_window(rate: Option<f64>, pace: Option<f64>) -> usize {
    let work = |per_s: f64, least| ((per_s * AHEAD.as_secs_f64()) as usize).clamp(least, WINDOWS[1]);
    let (at_rate, at_pace) =
        (rate.map(|rate| work(rate, LEAST_AT_RATE)), pace.map(|pace| work(pace, LEAST_AT_PACE)));
    at_rate.into_iter().chain(at_pace).min().unwrap_or(LEAST_AT_PACE)
}

/// Gives passes to whoever's turn it is, and sends everyone away while the provider is to be left alone.
fn dispatch(core: &Arc<Core>) {
    loop {
        let Some((turn, pass)) = core.state().next(core) else { return };
        hand(turn, pass);
    }
}

fn hand(turn: oneshot::Sender<CallPermit>, pass: CallPermit) {
    if let Err(mut pass) = turn.send(pass) {
        // Gone this very moment. Dropping it would dispatch again from within, one call deeper for each that
        // is gone.
        pass.give_back();
    }
}

impl Core {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whoever's turn it is.
    fn next(&mut self, core: &Arc<Core>) -> Option<(oneshot::Sender<CallPermit>, CallPermit)> {
        let now = Instant::now();
        self.lanes.forget(oneshot::Sender::is_closed);
        for wide in [false, true] {
            if self.health.breaker(wide).appetite(now) == 0 {
                drop(self.lanes.dismiss(wide));
            }
        }
        match self.lanes.next(self.health.open_slots(core.slots, now), now) {
            Next::Call(call, turn) => {
                let probe = self.health.breaker_mut(call.wide).admit(now) == Decision::Probe;
                Some((turn, CallPermit { core: core.clone(), call, probe, reported: false, returned: false }))
            }
            Next::At(at) => {
                if !std::mem::replace(&mut self.is_timed, true) {
                    look_again(core.clone(), at);
                }
                None
            }
            Next::Idle => None,
        }
    }
}

fn look_again(core: Arc<Core>, at: Instant) {
    tokio::spawn(async move {
        tokio::time::sleep_until(at.into()).await;
        core.state().is_timed = false;
        dispatch(&core);
    });
}

impl CallPermit {
    /// Tells the gate what came of the call. Returns whether such calls are to be left alone.
    pub fn report(mut self, answer: &Answer, took: Duration) -> bool {
        self.reported = true;
        let wide = self.call.wide;
        let is_open = {
            let mut state = self.core.state();
            state.health.report(&self.core.name, wide, answer, took);
            state.health.breaker(wide).name() != "closed"
        };
        probing::watch(&self.core, wide);
        is_open
    }

    /// Gives its slot back, to be given to the next by whoever asks for it.
    fn give_back(&mut self) {
        self.returned = true;
        let mut state = self.core.state();
        if !self.reported {
            state.lanes.refund(self.call.requests);
            if self.probe {
                state.health.breaker_mut(self.call.wide).withdraw();
            }
        }
        state.lanes.release(self.call);
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        if !self.returned {
            self.give_back();
            dispatch(&self.core);
        }
    }
}
