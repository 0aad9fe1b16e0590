//! Beside the events: what verifiers report goes on record. A report that cannot be read or written is
//! dropped; the next one follows in 5 s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::parts::Worker;
use crate::broker::{Reported, Reports};
use crate::report::{Attested, Report};
use crate::telemetry::ReportResult;

/// How long reports are gathered before they are written together.
const GATHER: Duration = Duration::from_millis(100);

/// A verifier and who reported for it.
type Key = (String, String, Option<String>);

/// The latest report of each verifier and user among those that arrived together, and when in the row of
/// arrivals the first of them did.
#[derive(Default)]
struct Latest(BTreeMap<Key, (usize, Attested)>);

struct Batch {
    latest: Latest,
    last: Reported,
}

/// Runs until stopped.
pub(super) async fn run(worker: Arc<Worker>, reports: Reports) {
    let (sink, mut reported) = mpsc::channel(usize::from(Reports::PREFETCH));
    let keep = async {
        // The queue is declared before the first verifier reports; what it says waits until it can be
        // written.
        if worker.entered().await.is_none() {
            return;
        }
        while let Some(batch) = gather(&worker, &mut reported).await {
            tokio::select! {
                () = write(&worker, batch.latest) => batch.last.ack_all().await,
                // Not acknowledged: another worker gets them.
                () = worker.live.stop.cancelled() => return,
            }
        }
    };
    tokio::join!(reports.run(sink), keep);
}

/// Waits for a report, and then a little for more; `None` at the end of all.
async fn gather(worker: &Worker, reported: &mut mpsc::Receiver<Reported>) -> Option<Batch> {
    let mut batch = Batch { latest: Latest::default(), last: reported.recv().await? };
    let until = Instant::now() + GATHER;
    for _ in 1..Reports::PREFETCH {
        read(worker, &batch.last, &mut batch.latest);
        batch.last.body = Vec::new();
        match timeout_at(until, reported.recv()).await {
            Ok(Some(next)) => batch.last = next,
            Ok(None) | Err(_) => return Some(batch),
        }
    }
    read(worker, &batch.last, &mut batch.latest);
    Some(batch)
}

fn read(worker: &Worker, Reported { body, user, .. }: &Reported, latest: &mut Latest) {
    match Report::parse(body, worker.ports.clock.now()) {
        Some(report) => latest.add(worker.rules.verifier_owners.attest(report, user.as_deref())),
        None => {
            worker.ports.metrics.verifier_reported(ReportResult::Unreadable, 1);
            tracing::debug!(bytes = body.len(), "a verifier's report cannot be read");
        }
    }
}

impl Latest {
    fn add(&mut self, attested: Attested) {
        let key =
            (attested.report.service.clone(), attested.report.instance.clone(), attested.broker_user.clone());
        let next = self.0.len();
        match self.0.get_mut(&key) {
            Some((_, known)) if known.report.reported_at > attested.report.reported_at => {}
            Some((_, known)) => *known = attested,
            None => drop(self.0.insert(key, (next, attested))),
        }
    }

    /// In the order of arrival: who claims a service first has it.
    fn into_ordered(self) -> Vec<Attested> {
        let mut all: Vec<_> = self.0.into_values().collect();
        all.sort_unstable_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, attested)| attested).collect()
    }
}

async fn write(worker: &Worker, latest: Latest) {
    let reports = latest.into_ordered();
    let number = reports.len() as u64;
    if number == 0 {
        return;
    }
    // While Postgres is away nothing waits for it here: reports are worth nothing when they are old.
    let written = match worker.live.postgres.is_up() {
        true => worker
            .ports
            .store
            .report_verifiers(&reports)
            .await
            .map_err(|error| tracing::debug!(%error, number, "verifiers' reports dropped")),
        false => Err(()),
    };
    match written {
        Ok(crowded_out) => {
            worker.ports.metrics.verifier_reported(ReportResult::Written, number.saturating_sub(crowded_out));
            worker.ports.metrics.verifier_reported(ReportResult::CrowdedOut, crowded_out);
        }
        Err(()) => worker.ports.metrics.verifier_reported(ReportResult::Dropped, number),
    }
}
