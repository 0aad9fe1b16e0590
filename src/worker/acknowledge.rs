//! The end of a delivery: the only place that acknowledges one. What ends in any other way is left to the
//! broker, which delivers it again, or has put it into `revocation.dead` itself (`Received::dead_letter`).

use time::OffsetDateTime;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::incidents::excess::change_known;
use super::parts::Worker;
use crate::broker::Received;
use crate::failpoint;

/// When the broker confirmed a denial; nothing if the worker stopped first.
pub(super) type Denied = oneshot::Receiver<OffsetDateTime>;

/// An event that is on record.
pub(super) struct Accepted {
    pub(super) received: Received,
    /// Its row, or that of the event that it repeats.
    pub(super) row: Uuid,
    /// Its denial, on its way; absent where it waits for a second person.
    pub(super) denial: Option<Denied>,
    /// Whether it was on record before.
    pub(super) is_known: bool,
    /// Whether all of it is denied now, while on record it may wait for a second person.
    pub(super) is_within_rate: bool,
}

/// Acknowledges an event once its denial is confirmed by the broker, too.
pub(super) async fn accepted(worker: &Worker, event: Accepted) {
    let Accepted { received, row, denial, is_known, is_within_rate } = event;
    let denied_at = match denial {
        None => None,
        Some(denial) => match denial.await {
            Ok(at) => Some(at),
            // Not denied: the worker is stopping. The broker keeps the event for the next one.
            Err(_) => return,
        },
    };
    if is_known && (denied_at.is_none() || is_within_rate) {
        change_known(worker, row, denied_at).await;
    }
    received.ack().await;
    if let Some(at) = denied_at {
        failpoint!("acked");
        // Also of an event that was known: whoever accepted it may have died before this.
        worker.note_denied(row, at);
    }
}

/// Acknowledges an event that asks for nothing.
pub(super) async fn nothing(received: Received) {
    received.ack().await;
}

/// Acknowledges a refused message that is on record, and in `revocation.dead` unless it only told of a
/// refusal elsewhere.
pub(super) async fn refused(received: Received) {
    received.ack().await;
}
