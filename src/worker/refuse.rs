//! What becomes of messages that are no valid events: a row, a place in `revocation.dead`, then the
//! acknowledgement.
//!
//! Rows are written many at a time, on one connection to Postgres and beside everything else: refusals hold
//! up no event. Of each broker user as many as of the others, so that nobody's single refusal waits behind
//! the thousands of another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Notify, Semaphore};

use super::Worker;
use super::intake::sha256;
use super::shares::Shares;
use crate::again::Again;
use crate::broker::{PublishError, Received, Unplaced};
use crate::event::Refusal;
use crate::store::{Rejected, StoreError};

/// Most rows a statement.
const BATCH: usize = 256;

/// Most messages that are tried again and again, in hand. The others that `revocation.dead` does not take are
/// set aside.
const RETRIED: usize = 256;
/// How often one that is set aside looks whether any of them is left.
const LOOK: Duration = Duration::from_secs(10);

/// Refused messages that wait for their rows, and on their way to `revocation.dead`.
pub struct Unrecorded {
    waiting: Mutex<Shares<Refused, 1>>,
    came: Notify,
    retried: Semaphore,
    /// Some message found its place in `revocation.dead`.
    placed: Notify,
    /// Whether `revocation.dead` is known to be full.
    is_full: AtomicBool,
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

/// Has a message refused. Until that is done it is not acknowledged: if the worker stops before, the broker
/// keeps it for the next one.
pub(super) fn refuse(worker: &Worker, mut received: Received, refusal: Refusal, is_database_time: bool) {
    let origin = &received.origin;
    tracing::warn!(queue = %origin.queue, routing_key = origin.routing_key, broker_user = origin.broker_user.as_deref(), requeued_by = origin.requeued_by.as_deref(), code = refusal.code.as_str(),
        detail = refusal.detail, event_source = refusal.event_source.as_deref(), event_id = refusal.event_id.as_deref(), "event refused");
    let party = origin.party();
    if !worker.database_up.load(Ordering::Relaxed) {
        received.lay_down();
    }
    worker.unrecorded.lock().wait(
        0,
        party,
        1,
        Refused { received, refusal, at: worker.clock.now(), is_database_time },
    );
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
    let mut again = Again::until(&worker.stop);
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
        again.failed();
        if again.rest().await.is_none() {
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

/// Those whose body was let go are handed back once Postgres answers, and so are those that a wrong clock
/// judged.
async fn reject(worker: &Worker, batch: &mut Vec<Refused>) -> Result<(), StoreError> {
    let is_off = worker.clock.is_far_off();
    let goes_back =
        |refused: &mut Refused| refused.received.is_laid_down() || (is_off && !refused.is_database_time);
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

/// A message that the broker will not take is left to the broker: whatever is wrong with it, neither its
/// queue nor the window waits. Where the broker might lose it, a few are tried again and again; each one that
/// finds its place brings back two of the others.
async fn put_away(worker: &Worker, received: Received, refusal: &Refusal, at: OffsetDateTime) -> Option<()> {
    let text = at.format(&Rfc3339).unwrap_or_default();
    let (mut failures, mut again, mut turn) = (0, Again::until(&worker.stop), None);
    loop {
        let origin = &received.origin;
        match worker.refusals.put(&received, refusal, &text, failures).await {
            Ok(()) => {
                received.ack().await;
                note_placed(worker);
                return Some(());
            }
            Err(Unplaced::Full) => {
                note_full(worker);
                return Some(());
            }
            Err(Unplaced::LeftToBroker(error)) => {
                tracing::error!(%error, failures, queue = %origin.queue, routing_key = origin.routing_key, broker_user = origin.broker_user.as_deref(),
                    event_source = refusal.event_source.as_deref(), event_id = refusal.event_id.as_deref(), body_bytes = received.body.bytes().len(),
                    "refused message cannot be published to revocation.dead; the broker puts it there \
                        without the reason in its headers");
                return Some(());
            }
            Err(Unplaced::NotYet(error)) => {
                match error {
                    // Says nothing of the message.
                    PublishError::Nacked(_) => note_full(worker),
                    _ => failures += 1,
                }
                tracing::warn!(%error, failures = again.failed(), queue = %origin.queue, routing_key = origin.routing_key,
                    event_source = refusal.event_source.as_deref(), event_id = refusal.event_id.as_deref(),
                    "refused message not in revocation.dead; trying again");
            }
        }
        turn = turn.or_else(|| worker.unrecorded.retried.try_acquire().ok());
        if turn.is_none() {
            set_aside(worker, received).await;
            return None;
        }
        again.rest().await?;
    }
}

/// Holds as good as nothing of the message until another has found its place, or nobody is left to try; then
/// has it delivered again.
async fn set_aside(worker: &Worker, mut received: Received) {
    received.set_aside();
    let unrecorded = &worker.unrecorded;
    loop {
        tokio::select! {
            () = unrecorded.placed.notified() => break,
            () = tokio::time::sleep(LOOK) => if unrecorded.retried.available_permits() == RETRIED { break },
            () = worker.stop.cancelled() => return,
        }
    }
    if received.is_stale() {
        // The broker has it already.
        unrecorded.placed.notify_one();
    }
    received.hand_back().await;
}

fn note_placed(worker: &Worker) {
    let unrecorded = &worker.unrecorded;
    if unrecorded.is_full.swap(false, Ordering::Relaxed) {
        tracing::info!("revocation.dead has room again");
    }
    (0..2).for_each(|_| unrecorded.placed.notify_one());
}

/// Once until there is room again.
fn note_full(worker: &Worker) {
    if !worker.unrecorded.is_full.swap(true, Ordering::Relaxed) {
        tracing::error!(
            "revocation.dead is full: refused messages are on record and stay in their queues, where nobody \
                waits behind them, until there is room; look at \
             `revocation-worker dead list`, then `dead requeue` or `dead discard`, or raise the queue's \
             limit by a policy"
        );
    }
}
