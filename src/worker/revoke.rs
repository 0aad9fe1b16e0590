//! Step 3: call the provider. Refresh tokens first, then the rest; both are always attempted.

use std::sync::Arc;
use std::time::Instant;

use time::OffsetDateTime;

use super::Worker;
use super::job::Job;
use super::record::{Finished, Note};
use crate::failpoint;
use crate::outcome::{Answer, settle};

/// Sets off the work on jobs of one event and provider.
pub(super) fn spawn(worker: &Arc<Worker>, jobs: Vec<Job>) {
    let task = revoke(worker.clone(), jobs);
    worker.tasks.spawn(task);
}

async fn revoke(worker: Arc<Worker>, jobs: Vec<Job>) {
    let (refresh, rest): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.target.is_refresh_token());
    for phase in [refresh, rest] {
        futures::future::join_all(phase.into_iter().map(|job| attempt(&worker, job))).await;
    }
}

/// One attempt. It is on record already; a job that may not call (breaker open, worker stopping) is dropped and thereby handed back.
async fn attempt(worker: &Worker, job: Job) {
    let Some(gate) = worker.gates.get(&job.target.provider) else { return };
    failpoint!("claimed");
    let pass = tokio::select! {
        biased;
        () = worker.stop.cancelled() => return,
        pass = gate.enter(job.context.lane) => match pass {
            Some(pass) => pass,
            None => return,
        },
    };
    failpoint!("sent");
    let (started_at, began) = (OffsetDateTime::now_utc(), Instant::now());
    let answer = gate.provider.revoke(&job.target).await;
    let took = began.elapsed();
    pass.report(&answer, took);
    failpoint!("responded");
    finish(worker, job, answer, started_at, took);
}

/// Computes the outcome, once, and hands it to the record.
pub(super) fn finish(worker: &Worker, job: Job, answer: Answer, started_at: OffsetDateTime, took: std::time::Duration) {
    let settlement = settle(&answer, &job.standing, &worker.schedule, OffsetDateTime::now_utc());
    let finished = Finished { job: job.settled(), answer, settlement, started_at, took };
    // No recorder: the process is ending, and the attempt is closed as unknown by whoever takes over.
    drop(worker.notes.send(Note::Finished(Box::new(finished))));
}
