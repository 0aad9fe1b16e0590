//! Every metric, and how it is counted.

mod encode;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::labels::{
    AttemptLabels, BacklogLabels, CodeLabel, LaneLabel, ProbeLabels, ProviderLabel, ResultLabel, SideLabel,
    StateLabel,
};
use crate::event::{Lane, RefusalCode};
use crate::store::{Backlog, VerifierCount};

pub use encode::Snapshot;

/// What became of a verifier's report.
#[derive(Clone, Copy, Debug)]
pub enum ReportResult {
    /// Handed to Postgres.
    Written,
    /// Postgres was away.
    Dropped,
    /// Of a new name, where its user has as many rows as one may have, or all have.
    CrowdedOut,
    /// No report of a verifier.
    Unreadable,
}

/// What `/metrics` shows. Labels never hold a user, a session or a token.
pub struct Metrics {
    registry: Registry,
    accepted: Family<LaneLabel, Counter>,
    duplicates: Counter,
    identities_reused: Counter,
    refused: Family<CodeLabel, Counter>,
    ignored: Counter,
    held_back: Counter,
    attempts: Family<AttemptLabels, Counter>,
    expired: Counter,
    taken_over: Counter,
    denial: Histogram,
    revocation: Histogram,
    backlog: Family<BacklogLabels, Gauge>,
    verifiers: Family<StateLabel, Gauge>,
    verifier_reports: Family<ResultLabel, Counter>,
    snapshots: Family<ResultLabel, Counter>,
    awaiting_approval: Gauge,
    dead: Gauge,
    breaker: Family<ProviderLabel, Gauge>,
    in_flight: Family<ProviderLabel, Gauge>,
    probes: Family<ProbeLabels, Counter>,
    broker_up: Family<SideLabel, Gauge>,
    database_up: Gauge,
    in_hand: [Family<[(&'static str, &'static str); 1], Gauge>; 3],
    clock_offset: Gauge<f64, AtomicU64>,
}

/// A new metric, registered.
fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// The same in seconds.
fn in_seconds<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

/// A histogram of times, with these limits in seconds.
fn timed(registry: &mut Registry, name: &str, help: &str, limits: &[f64]) -> Histogram {
    in_seconds(registry, name, help, Histogram::new(limits.iter().copied()))
}

impl Metrics {
    /// Registers everything under the prefix `revocation`.
    pub fn new(version: &'static str) -> Self {
        let mut registry = Registry::with_prefix("revocation");
        let r = &mut registry;
        r.register("build", "Version of the program", Info::new([("version", version)]));
        Self {
            accepted: add(r, "events_accepted", "Events committed for the first time, by lane"),
            duplicates: add(
                r,
                "events_duplicate",
                "Events that were known already; not the second copy that the broker makes of a cutoff",
            ),
            identities_reused: add(
                r,
                "events_identity_reused",
                "Events committed beside another one of their identity",
            ),
            refused: add(r, "events_refused", "Events refused, by code"),
            ignored: add(r, "events_ignored", "Events of a known kind that ask for nothing"),
            held_back: add(
                r,
                "targets_over_rate",
                "Targets beyond their sender's rate, which wait for a second person",
            ),
            attempts: add(r, "attempts", "Provider calls, by provider and outcome"),
            expired: add(r, "targets_expired", "Targets whose token died of age first"),
            taken_over: add(r, "targets_taken_over", "Targets taken over from dead workers"),
            denial: timed(
                r,
                "denial",
                "From receipt of an event to the broker's confirm of its denial",
                &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0],
            ),
            revocation: timed(
                r,
                "revocation",
                "From receipt of an event to a target's revocation on record",
                &[0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 86400.0],
            ),
            backlog: add(r, "backlog_targets", "Open targets in Postgres that no worker holds"),
            verifiers: add(
                r,
                "verifiers",
                "Verifiers in Postgres: up_to_date, stale, or gone for 15 s to a day; live ones whose \
                    reports nobody vouches for: unverified",
            ),
            verifier_reports: add(r, "verifier_reports", "Verifiers' reports, by what became of them"),
            snapshots: add(
                r,
                "snapshots",
                "Snapshots of the log for verifiers that start: written, or failed",
            ),
            awaiting_approval: add(
                r,
                "incidents_awaiting_approval",
                "Incidents that wait for a second person",
            ),
            dead: add(r, "dead_messages", "Refused messages that wait in revocation.dead"),
            breaker: add(r, "breaker", "0 closed, 1 half open, 2 open"),
            in_flight: add(r, "in_flight_targets", "Targets in this worker's memory"),
            probes: add(
                r,
                "probes",
                "Requests that name no target and show whether a provider accepts our credentials, by result",
            ),
            broker_up: add(r, "broker_up", "1 if the connection is up"),
            database_up: add(r, "database_up", "1 if the last call to Postgres succeeded"),
            in_hand: [
                add(r, "deliveries_in_hand", "Deliveries that are not acknowledged, by queue"),
                add(r, "bytes_in_hand", "What those deliveries take in memory, by queue"),
                add(
                    r,
                    "window_full",
                    "1 if the queue's share of amqp.bytes_in_hand is used up and nothing moves",
                ),
            ],
            clock_offset: in_seconds(
                r,
                "clock_offset",
                "By how much this machine's clock is ahead of the database's; NaN: not known yet",
                Gauge::default(),
            ),
            registry,
        }
    }

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

    /// Targets lie beyond their sender's rate.
    pub fn held_back(&self, targets: usize) {
        self.held_back.inc_by(targets as u64);
    }

    /// The broker confirmed a denial.
    pub fn denied(&self, took: Duration) {
        self.denial.observe(took.as_secs_f64());
    }

    /// A provider was called, whether or not the result could be recorded.
    pub fn attempted(&self, provider: &str, outcome: &'static str) {
        self.attempts.get_or_create(&AttemptLabels { provider: provider.to_owned(), outcome }).inc();
    }

    /// A target is revoked, on record.
    pub fn revoked(&self, took: time::Duration) {
        self.revocation.observe(took.as_seconds_f64().max(0.0));
    }

    /// Targets died of age.
    pub fn expired(&self, targets: u64) {
        self.expired.inc_by(targets);
    }

    /// Targets were taken over.
    pub fn taken_over(&self, targets: u64) {
        self.taken_over.inc_by(targets);
    }

    /// Replaces the backlog gauges.
    pub fn set_backlog(&self, backlog: &[Backlog]) {
        self.backlog.clear();
        for Backlog { provider, lane, state, targets } in backlog {
            let labels =
                BacklogLabels { provider: provider.clone(), lane: lane.clone(), state: state.clone() };
            self.backlog.get_or_create(&labels).set(*targets);
        }
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

    /// Replaces the verifiers' gauges.
    pub fn set_verifiers(&self, VerifierCount { up_to_date, stale, gone, unverified }: VerifierCount) {
        for (state, verifiers) in
            [("up_to_date", up_to_date), ("stale", stale), ("gone", gone), ("unverified", unverified)]
        {
            self.verifiers.get_or_create(&StateLabel { state }).set(verifiers);
        }
    }

    /// So many incidents wait for a second person.
    pub fn set_awaiting_approval(&self, incidents: usize) {
        self.awaiting_approval.set(i64::try_from(incidents).unwrap_or(i64::MAX));
    }

    /// So many messages wait in `revocation.dead`.
    pub fn set_dead(&self, messages: u32) {
        self.dead.set(messages.into());
    }
}
