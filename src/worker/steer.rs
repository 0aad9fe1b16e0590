//! Beside the events: how operators steer incidents, and what workers share. Looked up a few times a second;
//! what was withheld until an approval is published, and incidents are tended that nobody looks after: fuses,
//! ends, cancellations whose command was killed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::announce::Late;
use super::gate::Gate;
use super::parts::Worker;
use super::ticker::ticker;
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
        worker.live.incidents.note_asked();
        worker.live.due.notify_one();
        tokio::time::sleep(SOONEST).await;
        drop(tokio::time::timeout(LOOK - SOONEST, worker.live.incidents.hurried()).await);
    }
}

async fn look_once(
    worker: &Worker,
    began: Instant,
    told: &mut HashMap<Arc<str>, Instant>,
) -> Result<(), StoreError> {
    worker.live.incidents.begin_look();
    let fleet = worker.ports.store.fleet().await?;
    let followed = follow(worker, &fleet.orders, told);
    tell_holds(worker, told, followed).await?;
    worker.live.rates.share(fleet.workers);
    worker.live.incidents.update(worker.ports.store.active_incidents().await?, fleet.workers);
    for gate in worker.ports.gates.values() {
        if fleet.workers <= 1 || began.elapsed() >= NEWCOMER {
            gate.share(fleet.workers);
        }
    }
    for (provider, seconds) in fleet.held {
        if let Some(gate) = worker.ports.gates.get(&*provider) {
            gate.hold(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        }
    }
    Ok(())
}

/// Has providers called again where an operator says so. Each status that this worker writes says which order
/// it has followed: a wait that another worker wrote down before is not taken over again. Returns whether
/// there was such an order.
fn follow(worker: &Worker, orders: &[(String, i64)], told: &mut HashMap<Arc<str>, Instant>) -> bool {
    let mut followed = false;
    for (name, gate) in &worker.ports.gates {
        let latest = orders.iter().find(|(provider, _)| **provider == **name).map_or(0, |(_, order)| *order);
        if gate.follow(latest) {
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
        .gates
        .iter()
        .filter_map(|(name, gate)| Some((name.clone(), Instant::now() + gate.held_for()?)));
    let held: HashMap<_, _> = held.collect();
    let is_news =
        |(name, until): (&Arc<str>, &Instant)| told.get(name).is_none_or(|known| *until > *known + LOOK);
    if followed || held.iter().any(is_news) {
        let seen: Vec<_> = worker.ports.gates.values().map(Gate::status).collect();
        worker.ports.store.report_providers(worker.number(), &seen).await?;
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
        let waiting = worker.live.incidents.awaiting_approval();
        worker.ports.metrics.set_awaiting_approval(waiting.len());
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
    for incident in worker.ports.store.trip_fuses().await? {
        tracing::error!(incident, "incident stopped: it has more targets than one person may order");
    }
    while worker.ports.store.sweep_cancelled(SWEEP).await? > 0 {}
    for incident in worker.ports.store.finish_incidents().await? {
        tracing::info!(incident, "incident finished");
    }
    worker.ports.store.sample_incidents().await
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
        worker.live.incidents.approved().await;
    }
}

/// Publishes the denials of some events; returns of how many.
async fn deny_some(worker: &Worker) -> Result<usize, StoreError> {
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
        .gates
        .get(&*denial.provider)
        .is_some_and(|gate| kind.is_none_or(|kind| !gate.provider.supports_kind(kind)))
}
