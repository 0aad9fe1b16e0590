//! A target in memory, leased to this worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::in_flight::InFlightGuard;
use super::incidents::{Incident, IncidentGuard};
use crate::admission::Room;
use crate::event::{Lane, Party};
use crate::invalidation::{EventOf, EventRef};
use crate::outcome::{Answer, Settlement, Standing};
use crate::store::Cutoff;
use crate::target::{Target, TargetId};
use crate::trace::Trace;

/// What the targets of one event share.
pub(super) struct Context {
    /// The event's row.
    pub(super) row: Uuid,
    /// Its CloudEvents identity.
    pub(super) reference: EventRef,
    /// Its lane.
    pub(super) lane: Lane,
    /// Whose it is.
    pub(super) party: Party,
    /// Its incident.
    pub(super) incident: Option<String>,
    /// Cutoff of wide targets.
    pub(super) not_before: OffsetDateTime,
    /// When it was received.
    pub(super) received_at: OffsetDateTime,
    /// The trace that what is done for it is a part of.
    pub(super) trace: Option<Trace>,
}

impl Context {
    /// The event, as verifiers are told of it.
    pub(super) fn event(&self) -> EventOf {
        let traceparent = self.trace.map(|trace| trace.to_string());
        EventOf { event: self.reference.clone(), incident: self.incident.clone(), traceparent }
    }
}

/// Something for the record.
pub(super) enum ForRecord {
    /// Attempts for one event, with their targets' next states.
    Finished(Vec<Finished>),
    /// An event's denial was confirmed by the broker.
    Denied(Uuid, OffsetDateTime),
    /// A leased target was not attempted.
    HandBack(HandBack),
}

/// A finished attempt.
pub(super) struct Finished {
    /// The job, settled.
    pub(super) job: Job,
    /// The provider's answer.
    pub(super) answer: Answer,
    /// The next state.
    pub(super) settlement: Settlement,
    /// When the request began.
    pub(super) started_at: OffsetDateTime,
    /// How long it took.
    pub(super) took: Duration,
}

/// What a target in memory occupies as long as it is there.
pub(super) struct Guards {
    /// Room in memory.
    pub(super) _room: Room,
    /// Its entry among the leased targets in memory.
    pub(super) target: InFlightGuard,
    /// Its entry among its incident's targets in memory, if it has one.
    pub(super) incident: Option<IncidentGuard>,
}

/// A leased target that was not attempted.
pub(super) struct HandBack {
    /// Its identity.
    pub(super) id: TargetId,
    /// The number of the attempt that did not take place.
    pub(super) attempt: i32,
    /// When this worker took it on.
    pub(super) since: Instant,
    _guard: InFlightGuard,
}

impl HandBack {
    /// A target and the number of its attempt, leased `since`.
    pub(super) fn of((id, attempt): (TargetId, i32), since: Instant, guard: InFlightGuard) -> Self {
        Self { id, attempt, since, _guard: guard }
    }
}

/// One leased target. Dropping it without settling hands it back: due now, for whoever claims it, its attempt
/// not counted.
pub(super) struct Job {
    /// Its identity.
    pub(super) id: TargetId,
    /// The number of the attempt that is on record.
    pub(super) attempt: i32,
    /// What to revoke. Its token lives as long as the job.
    pub(super) target: Target,
    /// Failures and budget so far.
    pub(super) standing: Standing,
    /// The event.
    pub(super) context: Arc<Context>,
    /// The later cutoff that its revocation brought about.
    pub(super) moved: Option<Cutoff>,
    /// When this worker took it on.
    pub(super) since: Instant,
    guards: Option<Guards>,
    back: Option<mpsc::UnboundedSender<ForRecord>>,
}

impl Job {
    /// A job that returns to the `record` if it is dropped unsettled.
    pub(super) fn new(
        (id, attempt): (TargetId, i32),
        target: Target,
        standing: Standing,
        context: Arc<Context>,
        guards: Guards,
        record: mpsc::UnboundedSender<ForRecord>,
    ) -> Self {
        let (guards, back, since) = (Some(guards), Some(record), Instant::now());
        Self { id, attempt, target, standing, context, moved: None, since, guards, back }
    }

    /// Its incident, if it has one.
    pub(super) fn incident(&self) -> Option<&Incident> {
        self.guards.as_ref()?.incident.as_ref().map(IncidentGuard::incident)
    }

    /// The cutoff of a wide target: its event's, or the later one.
    pub(super) fn not_before(&self) -> OffsetDateTime {
        self.moved.map_or(self.context.not_before, |cutoff| cutoff.at)
    }

    /// From here on the job's end is recorded by the caller.
    pub(super) fn settled(mut self) -> Self {
        self.back = None;
        self
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let (Some(back), Some(guards)) = (self.back.take(), self.guards.take()) {
            // No recorder: the process is ending, and the lease is taken over.
            let handed_back = HandBack::of((self.id, self.attempt), self.since, guards.target);
            drop(back.send(ForRecord::HandBack(handed_back)));
        }
    }
}
