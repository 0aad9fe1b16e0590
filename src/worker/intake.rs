//! What an event orders, before anything is done about it: who must approve it, and what of it is beyond its
//! sender's rate. Then its denial, at once, whatever state Postgres and the provider are in.
//!
//! The denial of a mass revocation that needs a second person is withheld: the commit records it, and `steer`
//! has it published once it is approved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::acknowledge::Denied;
use super::announce::Announcement;
use super::excess::{self, Excess, senders};
use super::incidents::{Arrival, Ordered};
use super::parts::Worker;
use crate::approval::ApprovalRules;
use crate::broker::Received;
use crate::event::{self, Lane, LogoutEvent, Origin, Party};
use crate::failpoint;
use crate::store::{ActiveIncident, Approval};

/// How long a mass revocation waits to learn, right after the start, whether its incident is known.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);

/// How long the look for an incident that is not known here may take.
const FOUND_WITHIN: Duration = Duration::from_millis(500);

/// Its place among the denials on their way, and when it was received.
type Turn = (Option<OwnedSemaphorePermit>, Instant);

/// An event that was read, and nothing more.
pub(super) struct Parsed {
    pub(super) received: Received,
    pub(super) event: LogoutEvent,
    pub(super) turn: Turn,
    /// Whether its times are by the database's clock.
    pub(super) is_database_time: bool,
}

/// A valid event, on its way to the record.
pub(super) struct Taken {
    pub(super) received: Received,
    pub(super) event: LogoutEvent,
    /// Whose share it is.
    pub(super) party: Party,
    pub(super) row: Uuid,
    pub(super) content_sha256: [u8; 32],
    /// Its turn, until its denial is on its way.
    pub(super) turn: Option<Turn>,
    /// Its denial, on its way. Absent where it is withheld.
    pub(super) denial: Option<Denied>,
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
    pub(super) fn lane(&self) -> Lane {
        if self.excess.is_some() { Lane::Mass } else { self.event.lane() }
    }
}

/// Decides what of an event goes on and what waits for a second person.
pub(super) async fn order(worker: &Worker, parsed: Parsed) -> Taken {
    let Parsed { received, mut event, turn, is_database_time } = parsed;
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
        let order = ordered(&worker.rules.approval, &event);
        approval =
            Some(order.approval(worker.rules.approval.above_targets, false, senders(&received.origin)));
    }
    let (party, row) = (received.origin.party(), worker.ports.clock.row_id());
    Taken {
        received,
        event,
        party,
        row,
        content_sha256,
        turn: Some(turn),
        denial: None,
        approval,
        is_database_time,
        arrival,
        excess,
    }
}

/// Whether a second person is needed. Postgres is asked where the incident is not known here, but not waited
/// for: denials go out while it is away. It has the last word on what is revoked.
async fn approval(worker: &Worker, origin: &Origin, event: &LogoutEvent) -> Option<(Approval, Arrival)> {
    let name = event.incident.as_deref()?;
    if tokio::time::timeout(KNOWN_WITHIN, worker.live.incidents.known()).await.is_err() {
        worker.live.incidents.note_asked();
    }
    let found = if worker.live.incidents.is_known(name) { None } else { find(worker, name).await };
    let rules = &worker.rules.approval;
    let order = ordered(rules, event);
    let (arrival, withheld) = worker.live.incidents.arrive(name, found, &order, rules.above_targets);
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
    if worker.me.number.get().is_none() || !worker.live.postgres.is_up() {
        return None;
    }
    match tokio::time::timeout(FOUND_WITHIN, worker.ports.store.incident_now(name)).await {
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

/// Has the denial published, unless it is withheld; waits for nothing.
pub(super) fn deny(worker: &Arc<Worker>, mut taken: Taken) -> Taken {
    let turn = taken.turn.take();
    if !matches!(&taken.approval, Some(Approval { withheld: true, .. })) {
        let denial = worker.ports.verifiers.denial(&taken.event);
        taken.denial = Some(tokio::spawn(publish(worker.clone(), denial, turn)));
    }
    taken
}

async fn publish(worker: Arc<Worker>, denial: Announcement, turn: Option<Turn>) -> Option<OffsetDateTime> {
    let at = worker.ports.verifiers.deliver(denial).await?;
    if let Some((place, began)) = turn {
        drop(place);
        worker.ports.metrics.denied(began.elapsed());
    }
    failpoint!("denied");
    Some(at)
}
