//! What a sender orders beyond its rate goes on record and waits for a second person; whatever
//! else the event orders goes on.
//!
//! Of a logout it waits in an incident of the sender's, `rate-<user>-<minute>`; of a mass revocation in its
//! own.

use std::time::Instant;

use time::OffsetDateTime;
use uuid::Uuid;

use super::approval::senders;
use crate::again::Again;
use crate::authorization::{Admitted, incident_name};
use crate::event::{LogoutEvent, Origin};
use crate::store::{Approval, Disposition, NewTarget};
use crate::target::{Kind, Target};
use crate::worker::parts::Worker;

/// The part of an event that waits.
pub(in crate::worker) struct Excess {
    pub(in crate::worker) event: LogoutEvent,
    pub(in crate::worker) row: Uuid,
    pub(in crate::worker) approval: Approval,
}

/// Takes the targets out of an event that lie beyond a sender's rate: never tokens, and the last ones first,
/// so that a copy of the event loses no other. `content` tells copies.
pub(in crate::worker) fn take_out(
    worker: &Worker,
    origin: &Origin,
    event: &mut LogoutEvent,
    content: [u8; 32],
) -> Option<Excess> {
    let wide = wide_of(event);
    let (authority, now) = (&worker.rules.events.authority, Instant::now());
    let admitted =
        worker.live.rates.admit_once(authority, origin, (&event.source, &event.id, content), wide, now);
    if admitted.targets >= wide {
        return None;
    }
    let waits = split(event, admitted.targets);
    let excess = excess(worker, origin, event, waits, &admitted);
    tell(worker, origin, &excess);
    Some(excess)
}

/// Leaves an event its tokens and the first `room` of its other targets. Returns the rest.
fn split(event: &mut LogoutEvent, mut room: usize) -> Vec<Target> {
    let (goes, waits) = std::mem::take(&mut event.targets)
        .into_iter()
        .partition(|target| !is_wide(target) || take_one(&mut room));
    event.targets = goes;
    waits
}

impl Excess {
    /// The same part of the event as it was read again, whose other part is as large as before.
    pub(in crate::worker) fn of(self, event: &mut LogoutEvent, before: &LogoutEvent, row: Uuid) -> Self {
        let targets = split(event, wide_of(before));
        let (received_at, not_before) = (event.received_at, event.not_before);
        Self { event: LogoutEvent { received_at, not_before, targets, ..self.event }, row, ..self }
    }
}

fn wide_of(event: &LogoutEvent) -> usize {
    event.targets.iter().filter(|target| is_wide(target)).count()
}

fn is_wide(target: &Target) -> bool {
    target.selector.kind() != Kind::Token
}

fn take_one(room: &mut usize) -> bool {
    let has_room = *room > 0;
    *room -= usize::from(has_room);
    has_room
}

fn excess(
    worker: &Worker,
    origin: &Origin,
    of: &LogoutEvent,
    targets: Vec<Target>,
    admitted: &Admitted,
) -> Excess {
    let kinds: Vec<Kind> = targets.iter().map(|target| target.selector.kind()).collect();
    let approval = Approval {
        approval_kinds: Kind::ALL.into_iter().filter(|kind| kinds.contains(kind)).collect(),
        needing_approval: i64::try_from(targets.len()).unwrap_or(i64::MAX),
        needing_approval_expected: None,
        above_targets: worker.rules.approval.above_targets,
        withheld: true,
        is_excess: true,
        senders: senders(origin),
    };
    let held_by = || incident_name(admitted.limited_by.as_deref(), of.received_at);
    let event = LogoutEvent {
        source: of.source.clone(),
        id: of.id.clone(),
        event_type: of.event_type,
        occurred_at: of.occurred_at,
        received_at: of.received_at,
        not_before: of.not_before,
        asked_not_before: of.asked_not_before,
        reason: of.reason.clone(),
        actor: of.actor.clone(),
        incident: Some(of.incident.clone().unwrap_or_else(held_by)),
        incident_targets: of.incident_targets,
        incident_kinds: of.incident_kinds.clone(),
        trace: of.trace,
        targets,
    };
    Excess { event, row: worker.ports.clock.row_id(), approval }
}

/// The alarm, at once: with Postgres away, nothing is on record yet that could tell. One line an incident, or
/// a flood would fill the log.
fn tell(worker: &Worker, origin: &Origin, excess: &Excess) {
    let Excess { event, .. } = excess;
    worker.ports.metrics.held_back(event.targets.len());
    if worker.live.rates.is_news(event.incident.as_deref().unwrap_or_default()) {
        tracing::error!(
            incident = event.incident,
            broker_user = origin.broker_user.as_deref(),
            event_source = event.source,
            event_id = event.id,
            targets = event.targets.len(),
            "more wide targets than this broker user may order in a minute: they wait for a second person"
        );
    }
}

/// The targets of an excess, none of them a token.
pub(in crate::worker) fn waiting(worker: &Worker, event: &LogoutEvent) -> Vec<NewTarget> {
    let give_up_at = event.received_at + worker.rules.give_up_after;
    event
        .targets
        .iter()
        .map(|_| NewTarget { disposition: Disposition::Turn, sealed: None, give_up_at })
        .collect()
}

/// An event that was known may have been accepted with a denial that was never confirmed: now it waits. Or it
/// waits for a second person, and a copy within its sender's rate was denied: now it waits no longer.
pub(in crate::worker) async fn change_known(worker: &Worker, row: Uuid, denied_at: Option<OffsetDateTime>) {
    let mut again = Again::until(&worker.live.stop);
    loop {
        let changed = match denied_at {
            None => worker.ports.store.withhold(row).await,
            Some(at) => worker.ports.store.let_go(row, at).await,
        };
        let Err(error) = changed else { return };
        let failures = again.failed();
        tracing::debug!(%error, failures, "change a known event");
        if again.rest().await.is_none() {
            return;
        }
    }
}
