//! Beside the events: incidents that nobody looks after. Fuses, ends, cancellations whose command was killed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::store::StoreError;
use crate::worker::parts::Worker;
use crate::worker::ticker::ticker;

/// How often to tend incidents, and how often to say again that one waits for approval.
const TEND: Duration = Duration::from_secs(1);
const REMIND: Duration = Duration::from_secs(60);
/// Most targets of a cancelled incident that are given up in one statement.
const SWEEP: i64 = 2000;

/// Runs until aborted.
pub(in crate::worker) async fn tend(worker: &Worker) {
    let mut ticker = ticker(TEND);
    let mut reminded: HashMap<String, Instant> = HashMap::new();
    loop {
        ticker.tick().await;
        if let Err(error) = tend_once(worker).await {
            tracing::debug!(%error, "tend the incidents");
        }
        let waiting = worker.live.incidents.awaiting_approval();
        worker.ports.metrics.fleet.set_awaiting_approval(waiting.len());
        reminded.retain(|name, _| waiting.contains(name));
        for incident in waiting {
            if reminded.get(&incident).is_none_or(|last| last.elapsed() >= REMIND) {
                tracing::error!(
                    incident,
                    "incident waits for a second person's approval: nothing more of it is denied or revoked \
                        until then"
                );
                reminded.insert(incident, Instant::now());
            }
        }
    }
}

async fn tend_once(worker: &Worker) -> Result<(), StoreError> {
    for incident in worker.ports.store.trip_fuses().await? {
        tracing::error!(incident, "incident stopped: it needs an approval that it does not have");
    }
    while worker.ports.store.sweep_cancelled(SWEEP).await? > 0 {}
    for incident in worker.ports.store.finish_incidents().await? {
        tracing::info!(incident, "incident finished");
    }
    worker.ports.store.sample_incidents().await
}
