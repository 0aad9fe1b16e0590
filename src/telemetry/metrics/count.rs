//! What is counted as it happens.

use std::time::Duration;

use super::super::labels::{AttemptLabels, CodeLabel, LaneLabel, ProviderLabel, ResultLabel};
use super::super::latencies::drained;
use super::{Metrics, ReportResult};
use crate::event::{Lane, RefusalCode};
use crate::store::Latencies;

/// What a provider's answer comes to, in the label `outcome`.
const OUTCOMES: [&str; 5] = ["revoked", "already_invalid", "transient", "misconfigured", "rejected"];

impl Metrics {
    /// An event was committed, or was known.
    pub fn accepted(&self, lane: Lane, fresh: bool) {
        if fresh {
            self.accepted.get_or_create(&LaneLabel { lane: lane.as_str() }).inc();
        } else {
            self.duplicates.inc();
        }
    }

    /// An event was committed beside another one of its identity.
    pub fn identity_reused(&self) {
        self.identities_reused.inc();
    }

    /// An event was refused.
    pub fn refused(&self, code: RefusalCode) {
        self.refused.get_or_create(&CodeLabel { code: code.as_str() }).inc();
    }

    /// An event asks for nothing.
    pub fn asks_for_nothing(&self) {
        self.ignored.inc();
    }

    /// So many signed events wait for their senders' keys.
    pub fn signed_waiting(&self, events: usize) {
        self.signed_waiting.set(i64::try_from(events).unwrap_or(i64::MAX));
    }

    /// Targets lie beyond their sender's rate.
    pub fn held_back(&self, targets: usize) {
        self.held_back.inc_by(targets as u64);
    }

    /// The broker confirmed a denial.
    pub fn denied(&self, took: Duration) {
        self.denial.observe(took.as_secs_f64());
        self.taken[0].note(took);
    }

    /// A provider was called, whether or not the result could be recorded.
    pub fn attempted(&self, provider: &str, outcome: &'static str, took: Duration) {
        let provider = provider.to_owned();
        self.attempts.get_or_create(&AttemptLabels { provider: provider.clone(), outcome }).inc();
        self.calls.get_or_create(&ProviderLabel { provider }).observe(took.as_secs_f64());
    }

    /// A target is revoked, on record.
    pub fn revoked(&self, took: time::Duration) {
        let took = Duration::try_from_secs_f64(took.as_seconds_f64()).unwrap_or_default();
        self.revocation.observe(took.as_secs_f64());
        self.taken[1].note(took);
    }

    /// How long denials and revocations have taken since the last time; `None`: there were none.
    pub fn latencies(&self) -> Option<Latencies> {
        drained(&self.taken[0], &self.taken[1])
    }

    /// The figures of the page are read.
    pub fn looked(&self) {
        self.looks.inc();
    }

    /// The lease was not renewed.
    pub fn lease_not_renewed(&self) {
        self.lease_failures.inc();
    }

    /// Targets died of age.
    pub fn expired(&self, targets: u64) {
        self.expired.inc_by(targets);
    }

    /// Targets were taken over.
    pub fn taken_over(&self, targets: u64) {
        self.taken_over.inc_by(targets);
    }

    /// Reports of verifiers were dealt with.
    pub fn verifier_reported(&self, result: ReportResult, reports: u64) {
        let result = match result {
            ReportResult::Written => "written",
            ReportResult::Dropped => "dropped",
            ReportResult::CrowdedOut => "crowded_out",
            ReportResult::Unreadable => "unreadable",
        };
        self.verifier_reports.get_or_create(&ResultLabel { result }).inc_by(reports);
    }

    /// The log was folded into a snapshot, or that failed.
    pub fn folded(&self, done: bool) {
        self.snapshots.get_or_create(&ResultLabel { result: if done { "written" } else { "failed" } }).inc();
    }

    /// Has every series that there will be begin with 0.
    pub fn begin<'a>(&self, providers: impl Iterator<Item = &'a str>) {
        for lane in Lane::ALL {
            drop(self.accepted.get_or_create(&LaneLabel { lane: lane.as_str() }));
        }
        for code in RefusalCode::ALL {
            drop(self.refused.get_or_create(&CodeLabel { code: code.as_str() }));
        }
        for result in ["written", "dropped", "crowded_out", "unreadable"] {
            drop(self.verifier_reports.get_or_create(&ResultLabel { result }));
        }
        for result in ["written", "failed"] {
            drop(self.snapshots.get_or_create(&ResultLabel { result }));
        }
        for provider in providers.map(str::to_owned) {
            for outcome in OUTCOMES {
                drop(self.attempts.get_or_create(&AttemptLabels { provider: provider.clone(), outcome }));
            }
            drop(self.calls.get_or_create(&ProviderLabel { provider }));
        }
    }
}
