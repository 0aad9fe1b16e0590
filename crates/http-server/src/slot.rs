//! A connection's slot: what the connection is doing, and how long that may take.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// A request has begun, or the connection has: its head is on its way.
    Head,
    /// Somebody waits for the request's body.
    Body,
    /// A request is being answered.
    Answer,
    /// The answer is on its way.
    Sent,
    /// It has been read; the next request may come.
    Idle,
    /// It has ended.
    Closed,
}

impl Phase {
    /// How long it may take.
    fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Head | Self::Body => 5,
            Self::Answer | Self::Sent => 10,
            // Longer than the 60 s after which nginx closes its own idle connections.
            Self::Idle | Self::Closed => 75,
        })
    }
}

/// An answer that is not read within this time may be cut off where others wait for the place.
const SLOW: Duration = Duration::from_secs(1);

/// What is known of one connection.
pub(super) struct Slot {
    phase: Mutex<(Phase, Instant)>,
    evicted: Notify,
    closed: Notify,
    /// Whoever waits for a place hears of it.
    left: Arc<Notify>,
}

impl Slot {
    pub(super) fn begin(left: Arc<Notify>) -> Self {
        Self {
            left,
            phase: Mutex::new((Phase::Head, Instant::now())),
            evicted: Notify::new(),
            closed: Notify::new(),
        }
    }

    /// It goes on to another phase, whose time begins.
    pub(super) fn enter(&self, phase: Phase) {
        *self.lock() = (phase, Instant::now());
        if matches!(phase, Phase::Body | Phase::Idle | Phase::Closed) {
            self.left.notify_one();
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.lock().0
    }

    pub(super) fn deadline(&self) -> Instant {
        let (phase, since) = *self.lock();
        since + phase.limit()
    }

    /// Since when it keeps its place without use, if it does. What is on its way is given some time.
    pub(super) fn dispensable_since(&self, time: Duration) -> Option<Instant> {
        let (phase, since) = *self.lock();
        match phase {
            Phase::Head | Phase::Body => Some(since).filter(|since| since.elapsed() >= time),
            Phase::Idle => Some(since),
            Phase::Sent => Some(since + SLOW).filter(|at| *at <= Instant::now()),
            Phase::Answer | Phase::Closed => None,
        }
    }

    /// Ends the connection.
    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    /// Waits until it is ended; for one task.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// The connection is closed.
    pub(super) fn close(&self) {
        self.enter(Phase::Closed);
        self.closed.notify_one();
    }

    /// Waits until the connection is closed; for one task.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
