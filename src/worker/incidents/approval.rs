//! Whether an event of an incident may be denied at once, asked before its denial.
//!
//! The denial of a mass revocation that needs a second person is withheld: the commit records it, and
//! `withheld` publishes it once it is approved.

use std::time::Duration;

use super::Arrival;
use super::fuse::Ordered;
use crate::approval::ApprovalRules;
use crate::event::{LogoutEvent, Origin};
use crate::store::{ActiveIncident, Approval};
use crate::worker::parts::Worker;

/// How long a mass revocation waits to learn, right after the start, whether its incident is known.
const FIRST_POLL: Duration = Duration::from_secs(2);

/// How long the look for an incident that is not known here may take.
const FIND: Duration = Duration::from_millis(500);

/// Whether a second person is needed. Postgres is asked where the incident is not known here, but not waited
/// for: denials go out while it is away. It has the last word on what is revoked.
pub(in crate::worker) async fn judge(
    worker: &Worker,
    origin: &Origin,
    event: &LogoutEvent,
) -> Option<(Approval, Arrival)> {
    let name = event.incident.as_deref()?;
    if tokio::time::timeout(FIRST_POLL, worker.live.incidents.known()).await.is_err() {
        worker.live.incidents.note_asked();
    }
    let found = if worker.live.incidents.is_known(name) { None } else { find(worker, name).await };
    let rules = &worker.rules.approval;
    let ordered = ordered(rules, event);
    let (arrival, withheld) = worker.live.incidents.arrive(name, found, &ordered, rules.above_targets);
    Some((ordered.approval(rules.above_targets, withheld, senders(origin)), arrival))
}

/// The approval of what is left of an event after the targets were taken out that wait for its sender's rate.
pub(in crate::worker) fn of_rest(worker: &Worker, origin: &Origin, event: &LogoutEvent) -> Approval {
    let rules = &worker.rules.approval;
    ordered(rules, event).approval(rules.above_targets, false, senders(origin))
}

impl Ordered {
    fn approval(self, above_targets: i64, withheld: bool, senders: Vec<String>) -> Approval {
        let Self { approval_kinds, needing_approval, needing_approval_expected, .. } = self;
        Approval {
            approval_kinds,
            needing_approval,
            needing_approval_expected,
            above_targets,
            withheld,
            is_excess: false,
            senders,
        }
    }
}

/// An incident as it is on record: one that has ended may have more to come.
async fn find(worker: &Worker, name: &str) -> Option<ActiveIncident> {
    if worker.me.number.get().is_none() || !worker.live.postgres.is_up() {
        return None;
    }
    match tokio::time::timeout(FIND, worker.ports.store.incident_now(name)).await {
        Ok(Ok(found)) => found,
        _ => None,
    }
}

/// What an event says of its incident, seen by the rules for approval.
fn ordered(rules: &ApprovalRules, event: &LogoutEvent) -> Ordered {
    let kinds = || event.targets.iter().map(|target| target.selector.kind());
    let count = |targets: usize| i64::try_from(targets).unwrap_or(i64::MAX);
    let declared = event.incident_kinds.iter().filter(|(kind, _)| rules.kinds.contains(kind));
    let declared = declared.map(|(_, targets)| *targets).fold(0, i64::saturating_add);
    let targets = count(event.targets.len());
    Ordered {
        approval_kinds: rules
            .approval_kinds(kinds().chain(event.incident_kinds.iter().map(|(kind, _)| *kind))),
        needing_approval: count(kinds().filter(|kind| rules.kinds.contains(kind)).count()),
        needing_approval_expected: Some(declared).filter(|targets| *targets > 0),
        targets,
        declared: event.incident_targets.unwrap_or(0).max(targets),
    }
}

/// Who sent a message, by name, and who put it back: an operator's word is all there is on who sent it first.
pub(super) fn senders(origin: &Origin) -> Vec<String> {
    origin.senders.iter().flatten().chain(&origin.requeued_by).cloned().collect()
}
