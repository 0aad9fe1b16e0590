//! Refused messages that wait for their rows, in fair turns among broker users.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use tokio::sync::{Notify, Semaphore};

use super::deliveries::body_sha256;
use crate::admission::FairQueue;
use crate::broker::Received;
use crate::event::{Party, Refusal, RefusedInput};
use crate::store::Rejected;

/// Most rows a statement.
const ROWS: usize = 256;
/// Most messages that are tried again and again, in hand. The others that `revocation.dead` does not take are
/// set aside.
pub(super) const RETRIED: usize = 256;

/// Refused messages that wait for their rows, and on their way to `revocation.dead`.
pub(super) struct Unrecorded {
    waiting: Mutex<FairQueue<Refused, 1>>,
    came: Notify,
    pub(super) retried: Semaphore,
    /// Some message found its place in `revocation.dead`.
    pub(super) placed: Notify,
    /// Whether `revocation.dead` is known to be full.
    pub(super) is_full: AtomicBool,
}

impl Default for Unrecorded {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            came: Notify::new(),
            retried: Semaphore::new(RETRIED),
            placed: Notify::new(),
            is_full: AtomicBool::new(false),
        }
    }
}

/// A refused message, not yet acknowledged.
pub(super) struct Refused {
    pub(super) received: Received,
    pub(super) refusal: Refusal,
    pub(super) at: OffsetDateTime,
    /// Whether it was judged by the database's clock.
    pub(super) is_database_time: bool,
    /// Digest and size of what was refused elsewhere, where the message only tells of it: it is for the
    /// record alone.
    pub(super) told: Option<([u8; 32], usize)>,
}

impl Unrecorded {
    fn lock(&self) -> MutexGuard<'_, FairQueue<Refused, 1>> {
        // Nothing under this lock can panic half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has one wait.
    pub(super) fn add(&self, party: Party, refused: Refused) {
        self.lock().wait(0, party, 1, refused);
        self.came.notify_one();
    }

    /// Those whose turn it is; waits for the first.
    pub(super) async fn next(&self) -> Vec<Refused> {
        loop {
            let batch = self.lock().batch(ROWS, u64::MAX);
            if !batch.is_empty() {
                return batch;
            }
            self.came.notified().await;
        }
    }
}

impl Refused {
    /// A message that is refused now.
    pub(super) fn new(
        received: Received,
        refusal: Refusal,
        at: OffsetDateTime,
        is_database_time: bool,
    ) -> Self {
        Self { received, refusal, at, is_database_time, told: None }
    }

    /// What a message tells of.
    pub(super) fn told(received: Received, input: RefusedInput, is_database_time: bool) -> Self {
        let RefusedInput { refusal, at, body_sha256, body_bytes } = input;
        let told = Some((body_sha256.into(), usize::try_from(body_bytes).unwrap_or(usize::MAX)));
        Self { received, refusal, at, is_database_time, told }
    }

    /// Its row.
    pub(super) fn row(&self) -> Rejected<'_> {
        let body = self.received.body.bytes();
        let (origin, refusal) = (&self.received.origin, &self.refusal);
        Rejected {
            at: self.at,
            origin,
            refusal,
            body_sha256: self.told.map_or_else(|| body_sha256(&self.received), |(sha256, _)| sha256),
            body_bytes: self.told.map_or(body.len(), |(_, bytes)| bytes),
        }
    }
}
