//! The record of what came of attempts: tells verifiers what is revoked, then commits attempts and results,
//! then logs each attempt. Many share one commit; a failed commit repeats the writing, never the work.

mod denials;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use self::denials::Denials;
use super::announce::Late;
use super::job::{Finished, ForRecord, HandBack, Job};
use super::parts::{Ports, Worker};
use super::traced;
use crate::failpoint;
use crate::outcome::State;
use crate::store::{Attempt, Closing, Release, StoreError};
use crate::target::TargetId;
use crate::trace::Trace;

/// Most notes a commit, and most commits at once.
const NOTES: usize = 512;
const COMMITS: usize = 2;
/// Time between the beginnings of two commits, as of events' (`commit.rs`): longer, since nothing waits for
/// it but the record, and verifiers' introspection caches for the confirmation.
const SPACING: Duration = Duration::from_millis(25);

#[derive(Default)]
struct Batch {
    finished: Vec<Finished>,
    denied: Vec<(Uuid, OffsetDateTime)>,
    handed_back: Vec<HandBack>,
}

impl Batch {
    /// What is to be written now.
    fn of(notes: impl Iterator<Item = ForRecord>, denials: &mut Denials) -> Self {
        let (mut batch, now) = (Self::default(), Instant::now());
        for note in notes {
            match note {
                ForRecord::Finished(finished) => batch.finished.extend(finished),
                ForRecord::Denied(row, at) => denials.note(row, at, now),
                ForRecord::HandBack(back) => batch.handed_back.push(back),
            }
        }
        let events = batch.finished.iter().map(|finished| finished.job.context.row).collect();
        batch.denied = denials.take(&events, now);
        batch
    }

    /// `None`: there is nothing to write.
    fn filled(self) -> Option<Self> {
        let is_empty = self.finished.is_empty() && self.denied.is_empty() && self.handed_back.is_empty();
        (!is_empty).then_some(self)
    }
}

/// Runs until the worker has stopped and every task that could send a note has ended.
pub(super) async fn run(worker: Arc<Worker>, mut notes: mpsc::UnboundedReceiver<ForRecord>) {
    let (commits, mut denials) = (Arc::new(Semaphore::new(COMMITS)), Denials::default());
    loop {
        let Ok(turn) = commits.clone().acquire_owned().await else { return };
        let Some(batch) = next(&mut notes, &worker, &mut denials).await else { break };
        let worker = worker.clone();
        tokio::spawn(async move {
            write(&worker, batch).await;
            drop(turn);
        });
        tokio::time::sleep(SPACING).await;
    }
    drop(commits.acquire_many(COMMITS as u32).await);
}

/// What has arrived, and denials that have waited. `None` when the worker has stopped and nothing is left.
async fn next(
    notes: &mut mpsc::UnboundedReceiver<ForRecord>,
    worker: &Worker,
    denials: &mut Denials,
) -> Option<Batch> {
    let mut arrived = Vec::with_capacity(NOTES);
    loop {
        let is_over = tokio::select! {
            biased;
            received = notes.recv_many(&mut arrived, NOTES) => received == 0,
            // Closed and empty: every task that could still send a note has ended.
            () = worker.live.tasks.wait() => notes.try_recv().map(|note| arrived.push(note)).is_err(),
            () = denials.overdue() => false,
        };
        if is_over {
            return Batch { denied: denials.take_all(), ..Batch::default() }.filled();
        }
        if let Some(batch) = Batch::of(arrived.drain(..), denials).filled() {
            return Some(batch);
        }
    }
}

async fn write(worker: &Worker, batch: Batch) {
    let confirmed = confirm(&worker.ports, &batch.finished).await;
    failpoint!("confirmed");
    let closings: Vec<_> = batch.finished.iter().map(|finished| closing(finished, &confirmed)).collect();
    if !closings.is_empty() || !batch.denied.is_empty() {
        let spans = traced::record(&worker.ports.spans, &batch.finished);
        let written =
            worker.live.postgres.persist("results", || record(worker, &closings, &batch.denied)).await;
        drop(spans);
        failpoint!("recorded");
        report(&worker.ports, &batch.finished, &written.unwrap_or_default());
    }
    if !batch.handed_back.is_empty() {
        worker.live.postgres.persist("targets handed back", || release(worker, &batch.handed_back)).await;
    }
}

/// Publishes what was revoked, in messages that all events of the commit share; returns when the broker
/// confirmed which targets.
async fn confirm(ports: &Ports, finished: &[Finished]) -> HashMap<TargetId, OffsetDateTime> {
    let mut events: HashMap<Uuid, Vec<&Job>> = HashMap::new();
    for done in finished.iter().filter(|f| f.settlement.state == State::Revoked) {
        events.entry(done.job.context.row).or_default().push(&done.job);
    }
    let of_events = events.values().map(|jobs| {
        let context = &jobs[0].context;
        (context.event(), context.trace, jobs.iter().map(|job| (&job.target, job.not_before())))
    });
    if events.is_empty() || !ports.verifiers.confirm(of_events).await {
        return HashMap::new();
    }
    let now = ports.clock.now();
    let noted = events.into_values().flatten().inspect(|job| {
        if job.moved.is_some() {
            ports.verifiers.late.note(Late::Cutoff(job.id));
        }
    });
    noted.map(|job| (job.id, now)).collect()
}

fn closing(finished: &Finished, confirmed: &HashMap<TargetId, OffsetDateTime>) -> Closing {
    let (job, answer) = (&finished.job, &finished.answer);
    let ended_at = finished.started_at + finished.took;
    let attempt = Attempt {
        id: job.id,
        number: job.attempt,
        started_at: finished.started_at,
        duration: finished.took,
        outcome: answer.verdict.outcome(),
        http_status: answer.http_status,
        error: answer.error.clone(),
        retry_after: answer.retry_after,
    };
    Closing {
        attempt,
        settlement: finished.settlement,
        revoked_at: (finished.settlement.state == State::Revoked).then_some(ended_at),
        confirmed_at: confirmed.get(&job.id).copied(),
        moved: job.moved,
    }
}

/// Writes closings; where Postgres refuses them for their content, in halves, so that one bad row does not
/// hold up the others.
async fn record(
    worker: &Worker,
    closings: &[Closing],
    denied: &[(Uuid, OffsetDateTime)],
) -> Result<Vec<TargetId>, StoreError> {
    match worker.ports.store.record(worker.number(), closings, denied).await {
        Err(error) if !error.is_passing() && closings.len() > 1 => {
            let (left, right) = closings.split_at(closings.len() / 2);
            let mut written = Box::pin(record(worker, left, denied)).await?;
            written.extend(Box::pin(record(worker, right, &[])).await?);
            Ok(written)
        }
        Err(error) if !error.is_passing() && closings.len() == 1 => {
            tracing::error!(%error, revocation_id = %closings[0].attempt.id, "the database refuses a result; \
                its target is tried again");
            if denied.is_empty() { Ok(Vec::new()) } else { Box::pin(record(worker, &[], denied)).await }
        }
        result => result,
    }
}

async fn release(worker: &Worker, handed_back: &[HandBack]) -> Result<(), StoreError> {
    let release =
        |back: &HandBack| Release { id: back.id, attempt: back.attempt, held_for: back.since.elapsed() };
    let releases: Vec<_> = handed_back.iter().map(release).collect();
    worker.ports.store.release(worker.number(), &releases).await
}

/// The one log event and the metrics of each attempt. Of a target that another worker has taken over
/// meanwhile, or whose result Postgres refused, only the call counts: it was made.
fn report(ports: &Ports, finished: &[Finished], written: &[TargetId]) {
    let written: HashSet<_> = written.iter().collect();
    for Finished { job, answer, settlement, took, .. } in finished {
        let (provider, outcome) = (&job.target.provider, answer.verdict.outcome());
        let superseded = !written.contains(&job.id);
        // What is wider would be a text in JSON.
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        ports.metrics.attempted(provider, outcome, *took);
        if settlement.state == State::Revoked && !superseded {
            ports.metrics.revoked(ports.clock.now() - job.context.received_at);
        }
        tracing::info!(
            revocation_id = %job.id,
            event_source = job.context.reference.source,
            event_id = job.context.reference.id,
            trace_id = job.context.trace.map(Trace::shown_id),
            incident = job.context.incident.as_deref(),
            lane = job.context.lane.as_str(),
            %provider,
            kind = job.target.selector.kind().as_str(),
            attempt = job.attempt,
            outcome,
            state = settlement.state.as_str(),
            proof = settlement.proof.map(|proof| proof.as_str()),
            http_status = answer.http_status,
            duration_ms,
            error = answer.error.as_deref(),
            superseded,
            "target"
        );
    }
}
