//! Step 1: parse; hand bad input to `refuse`; publish the denial at once, whatever state Postgres and the
//! provider are in.
//!
//! The denial of a mass revocation that needs a second person is withheld: step 2 records it, and `steer`
//! publishes it once it is approved.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Worker;
use super::excess::{self, Excess, senders};
use super::incidents::{Arrival, Ordered};
use super::refuse::refuse;
use super::shares::Shares;
use crate::approval::ApprovalRules;
use crate::broker::{LOGOUT_QUEUE, Received};
use crate::event::{self, Lane, LogoutEvent, Origin, Party};
use crate::failpoint;
use crate::store::{ActiveIncident, Approval};

/// How long a mass revocation waits to learn, right after the start, whether its incident is known.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most events of one queue whose denials are on their way at once: what is on its way is in nobody's turn
/// any more. More than the broker confirms within its usual answer.
const DENIALS: usize = 1024;

/// What any message costs of its user's share, in bytes of its body: empty ones are work, too.
const LEAST_COST: usize = 1024;

/// How long the look for an incident that is not known here may take.
const FIND: Duration = Duration::from_millis(500);

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
        (Shares::default(), Arc::new(Semaphore::new(DENIALS)), Arc::new(Semaphore::new(1)));
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
    waiting: &mut Shares<Received, 1>,
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
    let (mut approval, arrival) = approval(worker, &received.origin, &event).await.unzip();
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
        let order = ordered(&worker.approval, &event);
        approval = Some(order.approval(worker.approval.above_targets, false, senders(&received.origin)));
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

/// Whether a second person is needed. Postgres is asked where the incident is not known here, but not waited
/// for: denials go out while it is away. It has the last word on what is revoked.
async fn approval(worker: &Worker, origin: &Origin, event: &LogoutEvent) -> Option<(Approval, Arrival)> {
    let name = event.incident.as_deref()?;
    if tokio::time::timeout(PATIENCE, worker.incidents.known()).await.is_err() {
        worker.incidents.note_asked();
    }
    let found = if worker.incidents.is_known(name) { None } else { find(worker, name).await };
    let rules = &worker.approval;
    let order = ordered(rules, event);
    let (arrival, withheld) = worker.incidents.arrive(name, found, &order, rules.above_targets);
    Some((order.approval(rules.above_targets, withheld, senders(origin)), arrival))
}

impl Ordered {
    fn approval(self, above_targets: i64, withheld: bool, senders: Vec<String>) -> Approval {
        let Self { asks, asking, asking_expected, .. } = self;
        Approval { asks, asking, asking_expected, above_targets, withheld, is_excess: false, senders }
    }
}

/// An incident as it is on record: one that has ended may have more to come.
async fn find(worker: &Worker, name: &str) -> Option<ActiveIncident> {
    if worker.number.get().is_none() || !worker.database_up.load(Ordering::Relaxed) {
        return None;
    }
    match tokio::time::timeout(FIND, worker.store.incident_now(name)).await {
        Ok(Ok(found)) => found,
        _ => None,
    }
}

/// What an event says of its incident, seen by the rules for approval.
fn ordered(rules: &ApprovalRules, event: &LogoutEvent) -> Ordered {
    let kinds = || event.targets.iter().map(|target| target.selector.kind());
    let count = |targets: usize| i64::try_from(targets).unwrap_or(i64::MAX);
    let declared = event
        .incident_kinds
        .iter()
        .filter(|(kind, _)| rules.kinds.contains(kind))
        .map(|(_, targets)| *targets);
    let targets = count(event.targets.len());
    Ordered {
        asks: rules.kinds_asking(kinds().chain(event.incident_kinds.iter().map(|(kind, _)| *kind))),
        asking: count(kinds().filter(|kind| rules.kinds.contains(kind)).count()),
        asking_expected: Some(declared.fold(0, i64::saturating_add)).filter(|asking| *asking > 0),
        targets,
        declared: event.incident_targets.unwrap_or(0).max(targets),
    }
}

fn deny(
    worker: &Arc<Worker>,
    event: &LogoutEvent,
    (turn, began): Turn,
) -> JoinHandle<Option<OffsetDateTime>> {
    let denial = worker.verifiers.denial(event);
    let worker = worker.clone();
    tokio::spawn(async move {
        let at = worker.verifiers.deliver(denial).await?;
        drop(turn);
        worker.metrics.denied(began.elapsed());
        failpoint!("denied");
        Some(at)
    })
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    digest
}
