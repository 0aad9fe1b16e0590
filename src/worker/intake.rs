//! Step 1: parse; hand bad input to `refuse`; publish the denial at once, whatever state Postgres and the
//! provider are in.
//!
//! The denial of a mass revocation that needs a second person is withheld (see `incidents/approval`).

use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest;
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Worker;
use super::incidents::Arrival;
use super::incidents::approval;
use super::incidents::excess::{self, Excess};
use super::record::Note;
use super::refuse::refuse;
use crate::admission::FairQueue;
use crate::broker::{LOGOUT_QUEUE, Received};
use crate::event::{self, Lane, LogoutEvent, Party};
use crate::failpoint;
use crate::invalidation::{EventRef, Outgoing, Phase, entry_of};
use crate::store::Approval;

/// Most events of one queue whose denials are on their way at once: what is on its way is in nobody's turn
/// any more. More than the broker confirms within its usual answer.
const DENIALS: usize = 1024;

/// What any message costs of its user's share, in bytes of its body: empty ones are work, too.
const LEAST_COST: usize = 1024;

/// Where valid events go next, by lane.
#[derive(Clone)]
pub(super) struct Next {
    pub(super) interactive: mpsc::UnboundedSender<Taken>,
    pub(super) mass: mpsc::UnboundedSender<Taken>,
}

impl Next {
    /// Whether anybody is there to take it.
    fn send(&self, taken: Taken) -> bool {
        let lane = match taken.lane() {
            Lane::Interactive => &self.interactive,
            Lane::Mass => &self.mass,
        };
        failpoint!("parsed");
        lane.send(taken).is_ok()
    }
}

/// Its place among the denials on their way, and when it was received.
type Turn = (Option<OwnedSemaphorePermit>, Instant);

/// A valid event. Its denial is on its way, unless it is withheld.
pub(super) struct Taken {
    pub(super) received: Received,
    pub(super) event: LogoutEvent,
    /// Whose share it is.
    pub(super) party: Party,
    pub(super) row: Uuid,
    pub(super) body_sha256: [u8; 32],
    pub(super) content_sha256: [u8; 32],
    /// When the broker confirmed the denial; `None` if the worker stopped first. Absent where it is withheld.
    pub(super) denial: Option<JoinHandle<Option<OffsetDateTime>>>,
    /// What its incident needs, if it has one.
    pub(super) approval: Option<Approval>,
    /// Whether its times are by the database's clock.
    pub(super) is_database_time: bool,
    /// Its place among what is on its way to the record of its incident.
    pub(super) arrival: Option<Arrival>,
    /// What of the delivery waits for a second person, beside what goes on.
    pub(super) excess: Option<Excess>,
}

impl Taken {
    /// Where it is accepted: what opens an incident waits for others that do, and ordinary logouts do not
    /// wait for it.
    fn lane(&self) -> Lane {
        if self.excess.is_some() { Lane::Mass } else { self.event.lane() }
    }
}

/// Runs until the deliveries of one queue end.
pub(super) async fn run(worker: Arc<Worker>, mut deliveries: mpsc::UnboundedReceiver<Received>, next: Next) {
    let (mut waiting, denials, aside) =
        (FairQueue::default(), Arc::new(Semaphore::new(DENIALS)), Arc::new(Semaphore::new(1)));
    loop {
        // Once stopped, what is not yet parsed stays unacknowledged, for the next worker.
        let (mut received, turn) = tokio::select! {
            biased;
            () = worker.stop.cancelled() => return,
            next = next_of(&mut deliveries, &mut waiting, &denials) => match next { Some(next) => next, None => return },
        };
        failpoint!("received");
        let began = Instant::now();
        worker.rules.authority.attribute(&mut received.origin);
        let is_database_time = worker.clock.is_known();
        match event::parse(received.body.bytes(), &received.origin, &worker.rules, worker.clock.now()) {
            Ok(event) => {
                received.weigh(event.targets.len());
                // What may have to wait for Postgres to learn of its incident: one after the other, and no
                // logout behind it.
                if event.incident.is_some() && *received.origin.queue == *LOGOUT_QUEUE {
                    let (worker, next, aside) = (worker.clone(), next.clone(), aside.clone());
                    worker.clone().tasks.spawn(async move {
                        let _one = aside.acquire().await;
                        let taken = take(&worker, received, event, (None, began)).await;
                        next.send(Taken { is_database_time, ..taken });
                    });
                    continue;
                }
                let taken = take(&worker, received, event, (Some(turn), began)).await;
                if !next.send(Taken { is_database_time, ..taken }) {
                    return;
                }
            }
            Err(refusal) => {
                refuse(&worker, received, refusal, is_database_time);
            }
        }
    }
}

/// Whoever's turn it is of what has arrived: of each user as many bytes as of the others, so that a flood is
/// not in front of everybody else's denials.
async fn next_of(
    deliveries: &mut mpsc::UnboundedReceiver<Received>,
    waiting: &mut FairQueue<Received, 1>,
    denials: &Arc<Semaphore>,
) -> Option<(Received, OwnedSemaphorePermit)> {
    let turn = denials.clone().acquire_owned().await.ok()?;
    waiting
        .gather(deliveries, |received| (received.origin.party(), LEAST_COST + received.body.bytes().len()))
        .await?;
    // What waits here is had without waiting: others of this thread have their turn, too.
    tokio::task::coop::consume_budget().await;
    Some((waiting.take(0)?, turn))
}

async fn take(worker: &Arc<Worker>, received: Received, mut event: LogoutEvent, turn: Turn) -> Taken {
    let content_sha256 = event::content(&event);
    let (mut approval, arrival) = approval::judge(worker, &received.origin, &event).await.unzip();
    let is_withheld = approval.as_ref().is_some_and(|approval| approval.withheld);
    let mut excess = if is_withheld {
        None
    } else {
        excess::take_out(worker, &received.origin, &mut event, content_sha256)
    };
    if event.targets.is_empty() {
        // All of it waits.
        (event, approval) =
            excess.take().map_or((event, approval), |excess| (excess.event, Some(excess.approval)));
    } else if excess.is_some() && approval.is_some() {
        approval = Some(approval::of_rest(worker, &received.origin, &event));
    }
    let denial = match &approval {
        Some(Approval { withheld: true, .. }) => None,
        _ => Some(deny(worker, &event, turn)),
    };
    let body_sha256 = sha256(received.body.bytes());
    let (party, row) = (received.origin.party(), worker.clock.row_id());
    Taken {
        received,
        event,
        party,
        row,
        body_sha256,
        content_sha256,
        denial,
        approval,
        is_database_time: true,
        arrival,
        excess,
    }
}

fn deny(
    worker: &Arc<Worker>,
    event: &LogoutEvent,
    (turn, began): Turn,
) -> JoinHandle<Option<OffsetDateTime>> {
    let messages = requested(worker, event);
    let worker = worker.clone();
    tokio::spawn(async move {
        let at = deliver(&worker, &messages).await?;
        drop(turn);
        worker.metrics.denied(began.elapsed());
        failpoint!("denied");
        Some(at)
    })
}

/// Publishes a denial; returns when the broker has confirmed it, `None` if the worker stopped first.
pub(super) async fn deliver(worker: &Worker, messages: &[Outgoing]) -> Option<OffsetDateTime> {
    for delivered in
        futures::future::join_all(messages.iter().map(|message| worker.publisher.deliver(message))).await
    {
        delivered.ok()?;
    }
    Some(worker.clock.now())
}

pub(super) fn requested(worker: &Worker, event: &LogoutEvent) -> Vec<Outgoing> {
    let entries = event
        .targets
        .iter()
        .filter_map(|target| Some((target.provider.to_string(), entry_of(target, event.not_before)?)))
        .collect();
    let reference = EventRef { source: event.source.clone(), id: event.id.clone() };
    worker.composer.invalidations(Phase::Requested, &reference, event.incident.as_deref(), entries)
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    digest
}

/// Notes for the record that an event's denial is confirmed.
pub(super) fn note_denied(worker: &Worker, row: Uuid, at: OffsetDateTime) {
    // No recorder: the process is ending; the next worker finds the event not known to be denied and denies
    // it again.
    drop(worker.notes.send(Note::Denied(row, at)));
}
