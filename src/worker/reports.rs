//! Verifiers' reports: read, gathered, the last of each written. Other teams write verifiers, so a report may be anything.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use revocation_verifier::message::{STATUS_TYPE, Status};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::Worker;
use crate::store::Report;

/// Reports are gathered this long.
const GATHER: Duration = Duration::from_millis(200);
/// Largest report that is read.
const MAX_BYTES: usize = 16 * 1024;
/// Longest name of a service or an instance, in bytes.
const MAX_NAME: usize = 200;

/// Both shapes that verifiers send.
#[derive(Deserialize)]
#[serde(untagged)]
enum Shape {
    Enveloped(Enveloped),
    Bare(Status),
}

#[derive(Deserialize)]
struct Enveloped {
    #[serde(rename = "type")]
    kind: String,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    data: Status,
}

/// Runs until nobody sends reports any more.
pub(super) async fn run(worker: Arc<Worker>, mut bodies: mpsc::Receiver<Vec<u8>>) {
    while let Some(first) = bodies.recv().await {
        let (mut latest, mut taken) = (HashMap::new(), 0_u64);
        let end = tokio::time::Instant::now() + GATHER;
        let mut next = Some(first);
        while let Some(body) = next {
            taken += 1;
            note(&mut latest, parse(&body, OffsetDateTime::now_utc()));
            next = tokio::time::timeout_at(end, bodies.recv()).await.unwrap_or(None);
        }
        worker.metrics.reports(taken);
        let reports: Vec<Report> = latest.into_values().collect();
        if let Err(error) = worker.store.record_reports(&reports).await {
            tracing::debug!(%error, reports = reports.len(), "verifiers' reports not recorded; the next ones follow");
        }
    }
}

fn note(latest: &mut HashMap<(String, String), Report>, report: Option<Report>) {
    let Some(report) = report else { return };
    let key = (report.status.service.clone(), report.status.instance.clone());
    if latest.get(&key).is_none_or(|held| held.reported_at <= report.reported_at) {
        latest.insert(key, report);
    }
}

/// A report, if it is one.
fn parse(body: &[u8], now: OffsetDateTime) -> Option<Report> {
    let shape = if body.len() <= MAX_BYTES { serde_json::from_slice(body).ok() } else { None };
    let report = match shape {
        Some(Shape::Enveloped(envelope)) if envelope.kind == STATUS_TYPE => {
            Some(Report { reported_at: envelope.time, status: envelope.data })
        }
        Some(Shape::Bare(status)) => Some(Report { reported_at: now, status }),
        _ => None,
    };
    let is_name = |name: &str| (1..=MAX_NAME).contains(&name.len()) && !name.contains('\0');
    let report = report.filter(|report| is_name(&report.status.service) && is_name(&report.status.instance));
    if report.is_none() {
        tracing::debug!(bytes = body.len(), "a message in revocation.verifiers is no verifier's report");
    }
    report
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(body: &serde_json::Value) -> Option<Report> {
        parse(body.to_string().as_bytes(), OffsetDateTime::UNIX_EPOCH)
    }

    fn status() -> serde_json::Value {
        json!({ "service": "shop-api", "instance": "pod-7", "applied_offset": 812, "applied_time": "2026-11-20T22:30:00Z", "entries": 1042, "stale": false })
    }

    #[test]
    fn both_shapes_are_read() {
        let bare = parsed(&status()).expect("a report");
        assert_eq!((bare.reported_at, bare.status.applied_offset, bare.status.entries), (OffsetDateTime::UNIX_EPOCH, Some(812), 1042));
        let envelope = json!({ "specversion": "1.0", "id": "any", "source": "/v", "type": STATUS_TYPE,
            "time": "2026-11-20T22:30:01Z", "data": status() });
        assert_eq!(parsed(&envelope).expect("a report").reported_at.unix_timestamp(), 1_795_213_801);
    }

    #[test]
    fn what_is_no_report_is_dropped() {
        let mut long = status();
        long["service"] = "x".repeat(MAX_NAME + 1).into();
        let mut nul = status();
        nul["instance"] = "a\0b".into();
        for body in [json!({}), json!(null), json!({ "service": "a" }), long, nul] {
            assert!(parsed(&body).is_none(), "{body}");
        }
        assert!(parse(b"\xff", OffsetDateTime::UNIX_EPOCH).is_none());
    }

    #[test]
    fn of_several_the_last_made_counts() {
        let at = |second| Report {
            reported_at: OffsetDateTime::UNIX_EPOCH + Duration::from_secs(second),
            ..parsed(&status()).expect("a report")
        };
        let mut latest = HashMap::new();
        [at(2), at(3), at(1)].into_iter().for_each(|report| note(&mut latest, Some(report)));
        assert_eq!(latest.into_values().map(|report| report.reported_at.unix_timestamp()).collect::<Vec<_>>(), [3]);
    }
}
