//! What becomes of a message that is no valid event: a row, a place in `revocation.dead`, then the acknowledgement.

use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Worker;
use super::intake::sha256;
use crate::broker::{Received, Unplaced};
use crate::event::Refusal;
use crate::retry::Schedule;
use crate::store::Rejected;

/// Puts a refused message on record and into `revocation.dead`, then acknowledges it. Each part is repeated until it is done.
pub(super) async fn refuse(worker: Arc<Worker>, received: Received, refusal: Refusal) {
    let (at, origin) = (OffsetDateTime::now_utc(), &received.origin);
    tracing::warn!(queue = %origin.queue, routing_key = origin.routing_key, broker_user = origin.broker_user.as_deref(), code = refusal.code.as_str(),
        detail = refusal.detail, event_source = refusal.event_source.as_deref(), event_id = refusal.event_id.as_deref(), "event refused");
    // The row first: while Postgres is away, a message delivered twice must not leave two copies.
    if record(&worker, &received, &refusal, at).await.is_some() && put_away(&worker, &received, &refusal, at).await.is_some() {
        worker.metrics.refused(refusal.code);
    }
}

/// `None`: the worker stops. What is not acknowledged, the broker keeps for the next worker.
async fn record(worker: &Worker, received: &Received, refusal: &Refusal, at: OffsetDateTime) -> Option<()> {
    let body = received.body.bytes();
    let row = Rejected { at, origin: &received.origin, refusal, body_sha256: sha256(body), body_bytes: body.len() };
    let number = worker.entered().await?;
    let (mut failures, schedule) = (0, Schedule::reconnecting());
    while !worker.note_database(worker.store.reject(number, &row).await.is_ok()) {
        failures += 1;
        rest(worker, &schedule, failures).await?;
    }
    Some(())
}

/// A message that the broker will not take is left to the broker: whatever is wrong with it, neither its queue nor the window waits.
async fn put_away(worker: &Worker, received: &Received, refusal: &Refusal, at: OffsetDateTime) -> Option<()> {
    let text = at.format(&Rfc3339).unwrap_or_default();
    let (mut failures, schedule) = (0, Schedule::reconnecting());
    loop {
        let origin = &received.origin;
        match worker.refusals.put(received, refusal, &text, failures).await {
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

async fn rest(worker: &Worker, schedule: &Schedule, failures: u32) -> Option<()> {
    tokio::select! {
        () = tokio::time::sleep(schedule.delay(failures, None)) => Some(()),
        () = worker.stop.cancelled() => None,
    }
}
