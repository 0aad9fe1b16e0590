//! Where logs go, and every metric. The fields of the log are in `docs/logging.md`.

mod labels;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use revocation_verifier::amqp::may_log;
use tracing::Level;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use self::labels::{
    AttemptLabels, BacklogLabels, CodeLabel, LaneLabel, ProbeLabels, ProviderLabel, ResultLabel, SideLabel,
    StateLabel,
};
use crate::config::LogConfig;
use crate::event::{Lane, RefusalCode};
use crate::store::{Backlog, VerifierCount};

/// The only source of logs that a setting can make chattier than warnings: libraries print message bodies and
/// credentials below that.
const OWN: &str = env!("CARGO_CRATE_NAME");

/// Sends logs to standard output, as JSON lines or for people.
pub fn log(config: &LogConfig) {
    let chosen = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // A filter of its own: among directives the more particular target wins, so that `lapin::channel=trace`
    // would undo a cap on `lapin`.
    let filter = chosen.and(filter_fn(|metadata| is_within_cap(metadata.target(), *metadata.level())));
    let layer = tracing_subscriber::fmt::layer().with_span_events(FmtSpan::NONE).with_writer(std::io::stdout);
    if config.json {
        tracing_subscriber::registry()
            .with(layer.json().flatten_event(true).with_current_span(false).with_filter(filter))
            .init();
    } else {
        tracing_subscriber::registry()
            .with(layer.with_ansi(false).with_target(false).with_filter(filter))
            .init();
    }
}

fn is_within_cap(target: &str, level: Level) -> bool {
    may_log(OWN, target, level)
}

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

/// The state of things that is read when `/metrics` is asked for.
pub struct Snapshot {
    /// Whether the consuming session is up.
    pub consuming: bool,
    /// Whether the publishing connection is up.
    pub publishing: bool,
    /// Whether the last call to Postgres succeeded.
    pub database: bool,
    /// Queue; its deliveries in hand, what they take in bytes, 1 if its window is full.
    pub in_hand: Vec<(&'static str, [usize; 3])>,
    /// By how many seconds this machine's clock is ahead of the database's, once that is known.
    pub clock_offset: Option<f64>,
    /// Provider, breaker, targets in memory.
    pub providers: Vec<(String, &'static str, usize)>,
    /// Provider, what its probes came to, how many so far.
    pub probes: Vec<(String, &'static str, u64)>,
}

fn seconds(buckets: &[f64]) -> Histogram {
    Histogram::new(buckets.iter().copied())
}

impl Metrics {
    /// Registers everything under the prefix `revocation`.
    pub fn new(version: &'static str) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("revocation"),
            accepted: Family::default(),
            duplicates: Counter::default(),
            identities_reused: Counter::default(),
            refused: Family::default(),
            held_back: Counter::default(),
            attempts: Family::default(),
            expired: Counter::default(),
            taken_over: Counter::default(),
            denial: seconds(&[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0]),
            revocation: seconds(&[
                0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 86400.0,
            ]),
            backlog: Family::default(),
            verifiers: Family::default(),
            verifier_reports: Family::default(),
            snapshots: Family::default(),
            awaiting_approval: Gauge::default(),
            dead: Gauge::default(),
            breaker: Family::default(),
            in_flight: Family::default(),
            probes: Family::default(),
            broker_up: Family::default(),
            database_up: Gauge::default(),
            in_hand: Default::default(),
            clock_offset: Gauge::default(),
        };
        metrics.register(version);
        metrics
    }

    fn register(&mut self, version: &'static str) {
        let r = &mut self.registry;
        r.register("build", "Version of the program", Info::new([("version", version)]));
        r.register("events_accepted", "Events committed for the first time, by lane", self.accepted.clone());
        r.register(
            "events_duplicate",
            "Events that were known already; not the second copy that the broker makes of a cutoff",
            self.duplicates.clone(),
        );
        r.register(
            "events_identity_reused",
            "Events committed beside another one of their identity",
            self.identities_reused.clone(),
        );
        r.register("events_refused", "Events refused, by code", self.refused.clone());
        r.register(
            "targets_over_rate",
            "Targets beyond their sender's rate, which wait for a second person",
            self.held_back.clone(),
        );
        r.register("attempts", "Provider calls, by provider and outcome", self.attempts.clone());
        r.register("targets_expired", "Targets whose token died of age first", self.expired.clone());
        r.register("targets_taken_over", "Targets taken over from dead workers", self.taken_over.clone());
        r.register_with_unit(
            "denial",
            "From receipt of an event to the broker's confirm of its denial",
            Unit::Seconds,
            self.denial.clone(),
        );
        r.register_with_unit(
            "revocation",
            "From receipt of an event to a target's revocation on record",
            Unit::Seconds,
            self.revocation.clone(),
        );
        r.register("backlog_targets", "Open targets in Postgres that no worker holds", self.backlog.clone());
        r.register(
            "verifiers",
            "Verifiers in Postgres: up_to_date, stale, or gone for 15 s to a day; live ones whose reports \
                nobody vouches for: unverified",
            self.verifiers.clone(),
        );
        r.register(
            "verifier_reports",
            "Verifiers' reports, by what became of them",
            self.verifier_reports.clone(),
        );
        r.register(
            "snapshots",
            "Snapshots of the log for verifiers that start: written, or failed",
            self.snapshots.clone(),
        );
        r.register(
            "incidents_awaiting_approval",
            "Incidents that wait for a second person",
            self.awaiting_approval.clone(),
        );
        r.register("dead_messages", "Refused messages that wait in revocation.dead", self.dead.clone());
        r.register("breaker", "0 closed, 1 half open, 2 open", self.breaker.clone());
        r.register("in_flight_targets", "Targets in this worker's memory", self.in_flight.clone());
        r.register(
            "probes",
            "Requests that name no target and show whether a provider accepts our credentials, by result",
            self.probes.clone(),
        );
        r.register("broker_up", "1 if the connection is up", self.broker_up.clone());
        r.register("database_up", "1 if the last call to Postgres succeeded", self.database_up.clone());
        r.register(
            "deliveries_in_hand",
            "Deliveries that are not acknowledged, by queue",
            self.in_hand[0].clone(),
        );
        r.register(
            "bytes_in_hand",
            "What those deliveries take in memory, by queue",
            self.in_hand[1].clone(),
        );
        r.register(
            "window_full",
            "1 if the queue's share of amqp.bytes_in_hand is used up and nothing moves",
            self.in_hand[2].clone(),
        );
        r.register_with_unit(
            "clock_offset",
            "By how much this machine's clock is ahead of the database's; NaN: not known yet",
            Unit::Seconds,
            self.clock_offset.clone(),
        );
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

    /// OpenMetrics text.
    pub fn encode(&self, snapshot: &Snapshot) -> String {
        for (side, up) in [("consume", snapshot.consuming), ("publish", snapshot.publishing)] {
            self.broker_up.get_or_create(&SideLabel { side }).set(i64::from(up));
        }
        self.database_up.set(i64::from(snapshot.database));
        for (queue, values) in &snapshot.in_hand {
            for (family, value) in self.in_hand.iter().zip(values) {
                family.get_or_create(&[("queue", *queue)]).set(i64::try_from(*value).unwrap_or(i64::MAX));
            }
        }
        self.clock_offset.set(snapshot.clock_offset.unwrap_or(f64::NAN));
        for (provider, breaker, in_flight) in &snapshot.providers {
            let label = ProviderLabel { provider: provider.clone() };
            self.breaker
                .get_or_create(&label)
                .set(["closed", "half_open"].iter().position(|state| state == breaker).unwrap_or(2) as i64);
            self.in_flight.get_or_create(&label).set(i64::try_from(*in_flight).unwrap_or(i64::MAX));
        }
        for (provider, result, count) in &snapshot.probes {
            self.probes
                .get_or_create(&ProbeLabels { provider: provider.clone(), result })
                .inner()
                .store(*count, Ordering::Relaxed);
        }
        let mut text = String::new();
        // Writing to a String cannot fail.
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_module_of_a_library_gets_past_the_cap() {
        for target in ["lapin", "lapin::channel", "amq_protocol::frame::parsing"] {
            assert!(is_within_cap(target, Level::ERROR) && !is_within_cap(target, Level::WARN), "{target}");
        }
        for target in ["sqlx::query", "hyper_util::client", "rustls", "revocation_worker_other"] {
            assert!(is_within_cap(target, Level::WARN) && !is_within_cap(target, Level::INFO), "{target}");
        }
        assert!(
            is_within_cap("revocation_worker", Level::TRACE)
                && is_within_cap("revocation_worker::app", Level::TRACE)
        );
    }
}
