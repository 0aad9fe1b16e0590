//! The commit of events: their tokens sealed, rows and leases written. Whatever has arrived since the last
//! commit began makes the next batch: many events share a commit, a lone one waits for nobody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use uuid::Uuid;

use super::correct::corrected;
use super::deliveries::body_sha256;
use super::intake::Taken;
use super::parts::Worker;
use super::prepare::{Prepared, prepare};
use crate::admission::FairQueue;
use crate::again::Again;
use crate::event::{Lane, RefusalCode};
use crate::failpoint;
use crate::store::{Entered, StoreError};

/// Most events a commit.
const EVENTS: usize = 256;
/// Most targets a commit, unless one event has more: others wait for it.
const TARGETS: u64 = 1000;
/// Time between the beginnings of two commits of logouts, unless more waits than one takes: what a commit
/// costs Postgres hardly depends on how many events share it. Denials wait for none.
const SPACING: Duration = Duration::from_millis(20);

/// Most commits at once. Mass revocations leave the database free for ordinary logouts.
fn commits(lane: Lane) -> usize {
    match lane {
        Lane::Interactive => 2,
        Lane::Mass => 1,
    }
}

/// Where events wait for their lane's next commit.
#[derive(Clone)]
pub(super) struct Commits {
    interactive: mpsc::UnboundedSender<Uncommitted>,
    mass: mpsc::UnboundedSender<Uncommitted>,
}

/// An event that waits, and who wants to know what becomes of it. The answer stays out where it is not
/// committed: the worker stops, or the broker delivers it again.
pub(super) struct Uncommitted {
    taken: Taken,
    body_sha256: [u8; 32],
    asks: oneshot::Sender<Box<Committed>>,
}

/// An event and what became of it.
pub(super) struct Committed {
    pub(super) prepared: Prepared,
    pub(super) fate: Fate,
}

/// What became of an event.
pub(super) enum Fate {
    /// It is on record.
    OnRecord(Option<Entered>),
    /// It never can be, and why.
    Refused(RefusalCode, String),
}

/// A member of a batch.
struct Member {
    prepared: Prepared,
    asks: oneshot::Sender<Box<Committed>>,
}

impl Commits {
    /// The commits of both lanes, and what waits for them.
    pub(super) fn new() -> (Self, [(Lane, mpsc::UnboundedReceiver<Uncommitted>); 2]) {
        let ((interactive, logouts), (mass, revocations)) =
            (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        (Self { interactive, mass }, [(Lane::Interactive, logouts), (Lane::Mass, revocations)])
    }

    /// Has an event share its lane's next commit.
    pub(super) fn join(&self, taken: Taken) -> oneshot::Receiver<Box<Committed>> {
        let (asks, committed) = oneshot::channel();
        let lane = match taken.lane() {
            Lane::Interactive => &self.interactive,
            Lane::Mass => &self.mass,
        };
        // Here, when its denial is on its way: that waits for no digest of a long body.
        let body_sha256 = body_sha256(&taken.received);
        failpoint!("parsed");
        // Nobody there: the worker is stopping, and the event stays with the broker.
        drop(lane.send(Uncommitted { taken, body_sha256, asks }));
        committed
    }
}

/// Runs until the events of one lane end.
pub(super) async fn run(worker: Arc<Worker>, lane: Lane, mut events: mpsc::UnboundedReceiver<Uncommitted>) {
    let (commits, mut waiting) = (Arc::new(Semaphore::new(commits(lane))), FairQueue::default());
    let is_stale = |one: &Uncommitted| one.taken.received.is_stale();
    let postgres = &worker.live.postgres;
    let Some(early) = postgres.hold(worker.entered(), &mut events, is_stale).await else { return };
    for one in early {
        let targets = u32::try_from(one.taken.event.targets.len()).unwrap_or(u32::MAX);
        waiting.wait(0, one.taken.party, targets, one);
    }
    loop {
        let Ok(turn) = commits.clone().acquire_owned().await else { return };
        let Some(batch) = next(&mut events, &mut waiting).await else { return };
        let worker = worker.clone();
        worker.clone().live.tasks.spawn(async move {
            let batch = batch.into_iter().filter_map(|one| member(&worker, one)).collect();
            commit(&worker, batch, turn).await;
        });
        if lane == Lane::Interactive && waiting.is_empty() {
            tokio::time::sleep(SPACING).await;
        }
    }
}

/// What has arrived, as far as one commit takes it: of each user as many targets as of the others.
async fn next(
    events: &mut mpsc::UnboundedReceiver<Uncommitted>,
    waiting: &mut FairQueue<Uncommitted, 1>,
) -> Option<Vec<Uncommitted>> {
    waiting.gather(events, |one| (one.taken.party, one.taken.event.targets.len())).await?;
    Some(waiting.batch(EVENTS, TARGETS))
}

/// `None`: the broker delivers it again, or it cannot be sealed.
fn member(worker: &Arc<Worker>, waiting: Uncommitted) -> Option<Member> {
    let Uncommitted { taken, body_sha256, asks } = waiting;
    let is_of_use = worker.live.postgres.is_up() || !taken.received.is_stale();
    let prepared = is_of_use.then(|| prepare(worker, corrected(worker, taken), body_sha256))??;
    Some(Member { prepared, asks })
}

/// Commits a batch, and tells each who asks what became of its event.
async fn commit(worker: &Worker, mut batch: Vec<Member>, turn: OwnedSemaphorePermit) {
    let Some(mut outcome) = insert_until_done(worker, &mut batch).await else { return };
    drop(turn);
    failpoint!("committed");
    for Member { mut prepared, asks } in batch {
        let fate = outcome.fate(&prepared.taken);
        if let Some(arrival) = prepared.taken.arrival.take() {
            // At once: a poll that has seen the commit must not count the event twice.
            arrival.land(matches!(fate, Fate::OnRecord(Some(Entered::New { .. }))));
        }
        // Whoever asked is gone with the process.
        drop(asks.send(Box::new(Committed { prepared, fate })));
    }
}

/// What became of a batch.
#[derive(Default)]
struct Outcome {
    entered: HashMap<Uuid, Entered>,
    /// Events that Postgres cannot hold, and why.
    unstorable: HashMap<Uuid, String>,
}

impl Outcome {
    fn fate(&mut self, taken: &Taken) -> Fate {
        match (self.unstorable.remove(&taken.row), self.entered.remove(&taken.row)) {
            (Some(reason), _) => Fate::Refused(RefusalCode::InvalidField, reason),
            (None, Some(Entered::Barred)) => {
                let incident = taken.event.incident.as_deref().unwrap_or_default();
                let detail = format!(
                    "data.incident: {incident} was cancelled, which is final: order under another name"
                );
                Fate::Refused(RefusalCode::NotAllowed, detail)
            }
            (None, entered) => Fate::OnRecord(entered),
        }
    }
}

/// Inserts, again and again until it is done; `None` if the worker stops first. What the broker will deliver
/// again is no longer held: it would be in memory twice.
async fn insert_until_done(worker: &Worker, batch: &mut Vec<Member>) -> Option<Outcome> {
    let (mut began, mut again) = (Instant::now(), Again::until(&worker.live.stop).at_least(4));
    while !batch.is_empty() {
        match insert(worker, batch).await {
            Ok(committed) => {
                worker.live.postgres.note(true);
                return Some(committed);
            }
            Err(error) => {
                worker.live.postgres.note(false);
                let (failures, events) = (again.failed(), batch.len());
                tracing::warn!(%error, failures, events, "events not committed; holding them");
            }
        }
        worker.live.postgres.hand_back_after_long(&mut began);
        again.rest().await?;
        batch.retain(|member| !member.prepared.taken.received.is_stale());
    }
    None
}

/// Inserts a batch; where Postgres cannot hold it, in halves, so that one bad event does not hold up the
/// others.
async fn insert(worker: &Worker, batch: &[Member]) -> Result<Outcome, StoreError> {
    let events: Vec<_> =
        batch.iter().flat_map(|one| [Some(one.prepared.row()), one.prepared.excess()]).flatten().collect();
    match (worker.ports.store.accept(worker.number(), &events).await, batch) {
        (Ok(entered), _) => Ok(Outcome { entered, ..Outcome::default() }),
        (Err(StoreError::Unstorable(_, reason)), [one]) => Ok(Outcome {
            unstorable: HashMap::from([(one.prepared.taken.row, reason)]),
            ..Outcome::default()
        }),
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
