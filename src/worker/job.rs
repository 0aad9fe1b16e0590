//! A target in memory, leased to this worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Worker;
use super::held::Hold;
use super::incidents::Seat;
use super::room::Room;
use crate::event::{Lane, Party};
use crate::invalidation::EventRef;
use crate::outcome::{Answer, Settlement, Standing};
use crate::store::Cutoff;
use crate::target::{Target, TargetId};

/// What the targets of one event share.
pub struct Context {
    /// The event's row.
    pub row: Uuid,
    /// Its CloudEvents identity.
    pub reference: EventRef,
    /// Its lane.
    pub lane: Lane,
    /// Whose it is.
    pub party: Party,
    /// Its incident.
    pub incident: Option<String>,
    /// Cutoff of wide targets.
    pub not_before: OffsetDateTime,
    /// When it was received.
    pub received_at: OffsetDateTime,
}

/// Something for the record.
pub enum ForRecord {
    /// Attempts for one event, with their targets' next states.
    Finished(Vec<Finished>),
    /// An event's denial was confirmed by the broker.
    Denied(Uuid, OffsetDateTime),
    /// A leased target was not attempted.
    HandBack(HandBack),
}

/// A finished attempt.
pub struct Finished {
    /// The job, settled.
    pub job: Job,
    /// The provider's answer.
    pub answer: Answer,
    /// The next state.
    pub settlement: Settlement,
    /// When the request began.
    pub started_at: OffsetDateTime,
    /// How long it took.
    pub took: Duration,
}

/// A leased target that was not attempted.
pub struct HandBack {
    /// Its identity.
    pub id: TargetId,
    /// The number of the attempt that did not take place.
    pub attempt: i32,
    /// When this worker took it on.
    pub since: Instant,
    _hold: Hold,
}

/// One leased target. Dropping it without settling hands it back: due now, for whoever claims it, its attempt
/// not counted.
pub struct Job {
    /// Its identity.
    pub id: TargetId,
    /// The number of the attempt that is on record.
    pub attempt: i32,
    /// What to revoke. Its token lives as long as the job.
    pub target: Target,
    /// Failures and budget so far.
    pub standing: Standing,
    /// The event.
    pub context: Arc<Context>,
    /// Its place in its incident, if it has one.
    pub seat: Option<Seat>,
    /// The later cutoff that its revocation brought about.
    pub moved: Option<Cutoff>,
    /// When this worker took it on.
    pub since: Instant,
    hold: Option<Hold>,
    back: Option<mpsc::UnboundedSender<ForRecord>>,
    _room: Room,
}

impl Job {
    /// A job that returns to `worker`'s record if it is dropped unsettled.
    pub fn new(
        (id, attempt): (TargetId, i32),
        target: Target,
        standing: Standing,
        context: Arc<Context>,
        room: Room,
        worker: &Worker,
    ) -> Self {
        let (hold, back) = (Some(worker.held.hold(id)), Some(worker.notes.clone()));
        let seat = context.incident.as_deref().map(|name| worker.incidents.of(name).seat());
        Self {
            id,
            attempt,
            target,
            standing,
            context,
            seat,
            moved: None,
            since: Instant::now(),
            hold,
            back,
            _room: room,
        }
    }

    /// The cutoff of a wide target: its event's, or the later one.
    pub fn not_before(&self) -> OffsetDateTime {
        self.moved.map_or(self.context.not_before, |cutoff| cutoff.at)
    }

    /// From here on the job's end is recorded by the caller.
    pub fn settled(mut self) -> Self {
        self.back = None;
        self
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let (Some(back), Some(hold)) = (self.back.take(), self.hold.take()) {
            // No recorder: the process is ending, and the lease is taken over.
            drop(back.send(ForRecord::HandBack(HandBack {
                id: self.id,
                attempt: self.attempt,
                since: self.since,
                _hold: hold,
            })));
        }
    }
}
