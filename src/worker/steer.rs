//! Beside the events: how operators steer incidents, and what workers share. Looked up a few times a second;
//! what was withheld until an approval is published, and incidents are tended that nobody looks after: fuses,
//! ends, cancellations whose command was killed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::intake::note_denied;
use super::upkeep::{publish, ticker};
use super::{Late, Worker};
use crate::invalidation::Phase;
use crate::store::{Denial, StoreError};
use crate::target::{Kind, TargetId};

/// How often to look, and how soon again when there is reason to.
const LOOK: Duration = Duration::from_millis(300);
const SOONEST: Duration = Duration::from_millis(30);
/// A new worker leaves a provider's rate to the others until they have seen it.
const NEWCOMER: Duration = Duration::from_secs(1);
/// Most events whose denials are published together, and how long they are this worker's.
const BATCH: i64 = 20;
const MINE: Duration = Duration::from_secs(15);
/// How often to tend incidents, and how often to say again that one waits for approval.
const TEND: Duration = Duration::from_secs(1);
const REMIND: Duration = Duration::from_secs(60);
/// Most targets of a cancelled incident that are given up in one statement.
const SWEEP: i64 = 2000;

/// Runs until aborted: what is in flight at the end is steered too.
pub(super) async fn run(worker: Arc<Worker>) {
    tokio::join!(look(&worker), deny_approved(&worker), tend(&worker));
}

async fn look(worker: &Worker) {
    let (began, mut told) = (Instant::now(), HashMap::new());
    loop {
        if let Err(error) = look_once(worker, began, &mut told).await {
            tracing::debug!(%error, "look at the incidents");
        }
        worker.incidents.note_asked();
        worker.due.notify_one();
        tokio::time::sleep(SOONEST).await;
        drop(tokio::time::timeout(LOOK - SOONEST, worker.incidents.hurried()).await);
    }
}

async fn look_once(
    worker: &Worker,
    began: Instant,
    told: &mut HashMap<Arc<str>, Instant>,
) -> Result<(), StoreError> {
    worker.incidents.begin_look();
    let fleet = worker.store.fleet().await?;
    let followed = follow(worker, &fleet.orders, told);
    tell_holds(worker, told, followed).await?;
    worker.rates.share(fleet.workers);
    worker.incidents.update(worker.store.active_incidents().await?, fleet.workers);
    for admission in worker.admissions.values() {
        if fleet.workers <= 1 || began.elapsed() >= NEWCOMER {
            admission.share(fleet.workers);
        }
    }
    for (provider, seconds) in fleet.held {
        if let Some(admission) = worker.admissions.get(&*provider) {
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
    for (name, admission) in &worker.admissions {
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
        .admissions
        .iter()
        .filter_map(|(name, admission)| Some((name.clone(), Instant::now() + admission.held_for()?)));
    let held: HashMap<_, _> = held.collect();
    let is_news =
        |(name, until): (&Arc<str>, &Instant)| told.get(name).is_none_or(|known| *until > *known + LOOK);
    if followed || held.iter().any(is_news) {
        let seen: Vec<_> = worker.admissions.values().map(|admission| admission.status()).collect();
        worker.store.report_providers(worker.number(), &seen).await?;
        *told = held;
    }
    Ok(())
}

async fn tend(worker: &Worker) {
    let mut ticker = ticker(TEND);
    let mut reminded: HashMap<String, Instant> = HashMap::new();
    loop {
        ticker.tick().await;
        if let Err(error) = tend_once(worker).await {
            tracing::debug!(%error, "tend the incidents");
        }
        let waiting = worker.incidents.awaiting_approval();
        worker.metrics.set_awaiting_approval(waiting.len());
        reminded.retain(|name, _| waiting.contains(name));
        for incident in waiting {
            if reminded.get(&incident).is_none_or(|last| last.elapsed() >= REMIND) {
                tracing::error!(
                    incident,
                    "incident waits for a second person's approval: nothing of it is denied or revoked until \
                        then"
                );
                reminded.insert(incident, Instant::now());
            }
        }
    }
}

async fn tend_once(worker: &Worker) -> Result<(), StoreError> {
    for incident in worker.store.trip_fuses().await? {
        tracing::error!(incident, "incident stopped: it has more targets than one person may order");
    }
    while worker.store.sweep_cancelled(SWEEP).await? > 0 {}
    for incident in worker.store.finish_incidents().await? {
        tracing::info!(incident, "incident finished");
    }
    worker.store.sample_incidents().await
}

async fn deny_approved(worker: &Worker) {
    loop {
        match deny_some(worker).await {
            // All is published, or others are at it.
            Ok(0) => tokio::time::sleep(LOOK).await,
            Ok(_) => continue,
            Err(error) => {
                tracing::debug!(%error, "publish withheld denials");
                tokio::time::sleep(LOOK).await;
            }
        }
        worker.incidents.approved().await;
    }
}

/// Publishes the denials of some events; returns of how many.
async fn deny_some(worker: &Worker) -> Result<usize, StoreError> {
    let events = worker.store.take_withheld(worker.number(), BATCH, MINE.as_secs_f64()).await?;
    if events.is_empty() {
        return Ok(0);
    }
    let denials = worker.store.denials_of(&events).await?;
    let unsupported: Vec<_> =
        denials.iter().filter(|denial| is_unsupported(worker, denial)).map(id).collect();
    let (cutoffs, tokens): (Vec<_>, Vec<_>) =
        denials.into_iter().partition(|denial| denial.kind != Kind::Token.as_str());
    // What is not published is taken again, by whoever looks first.
    if publish(worker, Phase::Requested, cutoffs).await && publish(worker, Phase::Requested, tokens).await {
        if !unsupported.is_empty() {
            worker.store.end_unsupported(&unsupported).await?;
        }
        for row in &events {
            worker.recent.note(Late::Denial(*row));
            note_denied(worker, *row, worker.clock.now());
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
        .admissions
        .get(&*denial.provider)
        .is_some_and(|admission| kind.is_none_or(|kind| !admission.provider.supports_kind(kind)))
}
