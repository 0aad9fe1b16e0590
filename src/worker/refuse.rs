//! What becomes of a message that is no valid event: a row, a place in `revocation.dead`, then the acknowledgement.

use std::sync::Arc;

use time::OffsetDateTime;

use super::Worker;
use super::intake::sha256;
use crate::broker::Received;
use crate::event::Refusal;
use crate::retry::Schedule;
use crate::store::Rejected;

/// Puts a refused message into `revocation.dead` and on record, then acknowledges it. Each part is repeated until it is done.
pub(super) async fn refuse(worker: Arc<Worker>, received: Received, refusal: Refusal) {
    let (at, origin) = (OffsetDateTime::now_utc(), &received.origin);
    let body = received.body.bytes();
    let row = Rejected { at, origin, refusal: &refusal, body_sha256: sha256(body), body_bytes: body.len() };
    tracing::warn!(queue = %origin.queue, routing_key = origin.routing_key, broker_user = origin.broker_user.as_deref(), code = refusal.code.as_str(),
        detail = refusal.detail, event_source = refusal.event_source.as_deref(), event_id = refusal.event_id.as_deref(), "event refused");
    let Some(number) = worker.entered().await else { return };
    let text = at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    let (mut failures, schedule) = (0, Schedule::reconnecting());
    let mut recorded = false;
    loop {
        // The row first: while Postgres is away, a message delivered twice must not leave two copies.
        recorded = recorded || worker.note_database(worker.store.reject(number, &row).await.is_ok());
        if recorded && worker.publisher.refuse(&received, &refusal, &text).await.is_ok() {
            break;
        }
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
