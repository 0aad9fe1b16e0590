//! Beside the events: folds the log into a snapshot now and then, so that a verifier's start is as long as
//! what is live. Any worker does it.

use std::sync::Arc;
use std::time::Duration;

use super::announce::Announcer;
use super::parts::{Ports, Worker};
use crate::broker::Snapshots;

/// When it is looked for the first time after the start, and how often then; up to half as much later, so
/// that not all do so at once.
const FIRST_CHECK: Duration = Duration::from_secs(2);
const CHECK_EVERY: Duration = Duration::from_secs(60);
/// Whether the worker is busy shows within this time: it publishes more than so many messages.
const SAMPLE: Duration = Duration::from_secs(1);
const BUSY: u64 = 100;

/// Runs until stopped.
pub(super) async fn run(worker: Arc<Worker>, snapshots: Snapshots) {
    let mut wait = FIRST_CHECK;
    while !worker.live.stop.is_cancelled() {
        let look = async {
            tokio::time::sleep(wait.mul_f64(1.0 + rand::random::<f64>() / 2.0)).await;
            fold(&worker.ports, &snapshots).await;
        };
        tokio::select! {
            () = look => wait = CHECK_EVERY,
            // Half a snapshot is none: nothing is lost with it.
            () = worker.live.stop.cancelled() => {}
        }
    }
}

async fn fold(ports: &Ports, snapshots: &Snapshots) {
    match snapshots.fold_if_due(is_busy(&ports.verifiers).await).await {
        Ok(None) => {}
        Ok(Some(folded)) => {
            ports.metrics.folded(true);
            tracing::info!(
                entries = folded.entries,
                parts = folded.parts,
                messages = folded.messages,
                "folded the log into a snapshot"
            );
        }
        Err(error) => {
            ports.metrics.folded(false);
            tracing::warn!(%error, "the log was not folded; trying again in a minute");
        }
    }
}

async fn is_busy(verifiers: &Announcer) -> bool {
    let before = verifiers.publisher().standing().attempted;
    tokio::time::sleep(SAMPLE).await;
    verifiers.publisher().standing().attempted - before > BUSY
}
