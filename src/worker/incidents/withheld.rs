//! Beside the events: denials that were withheld are published once their incident is approved.

use std::time::Duration;

use crate::invalidation::Phase;
use crate::store::{Denial, StoreError};
use crate::target::{Kind, TargetId};
use crate::worker::announce::Late;
use crate::worker::parts::Worker;

/// Most events whose denials are published together, and how long they are this worker's.
const BATCH: i64 = 20;
const MINE: Duration = Duration::from_secs(15);
/// How long to rest where there is nothing to publish.
const IDLE: Duration = Duration::from_millis(300);

/// Runs until aborted.
pub(in crate::worker) async fn publish_approved(worker: &Worker) {
    loop {
        match publish_some(worker).await {
            // All is published, or others are at it.
            Ok(0) => tokio::time::sleep(IDLE).await,
            Ok(_) => continue,
            Err(error) => {
                tracing::debug!(%error, "publish withheld denials");
                tokio::time::sleep(IDLE).await;
            }
        }
        worker.live.incidents.approved().await;
    }
}

/// Publishes the denials of some events; returns of how many.
async fn publish_some(worker: &Worker) -> Result<usize, StoreError> {
    let events = worker.ports.store.take_withheld(worker.number(), BATCH, MINE.as_secs_f64()).await?;
    if events.is_empty() {
        return Ok(0);
    }
    let denials = worker.ports.store.denials_of(&events).await?;
    let unsupported: Vec<_> =
        denials.iter().filter(|denial| is_unsupported(worker, denial)).map(id).collect();
    let (cutoffs, tokens): (Vec<_>, Vec<_>) =
        denials.into_iter().partition(|denial| denial.kind != Kind::Token.as_str());
    // What is not published is taken again, by whoever looks first.
    let verifiers = &worker.ports.verifiers;
    if verifiers.publish(Phase::Requested, &cutoffs).await
        && verifiers.publish(Phase::Requested, &tokens).await
    {
        if !unsupported.is_empty() {
            worker.ports.store.end_unsupported(&unsupported).await?;
        }
        for row in &events {
            verifiers.late.note(Late::Denial(*row));
            worker.note_denied(*row, worker.ports.clock.now());
        }
        tracing::info!(events = events.len(), "denials published after their incident's approval");
    }
    Ok(events.len())
}

fn id(denial: &Denial) -> TargetId {
    TargetId { event: denial.event, ordinal: denial.ordinal }
}

/// A provider that this worker does not know may be known to others.
fn is_unsupported(worker: &Worker, denial: &Denial) -> bool {
    let kind = Kind::parse(&denial.kind);
    worker
        .ports
        .admissions
        .get(&*denial.provider)
        .is_some_and(|admission| kind.is_none_or(|kind| !admission.provider.supports_kind(kind)))
}
