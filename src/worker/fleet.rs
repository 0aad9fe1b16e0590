//! Beside the events: what workers learn of each other and of operators, polled a few times a second: how
//! many they are, which provider asked to be left alone or is to be called again, how each incident is
//! steered.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::incidents::tend::tend;
use super::incidents::withheld::publish_approved;
use super::parts::Worker;
use crate::store::StoreError;

/// How often to poll, and how soon again when there is reason to.
const POLL_EVERY: Duration = Duration::from_millis(300);
const SOONEST: Duration = Duration::from_millis(30);
/// A new worker leaves a provider's rate to the others until they have seen it.
const NEWCOMER: Duration = Duration::from_secs(1);

/// Runs until aborted: what is in flight at the end is steered too.
pub(super) async fn run(worker: Arc<Worker>) {
    tokio::join!(poll(&worker), publish_approved(&worker), tend(&worker));
}

async fn poll(worker: &Worker) {
    let (began, mut told) = (Instant::now(), HashMap::new());
    loop {
        if let Err(error) = poll_once(worker, began, &mut told).await {
            tracing::debug!(%error, "poll the fleet");
        }
        worker.live.incidents.note_asked();
        worker.live.due.notify_one();
        tokio::time::sleep(SOONEST).await;
        drop(tokio::time::timeout(POLL_EVERY - SOONEST, worker.live.incidents.hurried()).await);
    }
}

async fn poll_once(
    worker: &Worker,
    began: Instant,
    told: &mut HashMap<Arc<str>, Instant>,
) -> Result<(), StoreError> {
    worker.live.incidents.begin_poll();
    let fleet = worker.ports.store.fleet().await?;
    let followed = follow(worker, &fleet.orders, told);
    tell_holds(worker, told, followed).await?;
    worker.live.rates.share(fleet.workers);
    worker.live.incidents.update(worker.ports.store.active_incidents().await?, fleet.workers);
    for admission in worker.ports.admissions.values() {
        if fleet.workers <= 1 || began.elapsed() >= NEWCOMER {
            admission.share(fleet.workers);
        }
    }
    for (provider, seconds) in fleet.held {
        if let Some(admission) = worker.ports.admissions.get(&*provider) {
            admission.hold(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        }
    }
    Ok(())
}

/// Has providers called again where an operator says so. Each status that this worker writes says which order
/// it has followed: a wait that another worker wrote down before is not taken over again. Returns whether
/// there was such an order.
fn follow(worker: &Worker, orders: &[(String, i64)], told: &mut HashMap<Arc<str>, Instant>) -> bool {
    let mut followed = false;
    for (name, admission) in &worker.ports.admissions {
        let latest = orders.iter().find(|(provider, _)| **provider == **name).map_or(0, |(_, order)| *order);
        if admission.follow(latest) {
            told.remove(name);
            followed = true;
        }
    }
    followed
}

/// A provider that asks to be left alone means all workers: they are told at once, not with the next renewal
/// of the lease. `told`: until when, as they know. `followed`: an operator has ended a wait, which shows at
/// once too.
async fn tell_holds(
    worker: &Worker,
    told: &mut HashMap<Arc<str>, Instant>,
    followed: bool,
) -> Result<(), StoreError> {
    let held = worker
        .ports
        .admissions
        .iter()
        .filter_map(|(name, admission)| Some((name.clone(), Instant::now() + admission.held_for()?)));
    let held: HashMap<_, _> = held.collect();
    let is_news = |(name, until): (&Arc<str>, &Instant)| {
        told.get(name).is_none_or(|known| *until > *known + POLL_EVERY)
    };
    if followed || held.iter().any(is_news) {
        let seen: Vec<_> = worker.ports.admissions.values().map(|admission| admission.status()).collect();
        worker.ports.store.report_providers(worker.number(), &seen).await?;
        *told = held;
    }
    Ok(())
}
