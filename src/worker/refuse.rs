//! What becomes of messages that are no valid events: a row, a place in `revocation.dead`, then the
//! acknowledgement.
//!
//! Rows are written many at a time, on one connection to Postgres and beside everything else: refusals hold
//! up no event. Of each broker user as many as of the others, so that nobody's single refusal waits behind
//! the thousands of another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::acknowledge;
use super::parts::Worker;
use super::refused::{RETRIED, Refused};
use crate::again::Again;
use crate::broker::{PublishError, Received, Unplaced};
use crate::event::Refusal;
use crate::store::StoreError;

/// How often one that is set aside looks whether any of them is left.
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// Has a message refused. Until that is done it is not acknowledged: if the worker stops before, the broker
/// keeps it for the next one.
pub(super) fn refuse(worker: &Worker, mut refused: Refused) {
    let Refused { received, refusal, .. } = &mut refused;
    let origin = &received.origin;
    tracing::warn!(
        queue = %origin.queue,
        routing_key = origin.routing_key,
        broker_user = origin.broker_user.as_deref(),
        requeued_by = origin.requeued_by.as_deref(),
        code = refusal.code.as_str(),
        detail = refusal.detail,
        event_source = refusal.event_source.as_deref(),
        event_id = refusal.event_id.as_deref(),
        "event refused"
    );
    let party = origin.party();
    received.refuse();
    if !worker.live.postgres.is_up() {
        received.lay_down();
    }
    worker.live.unrecorded.add(party, refused);
}

/// Has a word of what was refused elsewhere recorded, and acknowledged.
pub(super) fn record_alone(worker: &Worker, mut refused: Refused) {
    refused.received.refuse();
    worker.live.unrecorded.add(refused.received.origin.party(), refused);
}

/// Runs until the worker stops.
pub(super) async fn run(worker: Arc<Worker>) {
    loop {
        let batch = tokio::select! {
            biased;
            () = worker.live.stop.cancelled() => return,
            batch = worker.live.unrecorded.next() => batch,
        };
        record(&worker, batch).await;
    }
}

/// Writes the rows, again and again until they are on record, then puts the messages away.
async fn record(worker: &Arc<Worker>, mut batch: Vec<Refused>) {
    let mut again = Again::until(&worker.live.stop);
    loop {
        // What the broker delivers again is not this one's to record.
        batch.retain(|refused| !refused.received.is_stale());
        // The row first: while Postgres is away, a message delivered twice must not leave two copies.
        match reject(worker, &mut batch).await {
            Ok(()) => break,
            Err(StoreError::Unstorable(_, reason)) => return part(worker, batch, &reason).await,
            Err(_) => worker.live.postgres.note(false),
        };
        batch.iter_mut().for_each(|refused| refused.received.lay_down());
        again.failed();
        if again.rest().await.is_none() {
            return;
        }
    }
    worker.live.postgres.note(true);
    for Refused { received, refusal, at, told, .. } in batch {
        if told.is_some() {
            worker.live.tasks.spawn(acknowledge::refused(received));
            continue;
        }
        let worker = worker.clone();
        worker.clone().live.tasks.spawn(async move {
            if put_away(&worker, received, &refusal, at).await.is_some() {
                worker.ports.metrics.refused(refusal.code);
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
    let is_off = worker.ports.clock.is_far_off();
    let goes_back =
        |refused: &mut Refused| refused.received.is_laid_down() || (is_off && !refused.is_database_time);
    if batch.iter_mut().any(goes_back) {
        worker.ports.store.ping().await?;
        for refused in batch.extract_if(.., goes_back) {
            refused.received.hand_back().await;
        }
    }
    let rows: Vec<_> = batch.iter().map(Refused::row).collect();
    worker.ports.store.reject(worker.number(), &rows).await
}

/// A message that the broker will not take is left to the broker: whatever is wrong with it, neither its
/// queue nor the window waits. Where the broker might lose it, a few are tried again and again; each one that
/// finds its place brings back two of the others.
async fn put_away(worker: &Worker, received: Received, refusal: &Refusal, at: OffsetDateTime) -> Option<()> {
    let text = at.format(&Rfc3339).unwrap_or_default();
    let (mut failures, mut again, mut turn) = (0, Again::until(&worker.live.stop), None);
    loop {
        let origin = &received.origin;
        match worker.ports.refusals.put(&received, refusal, &text, failures).await {
            Ok(()) => {
                acknowledge::refused(received).await;
                note_placed(worker);
                return Some(());
            }
            Err(Unplaced::Full) => {
                note_full(worker);
                return Some(());
            }
            Err(Unplaced::LeftToBroker(error)) => {
                tracing::error!(
                    %error, failures,
                    queue = %origin.queue,
                    routing_key = origin.routing_key,
                    broker_user = origin.broker_user.as_deref(),
                    event_source = refusal.event_source.as_deref(),
                    event_id = refusal.event_id.as_deref(),
                    body_bytes = received.body.bytes().len(),
                    "refused message cannot be published to revocation.dead; the broker puts it there \
                        without the reason in its headers"
                );
                return Some(());
            }
            Err(Unplaced::NotYet(error)) => {
                match error {
                    // Says nothing of the message.
                    PublishError::Nacked(_) => note_full(worker),
                    _ => failures += 1,
                }
                let tries = again.failed();
                tracing::warn!(
                    %error,
                    failures = tries,
                    queue = %origin.queue,
                    routing_key = origin.routing_key,
                    event_source = refusal.event_source.as_deref(),
                    event_id = refusal.event_id.as_deref(),
                    "refused message not in revocation.dead; trying again"
                );
            }
        }
        turn = turn.or_else(|| worker.live.unrecorded.retried.try_acquire().ok());
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
    let unrecorded = &worker.live.unrecorded;
    loop {
        tokio::select! {
            () = unrecorded.placed.notified() => break,
            () = tokio::time::sleep(CHECK_EVERY) => {
                if unrecorded.retried.available_permits() == RETRIED {
                    break;
                }
            }
            () = worker.live.stop.cancelled() => return,
        }
    }
    if received.is_stale() {
        // The broker has it already.
        unrecorded.placed.notify_one();
    }
    received.hand_back().await;
}

fn note_placed(worker: &Worker) {
    let unrecorded = &worker.live.unrecorded;
    if unrecorded.is_full.swap(false, Ordering::Relaxed) {
        tracing::info!("revocation.dead has room again");
    }
    (0..2).for_each(|_| unrecorded.placed.notify_one());
}

/// Once until there is room again.
fn note_full(worker: &Worker) {
    if !worker.live.unrecorded.is_full.swap(true, Ordering::Relaxed) {
        tracing::error!(
            "revocation.dead is full: refused messages are on record and stay in their queues, where nobody \
                waits behind them, until there is room; look at \
             `revocation-worker dead list`, then `dead requeue` or `dead discard`, or raise the queue's \
             limit by a policy"
        );
    }
}
