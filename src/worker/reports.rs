//! Beside the events: what verifiers report goes on record. A report that cannot be read or written is dropped; the next one follows in 5 s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::Worker;
use crate::broker::{Reported, Reports};
use crate::report::Report;
use crate::telemetry::ReportResult;

/// How long reports are gathered before they are written together.
const GATHER: Duration = Duration::from_millis(100);

/// The latest report of each verifier among those that arrived together.
struct Batch {
    latest: BTreeMap<(String, String), Report>,
    last: Reported,
}

/// Runs until stopped.
pub(super) async fn run(worker: Arc<Worker>, reports: Reports) {
    let (sink, mut reported) = mpsc::channel(usize::from(Reports::PREFETCH));
    let keep = async {
        while let Some(batch) = gather(&worker, &mut reported).await {
            tokio::select! {
                () = write(&worker, batch.latest) => batch.last.ack_all().await,
                // Not acknowledged: another worker gets them.
                () = worker.stop.cancelled() => return,
            }
        }
    };
    tokio::join!(reports.run(sink), keep);
}

/// Waits for a report, and then a little for more; `None` at the end of all.
async fn gather(worker: &Worker, reported: &mut mpsc::Receiver<Reported>) -> Option<Batch> {
    let mut batch = Batch { latest: BTreeMap::new(), last: reported.recv().await? };
    let until = Instant::now() + GATHER;
    for _ in 1..Reports::PREFETCH {
        read(worker, &batch.last.body, &mut batch.latest);
        batch.last.body = Vec::new();
        match timeout_at(until, reported.recv()).await {
            Ok(Some(next)) => batch.last = next,
            Ok(None) | Err(_) => return Some(batch),
        }
    }
    read(worker, &batch.last.body, &mut batch.latest);
    Some(batch)
}

fn read(worker: &Worker, body: &[u8], latest: &mut BTreeMap<(String, String), Report>) {
    let Some(report) = Report::parse(body, OffsetDateTime::now_utc()) else {
        worker.metrics.verifier_reported(ReportResult::Unreadable, 1);
        tracing::debug!(bytes = body.len(), "a verifier's report cannot be read");
        return;
    };
    let key = (report.service.clone(), report.instance.clone());
    match latest.get(&key) {
        Some(known) if known.reported_at > report.reported_at => {}
        _ => drop(latest.insert(key, report)),
    }
}

async fn write(worker: &Worker, latest: BTreeMap<(String, String), Report>) {
    let reports: Vec<_> = latest.into_values().collect();
    let number = reports.len() as u64;
    if number == 0 {
        return;
    }
    // While Postgres is away nothing waits for it here: reports are worth nothing when they are old.
    let written = match worker.database_up.load(Ordering::Relaxed) {
        true => {
            worker.store.report_verifiers(&reports).await.map_err(|error| tracing::debug!(%error, number, "verifiers' reports dropped"))
        }
        false => Err(()),
    };
    worker.metrics.verifier_reported(if written.is_ok() { ReportResult::Written } else { ReportResult::Dropped }, number);
}
