//! Counting for the metrics: the backlog, the verifiers, and what waits in `revocation.dead`.

use std::time::Duration;

use super::parts::{Ports, Worker};
use super::ticker::ticker;
use crate::store::{StoreError, VerifierCount};

/// So many refused messages in `revocation.dead` are an error in the log.
const MANY_DEAD: u32 = 1000;
/// How often to count.
const COUNT_EVERY: Duration = Duration::from_secs(15);

/// Counts until aborted.
pub(super) async fn count(worker: &Worker) {
    let (mut ticker, mut many) = (ticker(COUNT_EVERY), false);
    loop {
        ticker.tick().await;
        if let Some(waiting) = worker.ports.refusals.waiting().await {
            many = note_dead(&worker.ports, waiting, many);
            if let Err(error) = worker.ports.store.note_dead(worker.number(), waiting, many).await {
                tracing::debug!(%error, "note what waits in revocation.dead");
            }
        }
        let (fleet, providers) =
            (&worker.ports.metrics.fleet, || worker.ports.admissions.keys().map(|name| &**name));
        if let Ok(backlog) = worker.ports.store.backlog().await {
            fleet.set_backlog(&backlog, providers());
        }
        if let Ok(ages) = worker.ports.store.ages().await {
            fleet.set_ages(&ages, providers());
        }
        tell_latencies(worker).await;
        if let Ok(verifiers) = count_verifiers(&worker.ports).await {
            worker.ports.metrics.fleet.set_verifiers(verifiers);
        }
    }
}

/// What cannot be written is not told: the page shows a little less.
async fn tell_latencies(worker: &Worker) {
    let Some(latencies) = worker.ports.metrics.latencies() else { return };
    if let Err(error) = worker.ports.store.add_latencies(worker.number(), &latencies).await {
        tracing::debug!(%error, "tell how long denials and revocations took");
    }
}

/// Tells of many refused messages once, until they are fewer again. Returns whether they are many.
fn note_dead(ports: &Ports, waiting: u32, were_many: bool) -> bool {
    ports.metrics.fleet.set_dead(waiting);
    let are_many = waiting >= MANY_DEAD;
    if are_many && !were_many {
        tracing::error!(
            waiting,
            "many refused messages wait in revocation.dead; `revocation-worker dead list` shows what is \
                wrong with them"
        );
    }
    are_many
}

async fn count_verifiers(ports: &Ports) -> Result<VerifierCount, StoreError> {
    let forgotten = ports.store.forget_verifiers().await?;
    if forgotten > 0 {
        tracing::info!(verifiers = forgotten, "forgot verifiers that were not heard of for a day");
    }
    ports.store.count_verifiers().await
}
