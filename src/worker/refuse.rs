//! What becomes of messages that are no valid events: a row, a place in `revocation.dead`, then the acknowledgement.
//!
//! Rows are written many at a time, on one connection to Postgres and beside everything else: refusals hold up no event. Of each broker user as many
//! as of the others, so that nobody's single refusal waits behind the thousands of another.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Notify, Semaphore};

use super::Worker;
use super::intake::sha256;
use super::shares::Shares;
use crate::broker::{Received, Unplaced};
use crate::event::Refusal;
use crate::retry::Schedule;
use crate::store::{Rejected, StoreError};

/// Most rows a statement, and most messages on their way at once.
const BATCH: usize = 256;

/// Refused messages that wait for their rows.
pub struct Unrecorded {
    waiting: Mutex<Shares<Refused, 1>>,
    came: Notify,
    /// How many may be on their way to `revocation.dead` at once: if their connection breaks, each goes on alone.
    on_the_way: Semaphore,
}

impl Default for Unrecorded {
    fn default() -> Self {
        Self { waiting: Mutex::default(), came: Notify::new(), on_the_way: Semaphore::new(BATCH) }
    }
}

/// A refused message, not yet acknowledged.
struct Refused {
    received: Received,
    refusal: Refusal,
    at: OffsetDateTime,
    /// Whether it was judged by the database's clock.
    is_database_time: bool,
}

impl Unrecorded {
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
pub(super) fn refuse(worker: &Worker, mut received: Received, refusal: Refusal, is_database_time: bool) {
    let origin = &received.origin;
    tracing::warn!(queue = %origin.queue, routing_key = origin.routing_key, broker_user = origin.broker_user.as_deref(), requeued_by = origin.requeued_by.as_deref(), code = refusal.code.as_str(),
        detail = refusal.detail, event_source = refusal.event_source.as_deref(), event_id = refusal.event_id.as_deref(), "event refused");
    let party = origin.party();
    if !worker.database_up.load(Ordering::Relaxed) {
        received.lay_down();
    }
    worker.unrecorded.lock().wait(0, party, 1, Refused { received, refusal, at: worker.clock.now(), is_database_time });
    worker.unrecorded.came.notify_one();
}

/// Runs until the worker stops.
pub(super) async fn run(worker: Arc<Worker>) {
    loop {
        let batch = tokio::select! {
            biased;
            () = worker.stop.cancelled() => return,
            batch = worker.unrecorded.next() => batch,
        };
        record(&worker, batch).await;
    }
}

/// Writes the rows, again and again until they are on record, then puts the messages away.
async fn record(worker: &Arc<Worker>, mut batch: Vec<Refused>) {
    let (mut failures, schedule) = (0, Schedule::reconnecting());
    loop {
        // What the broker delivers again is not this one's to record.
        batch.retain(|refused| !refused.received.is_stale());
        // The row first: while Postgres is away, a message delivered twice must not leave two copies.
        match reject(worker, &mut batch).await {
            Ok(()) => break,
            Err(StoreError::Unstorable(_, reason)) => return part(worker, batch, &reason).await,
            Err(_) => worker.note_database(false),
        };
        batch.iter_mut().for_each(|refused| refused.received.lay_down());
        failures += 1;
        if rest(worker, &schedule, failures).await.is_none() {
            return;
        }
    }
    worker.note_database(true);
    for Refused { received, refusal, at, .. } in batch {
        let worker = worker.clone();
        worker.clone().tasks.spawn(async move {
            if put_away(&worker, received, &refusal, at).await.is_some() {
                worker.metrics.refused(refusal.code);
            }
        });
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

/// Those whose body was let go are handed back once Postgres answers, and so are those that a wrong clock judged.
async fn reject(worker: &Worker, batch: &mut Vec<Refused>) -> Result<(), StoreError> {
    let is_off = worker.clock.is_far_off();
    let goes_back = |refused: &mut Refused| refused.received.is_laid_down() || (is_off && !refused.is_database_time);
    if batch.iter_mut().any(goes_back) {
        worker.store.ping().await?;
        for refused in batch.extract_if(.., goes_back) {
            refused.received.hand_back().await;
        }
    }
    let rows: Vec<_> = batch.iter().map(Refused::row).collect();
    worker.store.reject(worker.number(), &rows).await
}

impl Refused {
    fn row(&self) -> Rejected<'_> {
        let body = self.received.body.bytes();
        let (origin, refusal) = (&self.received.origin, &self.refusal);
        Rejected { at: self.at, origin, refusal, body_sha256: sha256(body), body_bytes: body.len() }
    }
}

/// A message that the broker will not take is left to the broker: whatever is wrong with it, neither its queue nor the window waits.
async fn put_away(worker: &Worker, received: Received, refusal: &Refusal, at: OffsetDateTime) -> Option<()> {
    let text = at.format(&Rfc3339).unwrap_or_default();
    let (mut failures, schedule) = (0, Schedule::reconnecting());
    loop {
        let origin = &received.origin;
        match put(worker, &received, refusal, &text, failures).await {
            Ok(()) => {
                received.ack().await;
                return Some(());
            }
            Err(Unplaced::LeftToBroker(error)) => {
                tracing::error!(%error, failures, queue = %origin.queue, routing_key = origin.routing_key, broker_user = origin.broker_user.as_deref(),
                    event_source = refusal.event_source.as_deref(), event_id = refusal.event_id.as_deref(), body_bytes = received.body.bytes().len(),
                    "refused message cannot be published to revocation.dead; the broker puts it there without the reason in its headers");
                return Some(());
            }
            Err(Unplaced::NotYet(error)) => {
                failures += 1;
                tracing::warn!(%error, failures, queue = %origin.queue, routing_key = origin.routing_key,
                    event_source = refusal.event_source.as_deref(), event_id = refusal.event_id.as_deref(),
                    "refused message not in revocation.dead; trying again");
            }
        }
        rest(worker, &schedule, failures).await?;
    }
}

async fn put(worker: &Worker, received: &Received, refusal: &Refusal, at: &str, failures: u32) -> Result<(), Unplaced> {
    // One that goes alone keeps nobody from being on the way.
    let _on_the_way = if failures == 0 { worker.unrecorded.on_the_way.acquire().await.ok() } else { None };
    worker.refusals.put(received, refusal, at, failures).await
}

/// `None`: the worker stops. What is not acknowledged, the broker keeps for the next worker.
async fn rest(worker: &Worker, schedule: &Schedule, failures: u32) -> Option<()> {
    tokio::select! {
        () = tokio::time::sleep(schedule.delay(failures, None)) => Some(()),
        () = worker.stop.cancelled() => None,
    }
}
