//! What becomes of messages that are no valid events: a row, a place in `revocation.dead`, then the acknowledgement.
//!
//! Rows are written many at a time, on one connection to Postgres and beside everything else: refusals hold up no event. Of each broker user as many
//! as of the others, so that nobody's single refusal waits behind the thousands of another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use tokio::sync::Notify;

use super::Worker;
use super::intake::sha256;
use super::shares::Shares;
use crate::broker::Received;
use crate::event::Refusal;
use crate::retry::Schedule;
use crate::store::{Rejected, StoreError, WorkerNo};

/// Most rows a statement.
const BATCH: usize = 256;

/// Refused messages that wait for their rows.
#[derive(Default)]
pub struct Refusals {
    waiting: Mutex<Shares<Refused, 1>>,
    came: Notify,
}

/// A refused message, not yet acknowledged.
struct Refused {
    received: Received,
    refusal: Refusal,
    at: OffsetDateTime,
}

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, Shares<Refused, 1>> {
        // Nothing under this lock can panic half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those whose turn it is; waits for the first.
    async fn next(&self) -> Vec<Refused> {
        loop {
            let batch = self.lock().batch(BATCH, u64::MAX);
            if !batch.is_empty() {
                return batch;
            }
            self.came.notified().await;
        }
    }
}

/// Has a message refused. Until that is done it is not acknowledged: if the worker stops before, the broker keeps it for the next one.
pub(super) fn refuse(worker: &Worker, received: Received, refusal: Refusal) {
    let origin = &received.origin;
    tracing::warn!(queue = %origin.queue, routing_key = origin.routing_key, broker_user = origin.broker_user.as_deref(), code = refusal.code.as_str(),
        detail = refusal.detail, event_source = refusal.event_source.as_deref(), event_id = refusal.event_id.as_deref(), "event refused");
    let party = origin.party();
    worker.refusals.lock().wait(0, party, 1, Refused { received, refusal, at: OffsetDateTime::now_utc() });
    worker.refusals.came.notify_one();
}

/// Runs until the worker stops.
pub(super) async fn run(worker: Arc<Worker>) {
    loop {
        let batch = tokio::select! {
            biased;
            () = worker.stop.cancelled() => return,
            batch = worker.refusals.next() => batch,
        };
        record(&worker, batch).await;
    }
}

/// Writes the rows, again and again until they are on record, then puts the messages away.
async fn record(worker: &Arc<Worker>, batch: Vec<Refused>) {
    let (mut failures, schedule) = (0, Schedule::reconnecting());
    loop {
        // The row first: while Postgres is away, a message delivered twice must not leave two copies.
        let result = reject(worker, worker.number(), &batch).await;
        match result {
            Ok(()) => {
                worker.note_database(true);
                batch.into_iter().for_each(|refused| drop(worker.tasks.spawn(put_away(worker.clone(), refused))));
                return;
            }
            Err(StoreError::Unstorable(_, reason)) => return part(worker, batch, &reason).await,
            Err(_) => worker.note_database(false),
        };
        failures += 1;
        tokio::select! {
            () = tokio::time::sleep(schedule.delay(failures, None)) => {}
            () = worker.stop.cancelled() => return,
        }
    }
}

/// A row that Postgres cannot hold keeps none of the others off the record.
async fn part(worker: &Arc<Worker>, mut batch: Vec<Refused>, reason: &str) {
    if batch.len() == 1 {
        // Neither on record nor put away, so left to the broker.
        tracing::error!(reason, "a refusal cannot be recorded; its message is left in its queue");
        return;
    }
    let rest = batch.split_off(batch.len() / 2);
    Box::pin(record(worker, batch)).await;
    Box::pin(record(worker, rest)).await;
}

async fn reject(worker: &Worker, number: WorkerNo, batch: &[Refused]) -> Result<(), StoreError> {
    let rows: Vec<_> = batch.iter().map(Refused::row).collect();
    worker.store.reject(number, &rows).await
}

impl Refused {
    fn row(&self) -> Rejected<'_> {
        let body = self.received.body.bytes();
        let (origin, refusal) = (&self.received.origin, &self.refusal);
        Rejected { at: self.at, origin, refusal, body_sha256: sha256(body), body_bytes: body.len() }
    }
}

/// Publishes a message that is on record to `revocation.dead`, again and again until the broker has confirmed it, then acknowledges it.
async fn put_away(worker: Arc<Worker>, refused: Refused) {
    let Refused { received, refusal, at } = refused;
    let text = at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    let (mut failures, schedule) = (0, Schedule::reconnecting());
    while worker.publisher.refuse(&received, &refusal, &text).await.is_err() {
        failures += 1;
        tokio::select! {
            () = tokio::time::sleep(schedule.delay(failures, None)) => {}
            // Not acknowledged: the broker keeps it for the next worker.
            () = worker.stop.cancelled() => return,
        }
    }
    worker.metrics.refused(refusal.code);
    received.ack().await;
}
