//! The gate before one provider: room for work in memory, its turn in a lane, the breaker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::breaker::{Admission, Breaker};
use super::calls::Calls;
use super::lanes::{Lanes, Next};
use crate::event::Lane;
use crate::outcome::{Answer, Verdict};
use crate::provider::Provider;
use crate::store::ProviderStatus;

/// Most targets of one provider in memory, by lane. What does not fit waits in Postgres and is claimed when there is room.
/// Of mass revocations, which an operator may pause, no more than a moment's work.
const WINDOWS: [usize; 2] = [8192, 1024];

/// The gate of one provider.
pub struct Gate {
    /// The provider behind it.
    pub provider: Provider,
    /// Room for targets in memory, by lane.
    windows: [Arc<Semaphore>; 2],
    /// Most requests a second of all workers together.
    rate_per_s: Option<f64>,
    core: Arc<Core>,
}

/// What calls under way share with the gate.
struct Core {
    name: Arc<str>,
    slots: usize,
    state: Mutex<State>,
}

struct State {
    breaker: Breaker,
    lanes: Lanes<oneshot::Sender<Pass>>,
    /// Whether somebody will look again when the rate allows the next call.
    is_timed: bool,
    calls: Calls,
    last_success_at: Option<OffsetDateTime>,
    last_failure_at: Option<OffsetDateTime>,
    last_error: Option<String>,
}

/// The right to make one call. Dropping it unused takes back a probe, and what the call would have cost of the rate.
pub struct Pass {
    core: Arc<Core>,
    lane: Lane,
    requests: u32,
    probe: bool,
    reported: bool,
}

fn lane_index(lane: Lane) -> usize {
    match lane {
        Lane::Interactive => 0,
        Lane::Mass => 1,
    }
}

impl Gate {
    /// A closed breaker, all slots free. With a rate, nothing goes through until the worker knows its share of it.
    pub fn new(provider: Provider, concurrency: usize, rate_per_s: Option<f64>) -> Self {
        let mut lanes = Lanes::new(concurrency, Instant::now());
        lanes.set_rate(rate_per_s.map(|_| 0.0));
        let state = State {
            breaker: Breaker::default(),
            lanes,
            is_timed: false,
            calls: Calls::new(Instant::now()),
            last_success_at: None,
            last_failure_at: None,
            last_error: None,
        };
        let core = Arc::new(Core { name: provider.name().clone(), slots: concurrency, state: Mutex::new(state) });
        Self { provider, windows: WINDOWS.map(|room| Arc::new(Semaphore::new(room))), rate_per_s, core }
    }

    /// Room for `targets` in memory, if there is any and the provider takes calls.
    pub fn reserve(&self, lane: Lane, targets: usize) -> Option<OwnedSemaphorePermit> {
        if self.core.state().breaker.appetite(Instant::now()) < targets {
            return None;
        }
        let window = self.windows[lane_index(lane)].clone();
        window.try_acquire_many_owned(u32::try_from(targets).ok()?).ok()
    }

    /// How many targets to claim: what has room, or one for a probe, or none.
    pub fn appetite(&self, lane: Lane) -> usize {
        self.windows[lane_index(lane)].available_permits().min(self.core.state().breaker.appetite(Instant::now()))
    }

    /// Targets in memory.
    pub fn in_flight(&self) -> usize {
        self.windows.iter().zip(WINDOWS).map(|(window, room)| room - window.available_permits()).sum()
    }

    /// Shares the provider's rate with the other workers: `workers` in all, this one among them.
    pub fn share(&self, workers: i64) {
        let share = self.rate_per_s.map(|rate| rate / workers.max(1) as f64);
        self.core.state().lanes.set_rate(share);
    }

    /// Another worker was told by the provider to come back in `wait`.
    pub fn hold(&self, wait: Duration) {
        self.core.state().breaker.hold(wait, Instant::now());
    }

    /// For how long the provider asked to be left alone, if it did.
    pub fn held_for(&self) -> Option<Duration> {
        self.core.state().breaker.held_for(Instant::now())
    }

    /// Waits for its turn to make a call of `requests` requests; `None` where the provider is to be left alone.
    pub async fn enter(&self, lane: Lane, requests: u32) -> Option<Pass> {
        let (turn, wait) = oneshot::channel();
        self.core.state().lanes.wait(lane, requests, turn);
        dispatch(&self.core);
        wait.await.ok()
    }

    /// What this worker sees of the provider.
    pub fn status(&self) -> ProviderStatus {
        let (state, now) = (self.core.state(), Instant::now());
        let count = state.calls.all(now);
        ProviderStatus {
            provider: self.core.name.to_string(),
            breaker: state.breaker.name(),
            last_success_at: state.last_success_at,
            last_failure_at: state.last_failure_at,
            last_error: state.last_error.clone(),
            calls_5m: i64::try_from(count.calls).unwrap_or(i64::MAX),
            failures_5m: i64::try_from(count.failures).unwrap_or(i64::MAX),
            p50_ms_5m: state.calls.quantile_ms(now, 0.5),
            p95_ms_5m: state.calls.quantile_ms(now, 0.95),
            held_for: state.breaker.held_for(now),
        }
    }

    /// `closed`, `open` or `half_open`.
    pub fn breaker(&self) -> &'static str {
        self.core.state().breaker.name()
    }
}

/// Gives passes to whoever's turn it is, and sends everyone away while the provider is to be left alone.
fn dispatch(core: &Arc<Core>) {
    loop {
        let Some((turn, pass)) = core.state().next(core) else { return };
        // Nobody waits for it any more: dropping the pass gives its slot back.
        drop(turn.send(pass));
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
    fn next(&mut self, core: &Arc<Core>) -> Option<(oneshot::Sender<Pass>, Pass)> {
        let now = Instant::now();
        if self.breaker.appetite(now) == 0 {
            drop(self.lanes.dismiss());
            return None;
        }
        let open = self.breaker.open_slots(core.slots, now);
        match self.lanes.next(open, now) {
            Next::Call(lane, requests, turn) => {
                let admission = self.breaker.admit(now);
                let pass = Pass { core: core.clone(), lane, requests, probe: admission == Admission::Probe, reported: false };
                Some((turn, pass))
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

    fn report(&mut self, name: &str, answer: &Answer, took: Duration) {
        let failed = matches!(answer.verdict, Verdict::Transient | Verdict::Misconfigured);
        let now = Instant::now();
        self.calls.note(now, took, !failed);
        if failed {
            self.last_failure_at = Some(OffsetDateTime::now_utc());
            self.last_error.clone_from(&answer.error);
        } else {
            self.last_success_at = Some(OffsetDateTime::now_utc());
        }
        if self.breaker.report(answer, &self.calls, now, rand::random()) {
            let (breaker, error) = (self.breaker.name(), answer.error.as_deref());
            if breaker == "open" {
                tracing::error!(
                    provider = name,
                    breaker,
                    error,
                    "provider left alone: its targets wait and spend no attempt until a probe is answered or its Retry-After has passed"
                );
            } else {
                tracing::info!(provider = name, breaker, "provider answers again");
            }
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

impl Pass {
    /// Tells the gate what came of the call. Returns whether the provider is to be left alone.
    pub fn report(mut self, answer: &Answer, took: Duration) -> bool {
        self.reported = true;
        let mut state = self.core.state();
        state.report(&self.core.name, answer, took);
        state.breaker.name() != "closed"
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.core.state();
        if !self.reported {
            state.lanes.refund(self.requests);
            if self.probe {
                state.breaker.withdraw();
            }
        }
        state.lanes.release(self.lane);
        drop(state);
        dispatch(&self.core);
    }
}
