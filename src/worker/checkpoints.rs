//! Checkpoints of the record: any worker makes them, one at a time, and puts each into the log of the
//! invalidations, where no administrator of the database can change it, and on a line of its own log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use revocation_evidence::SigningKey;

use super::parts::Worker;
use crate::failpoint;
use crate::invalidation::Checkpointing;
use crate::store::{Checkpoint, Look, StoreError};

/// Where nothing comes on record, one is made so often all the same: it says that nothing came.
const IDLE: Duration = Duration::from_secs(600);
/// How often to look whether those who are writing have ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A transaction that is held open for so long is worth a warning.
const HELD_UP: Duration = Duration::from_secs(60);

/// Runs until stopped.
pub(super) async fn run(worker: Arc<Worker>) {
    let Some(key) = &worker.ports.signing_key else { return worker.live.stop.cancelled().await };
    let work = async {
        // Whoever made it may have died before it was in the log.
        if let Ok(Some(last)) = worker.ports.store.last_checkpoint().await {
            publish(&worker, &last).await;
        }
        loop {
            // Not all workers at once.
            let wait = worker.rules.checkpoint_every.mul_f64(0.8 + 0.2 * rand::random::<f64>());
            tokio::time::sleep(wait).await;
            if let Err(error) = make(&worker, key).await {
                tracing::warn!(%error, "no checkpoint of the record was made; trying again");
            }
        }
    };
    tokio::select! {
        () = work => {}
        // A checkpoint that is not committed is none.
        () = worker.live.stop.cancelled() => {}
    }
}

async fn make(worker: &Worker, key: &SigningKey) -> Result<(), StoreError> {
    let store = &worker.ports.store;
    let look = store.look_at_writers().await?;
    wait_for_writers(worker, &look).await?;
    while let Some(made) = store.make_checkpoint(&look, key, &worker.me.instance, IDLE).await? {
        failpoint!("checkpointed");
        tracing::info!(
            checkpoint = made.number,
            digest = %made.sha256,
            rows = made.rows,
            "checkpoint of the record"
        );
        publish(worker, &made).await;
        if !made.has_more {
            break;
        }
    }
    Ok(())
}

/// Waits until those have ended who were writing at the look.
async fn wait_for_writers(worker: &Worker, look: &Look) -> Result<(), StoreError> {
    let (began, mut has_warned) = (Instant::now(), false);
    loop {
        let writing = worker.ports.store.still_writing(look).await?;
        let Some(process) = writing.first() else { return Ok(()) };
        tracing::trace!(process, "a checkpoint waits for a transaction");
        if began.elapsed() > HELD_UP && !has_warned {
            has_warned = true;
            tracing::warn!(
                process,
                "a transaction of the database has written to the record and does not end: no checkpoint is \
                    made before it does; pg_stat_activity says whose server process it is"
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn publish(worker: &Worker, checkpoint: &Checkpoint) {
    let message = Checkpointing {
        checkpoint: checkpoint.number,
        document: checkpoint.document.clone(),
        sha256: checkpoint.sha256.to_string(),
        public_key: checkpoint.public_key.clone(),
        signature: STANDARD.encode(&checkpoint.signature),
    };
    if !worker.ports.verifiers.publish_checkpoint(message).await {
        // The next one, which follows it, vouches for it.
        tracing::debug!(checkpoint = checkpoint.number, "a checkpoint is not in the log of invalidations");
    }
}
