//! What follows the commit of an event: the work on its targets.

use std::sync::Arc;

use uuid::Uuid;

use super::acknowledge::Accepted;
use super::ahead::Group;
use super::copies::{age, is_second_copy};
use super::intake::Taken;
use super::job::{Context, Job};
use super::parts::{Ports, Worker};
use super::prepare::{Prepared, Reserved};
use super::revoke;
use crate::event::{LogoutEvent, Party};
use crate::invalidation::EventRef;
use crate::outcome::Standing;
use crate::store::{Disposition, Entered, NewTarget};
use crate::target::{Kind, Target, TargetId};
use crate::trace::Trace;

/// Sets off the work of an event that is on record, and tells incidents of it. What is left is to acknowledge
/// it.
pub(super) fn follow(worker: &Arc<Worker>, prepared: Prepared, entered: Option<Entered>) -> Accepted {
    note_entered(&worker.ports, &prepared.taken, entered);
    let Prepared { taken: Taken { received, event, party, row, denial, excess, .. }, targets, room, .. } =
        prepared;
    let is_wide_logout =
        event.incident.is_none() && event.targets.iter().any(|target| target.selector.kind() != Kind::Token);
    let known = match entered {
        Some(Entered::Known(on_record)) => Some(on_record),
        _ => None,
    };
    match entered {
        Some(Entered::New { .. }) if event.incident.is_some() => worker.live.incidents.hurry(),
        Some(Entered::New { leased: true, .. }) => set_to_work(worker, event, (row, party), &targets, room),
        _ => {}
    }
    if excess.is_some() {
        worker.live.incidents.hurry();
    }
    let is_within_rate =
        known.is_some() && excess.is_none() && is_wide_logout && worker.rules.events.authority.has_rates();
    Accepted { received, row: known.unwrap_or(row), denial, is_known: known.is_some(), is_within_rate }
}

/// Counts an event, and tells of one whose identity is on record with other content: a publisher's mistake,
/// or somebody's try to have it dropped.
fn note_entered(ports: &Ports, taken: &Taken, entered: Option<Entered>) {
    let (origin, now) = (&taken.received.origin, ports.clock.now());
    let is_second_copy =
        matches!(entered, Some(Entered::Known(row)) if is_second_copy(origin, age(row, now)));
    if !is_second_copy {
        ports.metrics.accepted(taken.event.lane(), matches!(entered, Some(Entered::New { .. })));
    }
    if let Some(Entered::New { identity_reused: true, .. }) = entered {
        ports.metrics.identity_reused();
        tracing::warn!(
            event_source = taken.event.source,
            event_id = taken.event.id,
            trace_id = taken.event.trace.map(Trace::shown_id),
            broker_user = origin.broker_user.as_deref(),
            revocation_id = %TargetId { event: taken.row, ordinal: 0 },
            targets = taken.event.targets.len(),
            "an event with other content is on record under this identity; this one is an event of its own"
        );
    }
}

/// Hands the leased targets of an event to `revoke`, provider by provider.
fn set_to_work(
    worker: &Arc<Worker>,
    event: LogoutEvent,
    (row, party): (Uuid, Party),
    plans: &[NewTarget],
    reserved: Vec<(Arc<str>, Reserved)>,
) {
    let context = Arc::new(Context {
        row,
        lane: event.lane(),
        party,
        reference: EventRef { source: event.source, id: event.id },
        incident: event.incident,
        not_before: event.not_before,
        received_at: event.received_at,
        trace: event.trace,
    });
    let mut targets: Vec<_> = (0..).zip(event.targets).zip(plans).collect();
    for (provider, reserved) in reserved {
        let (ours, rest) = targets.into_iter().partition(|((_, target), _)| target.provider == provider);
        targets = rest;
        let ours: Vec<((i16, Target), &NewTarget)> = ours;
        let leased = ours.into_iter().filter(|(_, plan)| plan.disposition == Disposition::Lease);
        let mut room = match reserved {
            Reserved::Memory(room) => room,
            Reserved::Ahead(room) => {
                let ids = leased.map(|((ordinal, _), _)| TargetId { event: row, ordinal });
                let targets: Vec<_> = ids.map(|id| worker.live.in_flight.hold(id)).collect();
                worker.hand_back(worker.live.ahead.put(&provider, party, Group::new(targets, room)));
                continue;
            }
        };
        let jobs = leased.filter_map(|((ordinal, target), plan)| {
            let standing = Standing {
                attempt: 1,
                failures: 0,
                token_expires_at: target.token_expires_at(),
                give_up_at: plan.give_up_at,
                is_outage: false,
                is_unreadable: false,
            };
            let id = TargetId { event: row, ordinal };
            let guards = worker.guards(id, context.incident.as_deref(), room.split(party)?);
            Some(Job::new((id, 1), target, standing, context.clone(), guards, worker.live.record.clone()))
        });
        revoke::spawn(worker, jobs.collect());
    }
}
