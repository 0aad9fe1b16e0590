//! What came before the database's clock was known has the times of this machine's own. Where that turns out
//! to be off, the event is read again.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::acknowledge::Denied;
use super::intake::Taken;
use super::parts::Worker;
use crate::clock::Offset;
use crate::event::{self, LogoutEvent};

/// The event as it would be had its receipt been told by the database's clock, denied again by that: of two
/// cutoffs the later one counts.
pub(super) fn corrected(worker: &Arc<Worker>, taken: Taken) -> Taken {
    if taken.is_database_time {
        return taken;
    }
    let Some(offset) = worker.ports.clock.offset().filter(Offset::is_far) else { return taken };
    let (origin, received_at) = (&taken.received.origin, taken.event.received_at - offset.ahead);
    // One that is refused by the right time was taken by the wrong one, and denied: it stays as it is.
    let Ok(mut event) = event::parse(taken.received.body.bytes(), origin, &worker.rules.events, received_at)
    else {
        return taken;
    };
    tracing::info!(event_source = event.source, event_id = event.id, "an event's times were corrected");
    // What waits for its sender's rate is as before, in the incident as before.
    let excess = taken.excess.map(|before| before.of(&mut event, &taken.event, worker.ports.clock.row_id()));
    (event.incident, event.trace) = (taken.event.incident, taken.event.trace);
    let denial = taken.denial.map(|before| deny_again(worker, &event, before));
    Taken { event, denial, excess, row: worker.ports.clock.row_id(), is_database_time: true, ..taken }
}

/// Denied once both are: of two cutoffs the later one counts.
fn deny_again(worker: &Arc<Worker>, event: &LogoutEvent, before: Denied) -> Denied {
    let ((again, second), (tell, denied)) = (oneshot::channel(), oneshot::channel());
    worker.ports.verifiers.deny(event, |at| _ = again.send(at));
    tokio::spawn(async move {
        if let (Ok(_), Ok(at)) = (before.await, second.await) {
            _ = tell.send(at);
        }
    });
    denied
}
