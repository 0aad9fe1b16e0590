//! Step 3: call the provider. Refresh tokens first, then the rest; both are always attempted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use time::OffsetDateTime;

use super::job::Job;
use super::record::{Finished, Note};
use super::{Gate, Incident, Pass, Seat, Worker};
use crate::event::Lane;
use crate::failpoint;
use crate::outcome::{Answer, State, settle};
use crate::store::Cutoff;
use crate::target::{Selector, Target};

/// How long the first result of an event waits for the others.
const PATIENCE: Duration = Duration::from_millis(50);

/// Sets off the work on jobs of one event and provider.
pub(super) fn spawn(worker: &Arc<Worker>, jobs: Vec<Job>) {
    let task = revoke(worker.clone(), jobs);
    worker.tasks.spawn(task);
}

async fn revoke(worker: Arc<Worker>, jobs: Vec<Job>) {
    let (refresh, rest): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.target.is_refresh_token());
    let mut gathered = Gathered { worker: &worker, finished: Vec::new(), since: Instant::now() };
    for phase in [refresh, rest] {
        let mut calls: FuturesUnordered<_> = phase.into_iter().map(|job| attempt(&worker, job)).collect();
        while let Some(finished) = gathered.next(&mut calls).await {
            gathered.add(finished);
        }
    }
}

/// Results of one event on their way to the record. Together they need one message to verifiers and one place in a commit, so they wait a little
/// for each other; whatever is left is handed over on drop.
struct Gathered<'a> {
    worker: &'a Worker,
    finished: Vec<Finished>,
    since: Instant,
}

impl Gathered<'_> {
    /// The next call to end, if any; hands over what is gathered when it has waited long enough.
    async fn next(&mut self, calls: &mut FuturesUnordered<impl Future<Output = Option<Finished>>>) -> Option<Option<Finished>> {
        if !self.finished.is_empty() {
            let deadline = tokio::time::Instant::from_std(self.since + PATIENCE);
            match tokio::time::timeout_at(deadline, calls.next()).await {
                Ok(ended) => return ended,
                Err(_) => self.hand_over(),
            }
        }
        calls.next().await
    }

    fn add(&mut self, finished: Option<Finished>) {
        if self.finished.is_empty() {
            self.since = Instant::now();
        }
        self.finished.extend(finished);
    }

    fn hand_over(&mut self) {
        if !self.finished.is_empty() {
            hand_over(self.worker, std::mem::take(&mut self.finished));
        }
    }
}

impl Drop for Gathered<'_> {
    fn drop(&mut self) {
        self.hand_over();
    }
}

/// One attempt. It is on record already; a job that may not call (breaker open, incident paused, worker stopping) is dropped and thereby handed back.
async fn attempt(worker: &Worker, mut job: Job) -> Option<Finished> {
    let gate = worker.gates.get(&job.target.provider)?;
    failpoint!("claimed");
    let pass = tokio::select! {
        biased;
        () = worker.stop.cancelled() => return None,
        pass = enter(gate, job.context.lane, job.seat.as_ref().map(Seat::incident), &job.target) => pass?,
    };
    failpoint!("sent");
    let (started_at, began) = (OffsetDateTime::now_utc(), Instant::now());
    let answer = gate.provider.revoke(&job.target).await;
    let took = began.elapsed();
    job.standing.is_outage = pass.report(&answer, took);
    failpoint!("responded");
    Some(finish(worker, job, answer, started_at, took))
}

/// Waits for the incident's turn and then for the provider's; an operator may stop the incident meanwhile.
async fn enter(gate: &Gate, lane: Lane, incident: Option<&Incident>, target: &Target) -> Option<Pass> {
    let (wide, requests) = (target.token().is_none(), gate.provider.calls_per_attempt(target));
    let Some(incident) = incident else { return gate.enter(lane, wide, requests).await };
    let turn = incident.turn().await?;
    let pass = gate.enter(lane, wide, requests).await?;
    incident.may_go_on(turn).then_some(pass)
}

/// Computes the outcome, once.
pub(super) fn finish(worker: &Worker, mut job: Job, answer: Answer, started_at: OffsetDateTime, took: Duration) -> Finished {
    let settlement = settle(&answer, &job.standing, &worker.schedule, OffsetDateTime::now_utc());
    if settlement.state == State::Revoked {
        move_cutoff(worker, &mut job, started_at + took);
    }
    Finished { job: job.settled(), answer, settlement, started_at, took }
}

/// In an incident, what was issued until the provider had ended a session or everything of a subject is denied too: a thief may have refreshed a token
/// between the event's cutoff and that moment. In an ordinary logout the user may have signed in again since.
fn move_cutoff(worker: &Worker, job: &mut Job, at: OffsetDateTime) {
    let is_incidents = job.context.incident.is_some() && matches!(job.target.selector, Selector::Session | Selector::Subject);
    if is_incidents && at > job.context.not_before {
        let ttl = worker.rules.token_ttl(&job.target.provider);
        let deny_until = job.target.deny_until.max(at.saturating_add(time::Duration::try_from(ttl).unwrap_or(time::Duration::MAX)));
        job.target.deny_until = deny_until;
        job.moved = Some(Cutoff { at, deny_until });
    }
}

/// Gives results to the recorder.
pub(super) fn hand_over(worker: &Worker, finished: Vec<Finished>) {
    // No recorder: the process is ending, and the attempts are closed as unknown by whoever takes over.
    drop(worker.notes.send(Note::Finished(finished)));
}
