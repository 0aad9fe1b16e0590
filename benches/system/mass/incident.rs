//! The incident itself: how fast it was denied and revoked, and what that cost.

use serde::Serialize;

use super::command::INCIDENT;
use super::samples::Sample;
use crate::Result;
use crate::bound::Reader;
use crate::latency::{Spread, spread};
use crate::measure::Cpu;
use crate::stage::Stage;

#[derive(Serialize)]
pub(super) struct Incident {
    /// From the start of the command that opens it to its last target revoked.
    pub(super) seconds: f64,
    pub(super) targets_per_s: f64,
    /// From the same start to the denial of the last target.
    pub(super) all_denied_s: f64,
    /// From each event's `time`, which its publisher sets, to the denial of its targets.
    pub(super) denied: Spread,
    /// Seconds for 1,000 targets, without what the logouts beside them cost when alone.
    pub(super) cpu: Cpu,
    /// The index of what is due, at its largest.
    pub(super) due_index_mib: f64,
    /// The index of what waits for its turn, at its largest.
    pub(super) waiting_index_mib: f64,
}

impl Incident {
    /// `cpu`: spent on all of it.
    pub(super) async fn of(
        stage: &Stage,
        reader: &Reader,
        opened_us: i64,
        targets: u32,
        cpu: Cpu,
        samples: &[Sample],
    ) -> Result<Self> {
        let (ids, published_us) = events(stage).await?;
        let denied_us = {
            let told = reader.told();
            ids.iter().map(|id| told.other_us(id)).collect::<Result<Vec<_>>>()?
        };
        let since = |until_us: i64| (until_us - opened_us) as f64 / 1e6;
        let seconds = since(last_revoked_us(stage).await?);
        let largest = |index: usize| samples.iter().map(|sample| sample.index_mib[index]).fold(0.0, f64::max);
        Ok(Self {
            seconds,
            targets_per_s: f64::from(targets) / seconds,
            all_denied_s: since(denied_us.iter().copied().max().unwrap_or(opened_us)),
            denied: spread(&published_us, &denied_us, 0),
            cpu: cpu.times(1000.0 / f64::from(targets)),
            due_index_mib: largest(0),
            waiting_index_mib: largest(1),
        })
    }
}

/// The `id` and the `time` of its events.
async fn events(stage: &Stage) -> Result<(Vec<String>, Vec<i64>)> {
    let statement = "SELECT DISTINCT event_id, (extract(epoch FROM occurred_at) * 1000000)::bigint FROM \
        audit.revocations WHERE incident = $1";
    let rows: Vec<(String, i64)> =
        sqlx::query_as(statement).bind(INCIDENT).fetch_all(&stage.database).await?;
    Ok(rows.into_iter().unzip())
}

async fn last_revoked_us(stage: &Stage) -> Result<i64> {
    let statement = "SELECT (extract(epoch FROM max(revoked_at)) * 1000000)::bigint FROM audit.revocations \
        WHERE incident = $1";
    Ok(sqlx::query_scalar(statement).bind(INCIDENT).fetch_one(&stage.database).await?)
}
