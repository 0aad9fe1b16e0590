//! Before the commit: what becomes of each target, room in memory for those that are taken on at
//! once, and tokens sealed.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use super::ahead;
use super::incidents::excess::{Excess, waiting};
use super::intake::Taken;
use super::parts::{Ports, Worker};
use crate::admission::{Admission, Room};
use crate::event::{Lane, LogoutEvent, Party};
use crate::outcome::EXPIRY_LEEWAY;
use crate::seal::SealContext;
use crate::store::{Approval, Disposition, NewEvent, NewTarget};
use crate::target::{Target, TargetId};

/// An event ready to be committed.
pub(super) struct Prepared {
    pub(super) taken: Taken,
    body_sha256: [u8; 32],
    pub(super) targets: Vec<NewTarget>,
    /// Those of its excess.
    pub(super) excess: Vec<NewTarget>,
    pub(super) room: Vec<(Arc<str>, Reserved)>,
}

/// Where an event's targets of one provider wait for their calls.
pub(super) enum Reserved {
    /// In memory.
    Memory(Room),
    /// In Postgres, until memory has room; the lease is this worker's already.
    Ahead(Room),
}

/// Plans what becomes of each target, and seals the tokens; `None` where that failed.
pub(super) fn prepare(worker: &Worker, taken: Taken, body_sha256: [u8; 32]) -> Option<Prepared> {
    let room = reserve(&worker.ports, &taken.event, taken.party);
    let mut targets = Vec::with_capacity(taken.event.targets.len());
    for (ordinal, target) in (0..).zip(&taken.event.targets) {
        let disposition = dispose(&worker.ports, &taken, target, &room);
        let id = TargetId { event: taken.row, ordinal };
        let context = SealContext { id, provider: &target.provider };
        let sealed = match (disposition, target.token()) {
            (Disposition::Lease | Disposition::Wait | Disposition::Turn, Some(token)) => {
                match worker.ports.keyring.seal(&context, &token.token) {
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
        let give_up_at =
            target.token_expires_at().unwrap_or(taken.event.received_at + worker.rules.give_up_after);
        targets.push(NewTarget { disposition, sealed, give_up_at });
    }
    let excess = taken.excess.iter().flat_map(|excess| waiting(worker, &excess.event)).collect();
    Some(Prepared { taken, body_sha256, targets, excess, room })
}

/// Room for the event's targets, provider by provider: all of a provider's or none, so that refresh tokens
/// stay first. An incident's wait for their turn.
fn reserve(ports: &Ports, event: &LogoutEvent, party: Party) -> Vec<(Arc<str>, Reserved)> {
    let mut room: Vec<(Arc<str>, Reserved)> = Vec::new();
    if event.incident.is_some() {
        return room;
    }
    let mut seen = HashSet::new();
    for target in &event.targets {
        if seen.insert(target.provider.clone())
            && let Some(admission) = ports.admissions.get(&target.provider)
            && let Some(reserved) = reserve_at(
                admission,
                (event.lane(), party),
                event.targets.iter().filter(|t| t.provider == target.provider).count(),
            )
        {
            room.push((target.provider.clone(), reserved));
        }
    }
    room
}

fn reserve_at(admission: &Admission, (lane, party): (Lane, Party), targets: usize) -> Option<Reserved> {
    if let Some(room) = admission.reserve(lane, party, targets) {
        return Some(Reserved::Memory(room));
    }
    let may_wait = lane == Lane::Interactive && targets <= ahead::MOST;
    may_wait.then(|| admission.reserve_ahead(party, targets)).flatten().map(Reserved::Ahead)
}

fn dispose(ports: &Ports, taken: &Taken, target: &Target, room: &[(Arc<str>, Reserved)]) -> Disposition {
    let supported =
        ports.admissions.get(&target.provider).is_some_and(|admission| admission.provider.supports(target));
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

impl Prepared {
    pub(super) fn row(&self) -> NewEvent<'_> {
        let Taken { row, event, approval, .. } = &self.taken;
        self.of(*row, event, None, &self.targets, approval.as_ref())
    }

    pub(super) fn excess(&self) -> Option<NewEvent<'_>> {
        let Excess { event, row, approval } = self.taken.excess.as_ref()?;
        Some(self.of(*row, event, Some(self.taken.row), &self.excess, Some(approval)))
    }

    fn of<'a>(
        &'a self,
        row: Uuid,
        event: &'a LogoutEvent,
        beside: Option<Uuid>,
        targets: &'a [NewTarget],
        incident: Option<&'a Approval>,
    ) -> NewEvent<'a> {
        let Taken { received, party, content_sha256, .. } = &self.taken;
        let (party, body_sha256, content_sha256) = (*party, self.body_sha256, *content_sha256);
        let broker_user = received.origin.broker_user.as_deref();
        NewEvent { row, event, body_sha256, content_sha256, beside, broker_user, party, targets, incident }
    }
}
