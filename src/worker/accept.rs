//! Step 2: seal the tokens, commit event, targets and leases, acknowledge after both commit and denial.
//!
//! Whatever has arrived while one commit was under way makes the next batch: many events share a commit, a lone one waits for nobody.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Worker;
use super::copies::{age, is_second_copy};
use super::intake::{Taken, note_denied, refuse};
use super::job::{Context, Job};
use super::revoke;
use crate::broker::Received;
use crate::event::{Lane, LogoutEvent, Refusal, RefusalCode};
use crate::failpoint;
use crate::invalidation::EventRef;
use crate::outcome::Standing;
use crate::retry::Schedule;
use crate::seal::SealContext;
use crate::store::{Accepted, Disposition, NewEvent, NewTarget, StoreError};
use crate::target::{Target, TargetId};

/// Most events a commit.
const BATCH: usize = 256;
/// No commit takes a further event beyond so many targets: it would keep those behind it waiting.
const TARGETS: usize = 1000;

/// Most commits at once. Mass revocations leave the database free for ordinary logouts.
fn commits(lane: Lane) -> usize {
    match lane {
        Lane::Interactive => 2,
        Lane::Mass => 1,
    }
}
/// How long a delivery may be held while Postgres is away. Then the window goes back to the broker, long before its own 30 minutes end.
const LONGEST_HOLD: Duration = Duration::from_secs(600);
/// A token whose end lies further back than this is dead everywhere.
const EXPIRY_LEEWAY: time::Duration = time::Duration::seconds(60);

/// An event ready to be committed.
struct Prepared {
    taken: Taken,
    targets: Vec<NewTarget>,
    room: Vec<(Arc<str>, OwnedSemaphorePermit)>,
}

/// Runs until the events of one lane end.
pub(super) async fn run(worker: Arc<Worker>, lane: Lane, mut events: mpsc::UnboundedReceiver<Taken>, open: Arc<watch::Sender<bool>>) {
    let commits = Arc::new(Semaphore::new(commits(lane)));
    loop {
        let Ok(turn) = commits.clone().acquire_owned().await else { return };
        let Some(batch) = next(&mut events).await else { return };
        let (worker, open) = (worker.clone(), open.clone());
        worker.clone().tasks.spawn(async move {
            let prepared = batch.into_iter().filter_map(|taken| prepare(&worker, taken)).collect();
            accept(&worker, prepared, &open, turn).await;
        });
    }
}

/// What has arrived, as far as one commit takes it.
async fn next(events: &mut mpsc::UnboundedReceiver<Taken>) -> Option<Vec<Taken>> {
    let mut batch = vec![events.recv().await?];
    let mut targets = batch[0].event.targets.len();
    while batch.len() < BATCH
        && targets < TARGETS
        && let Ok(taken) = events.try_recv()
    {
        targets += taken.event.targets.len();
        batch.push(taken);
    }
    Some(batch)
}

fn prepare(worker: &Worker, taken: Taken) -> Option<Prepared> {
    let room = reserve(worker, &taken.event);
    let mut targets = Vec::with_capacity(taken.event.targets.len());
    for (ordinal, target) in (0..).zip(&taken.event.targets) {
        let disposition = dispose(worker, &taken, target, &room);
        let id = TargetId { event: taken.row, ordinal };
        let context = SealContext { id, provider: &target.provider };
        let sealed = match (disposition, target.token()) {
            (Disposition::Lease | Disposition::Wait | Disposition::Turn, Some(token)) => {
                match worker.keyring.seal(&context, &token.token) {
                    Ok(sealed) => Some(sealed),
                    Err(error) => {
                        // Left to the broker, which delivers it again when this session ends.
                        tracing::error!(%error, "cannot seal a token; the event is left in the queue");
                        return None;
                    }
                }
            }
            _ => None,
        };
        let give_up_at = target.token_expires_at().unwrap_or(taken.event.received_at + worker.give_up_after);
        targets.push(NewTarget { disposition, sealed, give_up_at });
    }
    Some(Prepared { taken, targets, room })
}

/// Room in memory for the event's targets, provider by provider: all of a provider's or none, so that refresh tokens stay first.
/// An incident's wait for their turn.
fn reserve(worker: &Worker, event: &LogoutEvent) -> Vec<(Arc<str>, OwnedSemaphorePermit)> {
    let mut room: Vec<(Arc<str>, OwnedSemaphorePermit)> = Vec::new();
    if event.incident.is_some() {
        return room;
    }
    let mut seen = HashSet::new();
    for target in &event.targets {
        if seen.insert(target.provider.clone())
            && let Some(gate) = worker.gates.get(&target.provider)
            && let Some(permit) = gate.reserve(event.lane(), event.targets.iter().filter(|t| t.provider == target.provider).count())
        {
            room.push((target.provider.clone(), permit));
        }
    }
    room
}

fn dispose(worker: &Worker, taken: &Taken, target: &Target, room: &[(Arc<str>, OwnedSemaphorePermit)]) -> Disposition {
    let supported = worker.gates.get(&target.provider).is_some_and(|gate| gate.provider.supports(target));
    if target.token_expires_at().is_some_and(|end| end + EXPIRY_LEEWAY <= taken.event.received_at) {
        Disposition::Expired
    } else if taken.denial.is_none() {
        Disposition::Turn
    } else if !supported {
        Disposition::Unsupported
    } else if taken.approval.is_some() {
        Disposition::Turn
    } else if room.iter().any(|(provider, _)| *provider == target.provider) {
        Disposition::Lease
    } else {
        Disposition::Wait
    }
}

/// Commits a batch and sets off what follows: acknowledgements, and the work itself.
async fn accept(worker: &Arc<Worker>, batch: Vec<Prepared>, open: &watch::Sender<bool>, turn: OwnedSemaphorePermit) {
    let Some(mut committed) = commit(worker, &batch, open).await else { return };
    drop(turn);
    failpoint!("committed");
    for prepared in batch {
        let row = prepared.taken.row;
        if let Some(reason) = committed.unstorable.remove(&row) {
            set_aside(worker, prepared.taken, reason);
            continue;
        }
        let fresh = committed.accepted.iter().find(|a| a.row == row);
        let known = committed.known.get(&row).copied();
        if !known.is_some_and(|known| is_second_copy(&prepared.taken.received.origin, age(known))) {
            worker.metrics.accepted(prepared.taken.event.lane(), fresh.is_some());
        }
        let Prepared { taken: Taken { received, event, row, denial, arrival, .. }, targets, room } = prepared;
        if let Some(arrival) = arrival {
            arrival.land(fresh.is_some());
        }
        match fresh {
            Some(_) if event.incident.is_some() => worker.incidents.hurry(),
            Some(fresh) if fresh.leased => set_to_work(worker, event, row, &targets, room),
            _ => {}
        }
        let worker = worker.clone();
        worker.clone().tasks.spawn(async move {
            if let (Some(known), None) = (known, &denial) {
                withhold(&worker, known).await;
            }
            acknowledge(&worker, received, known.unwrap_or(row), denial).await;
        });
    }
}

/// An event that Postgres cannot hold is refused like any other bad input: waiting for it would hold up every event behind it.
fn set_aside(worker: &Arc<Worker>, taken: Taken, reason: String) {
    let Taken { received, event, .. } = taken;
    let refusal = Refusal::new(RefusalCode::InvalidField, reason).of_event(Some(event.source), Some(event.id));
    worker.tasks.spawn(refuse(worker.clone(), received, refusal));
}

/// An event that was known may have been accepted with a denial that was never confirmed: now it waits.
async fn withhold(worker: &Worker, row: Uuid) {
    let (mut failures, schedule) = (0, Schedule::reconnecting());
    while let Err(error) = worker.store.withhold(row).await {
        failures += 1;
        tracing::debug!(%error, failures, "withhold a known event's denial");
        tokio::select! {
            () = tokio::time::sleep(schedule.delay(failures, None)) => {}
            () = worker.stop.cancelled() => return,
        }
    }
}

async fn acknowledge(worker: &Worker, received: Received, row: Uuid, denial: Option<JoinHandle<Option<OffsetDateTime>>>) {
    let Some(denial) = denial else {
        received.ack().await;
        return;
    };
    // Not denied: the worker is stopping. The broker keeps the event for the next one.
    let Ok(Some(at)) = denial.await else { return };
    received.ack().await;
    failpoint!("acked");
    // Also of an event that was known: whoever accepted it may have died before this.
    note_denied(worker, row, at);
}

/// What became of a batch.
#[derive(Default)]
struct Committed {
    accepted: Vec<Accepted>,
    /// The rows of events that were known.
    known: HashMap<Uuid, Uuid>,
    /// Events that Postgres cannot hold, and why.
    unstorable: HashMap<Uuid, String>,
}

/// Commits, again and again until it is done; `None` if the worker stops first.
async fn commit(worker: &Worker, batch: &[Prepared], open: &watch::Sender<bool>) -> Option<Committed> {
    let (mut failures, began, schedule) = (0, Instant::now(), Schedule::reconnecting());
    loop {
        match insert(worker, batch).await {
            Ok(committed) => {
                worker.note_database(true);
                open.send_if_modified(|open| !std::mem::replace(open, true));
                return Some(committed);
            }
            Err(error) => {
                failures += 1;
                worker.note_database(false);
                tracing::warn!(%error, failures, events = batch.len(), "events not committed; holding them");
            }
        }
        if began.elapsed() > LONGEST_HOLD {
            open.send_if_modified(|open| std::mem::replace(open, false));
        }
        tokio::select! {
            () = tokio::time::sleep(schedule.delay(failures, None)) => {}
            () = worker.stop.cancelled(), if failures > 3 => return None,
        }
    }
}

/// Inserts a batch; where Postgres cannot hold it, in halves, so that one bad event does not hold up the others.
async fn insert(worker: &Worker, batch: &[Prepared]) -> Result<Committed, StoreError> {
    let events: Vec<_> = batch.iter().map(Prepared::row).collect();
    match (worker.store.accept(worker.number(), &events).await, batch) {
        (Ok(accepted), _) => {
            let known = known(worker, &events, &accepted).await?;
            Ok(Committed { accepted, known, ..Committed::default() })
        }
        (Err(StoreError::Unstorable(_, reason)), [one]) => {
            Ok(Committed { unstorable: HashMap::from([(one.taken.row, reason)]), ..Committed::default() })
        }
        (Err(StoreError::Unstorable(..)), _) => {
            let (left, right) = batch.split_at(batch.len() / 2);
            let (mut all, right) = (Box::pin(insert(worker, left)).await?, Box::pin(insert(worker, right)).await?);
            all.accepted.extend(right.accepted);
            all.known.extend(right.known);
            all.unstorable.extend(right.unstorable);
            Ok(all)
        }
        (Err(error), _) => Err(error),
    }
}

/// Where the events that were not new are on record. Asked again after a failure, they are all known.
async fn known(worker: &Worker, events: &[NewEvent<'_>], accepted: &[Accepted]) -> Result<HashMap<Uuid, Uuid>, StoreError> {
    let known: Vec<_> = events.iter().filter(|new| accepted.iter().all(|accepted| accepted.row != new.row)).collect();
    if known.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(worker.store.known(&known).await?.into_iter().map(|known| (known.row, known.on_record)).collect())
}

impl Prepared {
    fn row(&self) -> NewEvent<'_> {
        NewEvent {
            row: self.taken.row,
            event: &self.taken.event,
            body_sha256: self.taken.body_sha256,
            broker_user: self.taken.received.origin.broker_user.as_deref(),
            targets: &self.targets,
            incident: self.taken.approval.as_ref(),
        }
    }
}

/// Hands the leased targets of an event to step 3, provider by provider.
fn set_to_work(worker: &Arc<Worker>, event: LogoutEvent, row: Uuid, plans: &[NewTarget], room: Vec<(Arc<str>, OwnedSemaphorePermit)>) {
    let context = Arc::new(Context {
        row,
        lane: event.lane(),
        reference: EventRef { source: event.source, id: event.id },
        incident: event.incident,
        not_before: event.not_before,
        received_at: event.received_at,
    });
    let mut targets: Vec<_> = (0..).zip(event.targets).zip(plans).collect();
    for (provider, mut permits) in room {
        let (ours, rest) = targets.into_iter().partition(|((_, target), _)| target.provider == provider);
        targets = rest;
        let ours: Vec<((i16, Target), &NewTarget)> = ours;
        let jobs = ours.into_iter().filter(|(_, plan)| plan.disposition == Disposition::Lease).filter_map(|((ordinal, target), plan)| {
            let standing = Standing {
                attempt: 1,
                failures: 0,
                token_expires_at: target.token_expires_at(),
                give_up_at: plan.give_up_at,
                is_outage: false,
                is_unreadable: false,
            };
            let id = TargetId { event: row, ordinal };
            Some(Job::new((id, 1), target, standing, context.clone(), permits.split(1)?, worker))
        });
        revoke::spawn(worker, jobs.collect());
    }
}
