//! Step 2: seal the tokens, commit event, targets and leases, acknowledge after both commit and denial.
//!
//! Whatever has arrived while one commit was under way makes the next batch: many events share a commit, a
//! lone one waits for nobody.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::copies::{age, is_second_copy};
use super::correct::corrected;
use super::early::{early, hand_back_after_long};
use super::excess::change_known;
use super::intake::Taken;
use super::job::{Context, Job};
use super::prepare::{Prepared, prepare};
use super::refuse::refuse;
use super::revoke;
use super::shares::Shares;
use super::{Room, Worker};
use crate::again::Again;
use crate::broker::Received;
use crate::event::{Lane, LogoutEvent, Party, Refusal, RefusalCode};
use crate::failpoint;
use crate::invalidation::EventRef;
use crate::outcome::Standing;
use crate::store::{Disposition, Entered, NewTarget, StoreError};
use crate::target::{Kind, Target, TargetId};

/// Most events a commit.
const BATCH: usize = 256;
/// Most targets a commit, unless one event has more: others wait for it.
const TARGETS: u64 = 1000;

/// Most commits at once. Mass revocations leave the database free for ordinary logouts.
fn commits(lane: Lane) -> usize {
    match lane {
        Lane::Interactive => 2,
        Lane::Mass => 1,
    }
}
/// Runs until the events of one lane end.
pub(super) async fn run(worker: Arc<Worker>, lane: Lane, mut events: mpsc::UnboundedReceiver<Taken>) {
    let (commits, mut waiting) = (Arc::new(Semaphore::new(commits(lane))), Shares::default());
    let Some(early) = early(&worker, &mut events).await else { return };
    for taken in early {
        let targets = u32::try_from(taken.event.targets.len()).unwrap_or(u32::MAX);
        waiting.wait(0, taken.party, targets, taken);
    }
    loop {
        let Ok(turn) = commits.clone().acquire_owned().await else { return };
        let Some(batch) = next(&mut events, &mut waiting).await else { return };
        let worker = worker.clone();
        worker.clone().tasks.spawn(async move {
            let is_up = worker.database_up.load(Ordering::Relaxed);
            let batch = batch.into_iter().filter(|taken| is_up || !taken.received.is_stale());
            let prepared = batch.filter_map(|taken| prepare(&worker, corrected(&worker, taken))).collect();
            accept(&worker, prepared, turn).await;
        });
    }
}

/// What has arrived, as far as one commit takes it: of each user as many targets as of the others.
async fn next(
    events: &mut mpsc::UnboundedReceiver<Taken>,
    waiting: &mut Shares<Taken, 1>,
) -> Option<Vec<Taken>> {
    waiting.gather(events, |taken| (taken.party, taken.event.targets.len())).await?;
    Some(waiting.batch(BATCH, TARGETS))
}

/// Commits a batch and sets off what follows: acknowledgements, and the work itself.
async fn accept(worker: &Arc<Worker>, mut batch: Vec<Prepared>, turn: OwnedSemaphorePermit) {
    let Some(mut committed) = commit(worker, &mut batch).await else { return };
    drop(turn);
    failpoint!("committed");
    for prepared in batch {
        let row = prepared.taken.row;
        match (committed.unstorable.remove(&row), committed.entered.remove(&row)) {
            (Some(reason), _) => set_aside(worker, prepared.taken, RefusalCode::InvalidField, reason),
            (None, Some(Entered::Barred)) => {
                let incident = prepared.taken.event.incident.as_deref().unwrap_or_default();
                let reason = format!(
                    "data.incident: {incident} was cancelled, which is final: order under another name"
                );
                set_aside(worker, prepared.taken, RefusalCode::NotAllowed, reason);
            }
            (None, entered) => follow(worker, prepared, entered),
        }
    }
}

/// What follows the commit of an event: its work, or the change of the event that it repeats, and the
/// acknowledgement.
fn follow(worker: &Arc<Worker>, prepared: Prepared, entered: Option<Entered>) {
    note_entered(worker, &prepared.taken, entered);
    let Prepared {
        taken: Taken { received, event, party, row, denial, arrival, excess, .. },
        targets,
        room,
        ..
    } = prepared;
    let is_wide_logout =
        event.incident.is_none() && event.targets.iter().any(|target| target.selector.kind() != Kind::Token);
    let known = match entered {
        Some(Entered::Known(on_record)) => Some(on_record),
        _ => None,
    };
    if let Some(arrival) = arrival {
        arrival.land(matches!(entered, Some(Entered::New { .. })));
    }
    match entered {
        Some(Entered::New { .. }) if event.incident.is_some() => worker.incidents.hurry(),
        Some(Entered::New { leased: true, .. }) => set_to_work(worker, event, (row, party), &targets, room),
        _ => {}
    }
    if excess.is_some() {
        worker.incidents.hurry();
    }
    let within_rate =
        known.is_some() && excess.is_none() && is_wide_logout && worker.rules.authority.has_rates();
    let worker = worker.clone();
    worker.clone().tasks.spawn(async move {
        if let (Some(known), None) = (known, &denial) {
            change_known(&worker, known, None).await;
        }
        acknowledge(&worker, received, known.unwrap_or(row), denial, within_rate).await;
    });
}

/// Counts an event, and tells of one whose identity is on record with other content: a publisher's mistake,
/// or somebody's try to have it dropped.
fn note_entered(worker: &Worker, taken: &Taken, entered: Option<Entered>) {
    let is_second_copy = matches!(entered, Some(Entered::Known(row)) if is_second_copy(&taken.received.origin, age(row, worker.clock.now())));
    if !is_second_copy {
        worker.metrics.accepted(taken.event.lane(), matches!(entered, Some(Entered::New { .. })));
    }
    if let Some(Entered::New { identity_reused: true, .. }) = entered {
        worker.metrics.identity_reused();
        tracing::warn!(event_source = taken.event.source, event_id = taken.event.id, broker_user = taken.received.origin.broker_user.as_deref(),
            revocation_id = %TargetId { event: taken.row, ordinal: 0 }, targets = taken.event.targets.len(),
            "an event with other content is on record under this identity; this one is an event of its own");
    }
}

/// An event that Postgres cannot hold, or that its incident does not take, is refused like any other bad
/// input: waiting would hold up every event behind it.
fn set_aside(worker: &Arc<Worker>, taken: Taken, code: RefusalCode, reason: String) {
    let Taken { received, event, .. } = taken;
    let refusal = Refusal::new(code, reason).of_event(Some(event.source), Some(event.id));
    refuse(worker, received, refusal, true);
}

/// `within_rate`: it was known, all of it is denied now, and on record it may wait for a second person.
async fn acknowledge(
    worker: &Worker,
    received: Received,
    row: Uuid,
    denial: Option<Denied>,
    within_rate: bool,
) {
    let Some(denial) = denial else {
        received.ack().await;
        return;
    };
    // Not denied: the worker is stopping. The broker keeps the event for the next one.
    let Ok(Some(at)) = denial.await else { return };
    if within_rate {
        change_known(worker, row, Some(at)).await;
    }
    received.ack().await;
    failpoint!("acked");
    // Also of an event that was known: whoever accepted it may have died before this.
    worker.note_denied(row, at);
}

/// When the broker confirmed a denial; `None` if the worker stopped first.
type Denied = JoinHandle<Option<OffsetDateTime>>;

/// What became of a batch.
#[derive(Default)]
struct Committed {
    entered: HashMap<Uuid, Entered>,
    /// Events that Postgres cannot hold, and why.
    unstorable: HashMap<Uuid, String>,
}

/// Commits, again and again until it is done; `None` if the worker stops first. What the broker will deliver
/// again is no longer held: it would be in memory twice.
async fn commit(worker: &Worker, batch: &mut Vec<Prepared>) -> Option<Committed> {
    let (mut began, mut again) = (Instant::now(), Again::until(&worker.stop).at_least(4));
    while !batch.is_empty() {
        match insert(worker, batch).await {
            Ok(committed) => {
                worker.note_database(true);
                return Some(committed);
            }
            Err(error) => {
                worker.note_database(false);
                tracing::warn!(%error, failures = again.failed(), events = batch.len(), "events not committed; holding them");
            }
        }
        hand_back_after_long(worker, &mut began);
        again.rest().await?;
        batch.retain(|prepared| !prepared.taken.received.is_stale());
    }
    None
}

/// Inserts a batch; where Postgres cannot hold it, in halves, so that one bad event does not hold up the
/// others.
async fn insert(worker: &Worker, batch: &[Prepared]) -> Result<Committed, StoreError> {
    let events: Vec<_> =
        batch.iter().flat_map(|prepared| [Some(prepared.row()), prepared.excess()]).flatten().collect();
    match (worker.store.accept(worker.number(), &events).await, batch) {
        (Ok(entered), _) => Ok(Committed { entered, ..Committed::default() }),
        (Err(StoreError::Unstorable(_, reason)), [one]) => {
            Ok(Committed { unstorable: HashMap::from([(one.taken.row, reason)]), ..Committed::default() })
        }
        (Err(StoreError::Unstorable(..)), _) => {
            let (left, right) = batch.split_at(batch.len() / 2);
            let (mut all, right) =
                (Box::pin(insert(worker, left)).await?, Box::pin(insert(worker, right)).await?);
            all.entered.extend(right.entered);
            all.unstorable.extend(right.unstorable);
            Ok(all)
        }
        (Err(error), _) => Err(error),
    }
}

/// Hands the leased targets of an event to step 3, provider by provider.
fn set_to_work(
    worker: &Arc<Worker>,
    event: LogoutEvent,
    (row, party): (Uuid, Party),
    plans: &[NewTarget],
    room: Vec<(Arc<str>, Room)>,
) {
    let context = Arc::new(Context {
        row,
        lane: event.lane(),
        party,
        reference: EventRef { source: event.source, id: event.id },
        incident: event.incident,
        not_before: event.not_before,
        received_at: event.received_at,
    });
    let mut targets: Vec<_> = (0..).zip(event.targets).zip(plans).collect();
    for (provider, mut room) in room {
        let (ours, rest) = targets.into_iter().partition(|((_, target), _)| target.provider == provider);
        targets = rest;
        let ours: Vec<((i16, Target), &NewTarget)> = ours;
        let jobs = ours.into_iter().filter(|(_, plan)| plan.disposition == Disposition::Lease).filter_map(
            |((ordinal, target), plan)| {
                let standing = Standing {
                    attempt: 1,
                    failures: 0,
                    token_expires_at: target.token_expires_at(),
                    give_up_at: plan.give_up_at,
                    is_outage: false,
                    is_unreadable: false,
                };
                let id = TargetId { event: row, ordinal };
                Some(Job::new((id, 1), target, standing, context.clone(), room.split(party)?, worker))
            },
        );
        revoke::spawn(worker, jobs.collect());
    }
}
