//! What keeps a fleet of workers whole: the own lease, takeover from the dead, confirmations and denials
//! still owed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counts::count;
use super::owed::{confirm_owed, deny_all_owed, republish};
use super::parts::{Ports, Worker};
use super::ticker::ticker;
use crate::store::{StoreError, WorkerNo};

/// How often to look for dead workers, for confirmations owed, and for lost leases.
const SEARCH_EVERY: Duration = Duration::from_secs(2);
/// How often to look whether what is in flight has changed.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Longest that denials owed may keep one look from its end.
const LONGEST_SEARCH: Duration = Duration::from_secs(10);

/// Runs until aborted: the lease must be renewed while the last work is finished.
pub(super) async fn run(worker: Arc<Worker>) {
    let looks =
        async { tokio::join!(look_for_dead(&worker), look_for_owed(&worker), look_for_lost(&worker)) };
    tokio::join!(renew(&worker), looks, count(&worker), republish(&worker));
}

/// In between, only what is in flight is told, where that has changed: people who look must not see a peak
/// that is long over.
async fn renew(worker: &Worker) {
    let (mut ticker, mut told, mut renewed_at) =
        (ticker((worker.me.lease / 6).min(TELL_EVERY)), 0, None::<Instant>);
    loop {
        ticker.tick().await;
        if worker.ports.store.refuses_writes().is_some() {
            // Until this works, and no longer: most of what is refused is repeated too seldom to tell.
            drop(worker.ports.store.try_write().await);
        }
        let in_flight =
            worker.ports.admissions.values().map(|admission| admission.in_flight()).sum::<usize>();
        if renewed_at.is_some_and(|at| at.elapsed() + TELL_EVERY / 2 < worker.me.lease / 6)
            && in_flight == told
        {
            continue;
        }
        (told, renewed_at) = (in_flight, Some(Instant::now()));
        let seen: Vec<_> = worker.ports.admissions.values().map(|admission| admission.status()).collect();
        let renewed = async {
            let in_flight = i32::try_from(in_flight).unwrap_or(i32::MAX);
            let reading = worker
                .ports
                .store
                .renew(worker.number(), worker.me.lease, in_flight, worker.ports.clock.offset())
                .await?;
            reading.into_iter().for_each(|reading| worker.learn_time(reading));
            worker.ports.store.report_providers(worker.number(), &seen).await
        };
        match renewed.await {
            // It changes a row in place, which a full disk leaves room for.
            Ok(()) => worker.live.postgres.note(worker.ports.store.refuses_writes().is_none()),
            Err(error) => {
                tracing::warn!(%error, "lease not renewed");
                worker.ports.metrics.lease_not_renewed();
                worker.live.postgres.note(false)
            }
        };
    }
}

/// Takeover waits for Postgres alone; the denials owed, which need the broker too, come after it.
async fn look_for_dead(worker: &Worker) {
    let mut ticker = ticker(SEARCH_EVERY);
    let mut settled = HashSet::new();
    loop {
        ticker.tick().await;
        let looked = async {
            let dead: Vec<_> = worker
                .ports
                .store
                .dead_workers()
                .await?
                .into_iter()
                .filter(|dead| *dead != worker.number())
                .collect();
            take_over(&worker.ports, &dead).await?;
            // Without the broker this would take for ever; the next look tries again.
            drop(tokio::time::timeout(LONGEST_SEARCH, deny_all_owed(worker, &dead, &mut settled)).await);
            Ok::<_, StoreError>(())
        };
        if let Err(error) = looked.await {
            tracing::debug!(%error, "look for dead workers");
        }
    }
}

async fn look_for_owed(worker: &Worker) {
    let mut ticker = ticker(SEARCH_EVERY);
    loop {
        ticker.tick().await;
        if let Err(error) = confirm_owed(worker).await {
            tracing::debug!(%error, "look for confirmations owed");
        }
    }
}

/// Frees what is leased to this worker and not in its memory: nobody else would, as long as it lives.
async fn look_for_lost(worker: &Worker) {
    let mut ticker = ticker(SEARCH_EVERY);
    loop {
        ticker.tick().await;
        let looked = async {
            let mut lost = worker.ports.store.leased(worker.number()).await?;
            lost.retain(|(id, _)| !worker.live.in_flight.contains(*id));
            if lost.is_empty() { Ok(0) } else { worker.ports.store.abandon(worker.number(), &lost).await }
        };
        match looked.await {
            Ok(0) => {}
            Ok(freed) => tracing::warn!(
                targets = freed,
                "freed targets that were leased to this worker and unknown to it"
            ),
            Err(error) => tracing::debug!(%error, "look for lost leases"),
        }
    }
}

async fn take_over(ports: &Ports, dead: &[WorkerNo]) -> Result<(), StoreError> {
    for dead in dead {
        let taken = ports.store.take_over(*dead).await?;
        ports.metrics.taken_over(taken);
        if taken > 0 {
            tracing::warn!(dead_worker = dead.0, targets = taken, "took over from a worker that stopped");
        }
    }
    Ok(())
}
