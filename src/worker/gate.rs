//! The gate before one provider: room for work in memory, slots for calls at once, the breaker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::breaker::{Admission, Breaker};
use super::calls::Calls;
use crate::event::Lane;
use crate::outcome::{Answer, Verdict};
use crate::provider::Provider;
use crate::store::ProviderStatus;

/// Most targets of one provider and lane in memory. What does not fit waits in Postgres and is claimed when there is room.
const WINDOW: usize = 8192;
/// Share of the call slots that mass revocations never take, as a divisor: a quarter stays free for ordinary logouts.
const RESERVED: usize = 4;

/// The gate of one provider.
pub struct Gate {
    /// The provider behind it.
    pub provider: Provider,
    /// Room for targets in memory, by lane.
    windows: [Arc<Semaphore>; 2],
    slots: Semaphore,
    mass_slots: Semaphore,
    state: Mutex<State>,
}

struct State {
    breaker: Breaker,
    calls: Calls,
    last_success_at: Option<OffsetDateTime>,
    last_failure_at: Option<OffsetDateTime>,
    last_error: Option<String>,
}

/// The right to make one call. Dropping it unused takes a probe back.
pub struct Pass<'a> {
    gate: &'a Gate,
    probe: bool,
    reported: bool,
    _slots: (tokio::sync::SemaphorePermit<'a>, Option<tokio::sync::SemaphorePermit<'a>>),
}

fn lane_index(lane: Lane) -> usize {
    match lane {
        Lane::Interactive => 0,
        Lane::Mass => 1,
    }
}

impl Gate {
    /// A closed breaker, all slots free.
    pub fn new(provider: Provider, concurrency: usize) -> Self {
        let state = State {
            breaker: Breaker::default(),
            calls: Calls::new(Instant::now()),
            last_success_at: None,
            last_failure_at: None,
            last_error: None,
        };
        Self {
            provider,
            windows: [Arc::new(Semaphore::new(WINDOW)), Arc::new(Semaphore::new(WINDOW))],
            slots: Semaphore::new(concurrency),
            mass_slots: Semaphore::new((concurrency - concurrency / RESERVED).max(1)),
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for `targets` in memory, if there is any and the provider takes calls.
    pub fn reserve(&self, lane: Lane, targets: usize) -> Option<OwnedSemaphorePermit> {
        if self.state().breaker.appetite(Instant::now()) < targets {
            return None;
        }
        let window = self.windows[lane_index(lane)].clone();
        window.try_acquire_many_owned(u32::try_from(targets).ok()?).ok()
    }

    /// How many targets to claim: what has room, or one for a probe, or none.
    pub fn appetite(&self, lane: Lane) -> usize {
        self.windows[lane_index(lane)].available_permits().min(self.state().breaker.appetite(Instant::now()))
    }

    /// Targets in memory.
    pub fn in_flight(&self) -> usize {
        self.windows.iter().map(|window| WINDOW - window.available_permits()).sum()
    }

    /// Waits for a slot; `None` where the provider is to be left alone.
    pub async fn enter(&self, lane: Lane) -> Option<Pass<'_>> {
        let mass = match lane {
            Lane::Mass => Some(self.mass_slots.acquire().await.ok()?),
            Lane::Interactive => None,
        };
        let slot = self.slots.acquire().await.ok()?;
        let probe = match self.state().breaker.admit(Instant::now()) {
            Admission::Call => false,
            Admission::Probe => true,
            Admission::Wait(_) => return None,
        };
        Some(Pass { gate: self, probe, reported: false, _slots: (slot, mass) })
    }

    /// What this worker sees of the provider.
    pub fn status(&self) -> ProviderStatus {
        let (state, now) = (self.state(), Instant::now());
        let count = state.calls.all(now);
        ProviderStatus {
            provider: self.provider.name().to_string(),
            breaker: state.breaker.name(),
            last_success_at: state.last_success_at,
            last_failure_at: state.last_failure_at,
            last_error: state.last_error.clone(),
            calls_5m: i64::try_from(count.calls).unwrap_or(i64::MAX),
            failures_5m: i64::try_from(count.failures).unwrap_or(i64::MAX),
            p50_ms_5m: state.calls.quantile_ms(now, 0.5),
            p95_ms_5m: state.calls.quantile_ms(now, 0.95),
        }
    }

    /// `closed`, `open` or `half_open`.
    pub fn breaker(&self) -> &'static str {
        self.state().breaker.name()
    }

    fn report(&self, answer: &Answer, took: Duration) {
        let failed = matches!(answer.verdict, Verdict::Transient | Verdict::Misconfigured);
        let mut state = self.state();
        let now = Instant::now();
        state.calls.note(now, took, !failed);
        if failed {
            state.last_failure_at = Some(OffsetDateTime::now_utc());
            state.last_error.clone_from(&answer.error);
        } else {
            state.last_success_at = Some(OffsetDateTime::now_utc());
        }
        let State { breaker, calls, .. } = &mut *state;
        if breaker.report(answer, calls, now, rand::random()) {
            let (provider, breaker) = (self.provider.name(), breaker.name());
            let error = answer.error.as_deref();
            if breaker == "open" {
                tracing::error!(%provider, breaker, error, "provider left alone: its targets wait and spend no attempt until a probe is answered or its Retry-After has passed");
            } else {
                tracing::info!(%provider, breaker, "provider answers again");
            }
        }
    }
}

impl Pass<'_> {
    /// Tells the gate what came of the call.
    pub fn report(mut self, answer: &Answer, took: Duration) {
        self.reported = true;
        self.gate.report(answer, took);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe && !self.reported {
            self.gate.state().breaker.withdraw();
        }
    }
}
