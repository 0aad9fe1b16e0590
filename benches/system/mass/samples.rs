//! How far the incident is, and what it takes, looked at a few times a second.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinHandle;

use super::command::INCIDENT;
use crate::Result;
use crate::client::Client;
use crate::measure::{memory_mib, now_us};
use crate::stage::Stage;

const LOOK: Duration = Duration::from_millis(250);
/// Where the course of a large incident is looked at, and over how much of it around there.
const SHARES: [f64; 3] = [0.1, 0.5, 0.9];
const AROUND: f64 = 0.05;

/// One look.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    at_us: i64,
    finished: i64,
    worker_mib: f64,
    /// Of the indexes of what is due, and of what waits for its turn.
    pub(super) index_mib: [f64; 2],
}

/// How it goes when a share of the targets is finished.
#[derive(Serialize)]
pub(super) struct Course {
    pub(super) share: f64,
    pub(super) targets_per_s: f64,
    /// Resident.
    pub(super) worker_mib: f64,
}

/// Looks until all targets are revoked. Fails when the worker ends, nothing moves any more, or the command
/// that publishes fails.
pub(super) async fn until_revoked(
    stage: &Stage,
    client: &mut Client,
    targets: u32,
    open: JoinHandle<Result>,
) -> Result<Vec<Sample>> {
    let (mut samples, mut open, mut moved) = (Vec::<Sample>::new(), Some(open), Instant::now());
    loop {
        let sample = look(stage, client).await?;
        if samples.last().is_none_or(|last| last.finished < sample.finished) {
            moved = Instant::now();
        }
        samples.push(sample);
        if let Some(ended) = open.take_if(|open| open.is_finished()) {
            ended.await??;
        }
        if sample.finished >= i64::from(targets) && open.is_none() {
            return Ok(samples);
        }
        client.check("a further target to be revoked", moved)?;
        tokio::time::sleep(LOOK).await;
    }
}

async fn look(stage: &Stage, client: &Client) -> Result<Sample> {
    let statement = "SELECT coalesce((SELECT revoked FROM audit.incidents WHERE incident = $1), 0), \
         pg_relation_size('revocation.targets_due'), pg_relation_size('revocation.targets_waiting')";
    let (finished, due, waiting): (i64, i64, i64) =
        sqlx::query_as(statement).bind(INCIDENT).fetch_one(&stage.database).await?;
    let index_mib = [due, waiting].map(|bytes| bytes as f64 / f64::from(1 << 20));
    Ok(Sample { at_us: now_us(), finished, worker_mib: memory_mib(client.pid, "VmRSS"), index_mib })
}

pub(super) fn course(samples: &[Sample], targets: u32) -> Vec<Course> {
    SHARES.into_iter().map(|share| course_at(samples, targets, share)).collect()
}

fn course_at(samples: &[Sample], targets: u32, share: f64) -> Course {
    let reached =
        |share: f64| samples.iter().find(|sample| sample.finished as f64 >= share * f64::from(targets));
    let between = |from: &Sample, to: &Sample| {
        (to.finished - from.finished) as f64 / ((to.at_us - from.at_us) as f64 / 1e6)
    };
    let rate = reached(share - AROUND).zip(reached(share + AROUND)).map(|(from, to)| between(from, to));
    let worker_mib = reached(share).map_or(f64::NAN, |sample| sample.worker_mib);
    Course { share, targets_per_s: rate.unwrap_or(f64::NAN), worker_mib }
}
