//! What an event orders, before anything is done about it: who must approve it, and what of it is beyond its
//! sender's rate. Then its denial, at once, whatever state Postgres and the provider are in.
//!
//! The denial of a mass revocation that needs a second person is withheld (see `incidents/approval`).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

use super::acknowledge::Denied;
use super::incidents::excess::{self, Excess};
use super::incidents::{Arrival, approval};
use super::parts::Worker;
use crate::broker::Received;
use crate::event::{self, Lane, LogoutEvent, Party};
use crate::failpoint;
use crate::store::Approval;

/// An event that was read, and nothing more.
pub(super) struct Parsed {
    pub(super) received: Received,
    pub(super) event: LogoutEvent,
    /// Its place among the denials on their way.
    pub(super) place: Option<OwnedSemaphorePermit>,
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
    /// Its place among the denials on their way.
    pub(super) place: Option<OwnedSemaphorePermit>,
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
pub(super) async fn judge(worker: &Worker, parsed: Parsed) -> Taken {
    let Parsed { received, mut event, place, is_database_time } = parsed;
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
    let (party, row) = (received.origin.party(), worker.ports.clock.row_id());
    Taken {
        received,
        event,
        party,
        row,
        content_sha256,
        place,
        denial: None,
        approval,
        is_database_time,
        arrival,
        excess,
    }
}

/// Has the denial published, unless it is withheld; waits for nothing.
pub(super) fn deny(worker: &Arc<Worker>, mut taken: Taken) -> Taken {
    let (place, came) = (taken.place.take(), taken.received.came);
    taken.received.read();
    if !matches!(&taken.approval, Some(Approval { withheld: true, .. })) {
        let (tell, denied) = oneshot::channel();
        let hears = worker.clone();
        worker.ports.verifiers.deny(&taken.event, move |at| {
            drop(place);
            hears.ports.metrics.denied(came.elapsed());
            failpoint!("denied");
            // Nobody asks any more: the event is with the broker again.
            _ = tell.send(at);
        });
        taken.denial = Some(denied);
    }
    taken
}
