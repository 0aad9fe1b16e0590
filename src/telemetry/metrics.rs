//! Every metric, and how it is counted.

mod count;
mod encode;
mod fleet;

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::labels::{
    AttemptLabels, CodeLabel, LaneLabel, ProbeLabels, ProviderLabel, ReasonLabels, ResultLabel, SideLabel,
    StateLabel,
};
use super::latencies::Taken;
use super::receiver::KeyFetches;

pub use encode::Snapshot;
pub use fleet::Fleet;

/// Limits of the times of calls, s.
const CALLS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

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
    /// What every program tells of its process, without our prefix.
    process: Registry,
    /// Figures of all workers together.
    pub fleet: Fleet,
    accepted: Family<LaneLabel, Counter>,
    duplicates: Counter,
    identities_reused: Counter,
    refused: Family<CodeLabel, Counter>,
    ignored: Counter,
    /// Fetches of senders' keys.
    pub key_fetches: KeyFetches,
    signed_waiting: Gauge,
    held_back: Counter,
    attempts: Family<AttemptLabels, Counter>,
    expired: Counter,
    taken_over: Counter,
    denial: Histogram,
    revocation: Histogram,
    calls: Family<ProviderLabel, Histogram, fn() -> Histogram>,
    taken: [Taken; 2],
    looks: Counter,
    lease_failures: Counter,
    verifier_reports: Family<ResultLabel, Counter>,
    snapshots: Family<ResultLabel, Counter>,
    breaker: Family<ProviderLabel, Gauge>,
    breaker_reason: Family<ReasonLabels, Gauge>,
    in_flight: Family<ProviderLabel, Gauge>,
    probes: Family<ProbeLabels, Counter>,
    broker_up: Family<SideLabel, Gauge>,
    database_up: Gauge,
    in_hand: [Family<[(&'static str, &'static str); 1], Gauge>; 3],
    oldest_unacknowledged: Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>,
    connections: Family<StateLabel, Gauge>,
    most_connections: Gauge,
    acquired: [Counter; 2],
    waited: Counter<f64, AtomicU64>,
    clock_offset: Gauge<f64, AtomicU64>,
    spans: Family<ResultLabel, Counter>,
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
    /// Registers everything under the prefix `revocation`, and `process_…`.
    pub fn new(version: &'static str) -> Self {
        let (mut registry, mut process) = (Registry::with_prefix("revocation"), Registry::default());
        revocation_http_server::register_process(&mut process);
        let r = &mut registry;
        r.register("build", "Version of the program", Info::new([("version", version)]));
        Self {
            process,
            fleet: Fleet::new(r),
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
            key_fetches: KeyFetches::registered(r),
            signed_waiting: add(r, "signed_waiting", "Signed events that wait for their sender's keys"),
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
            calls: in_seconds(
                r,
                "provider_call",
                "How long calls to a provider took",
                Family::new_with_constructor((|| Histogram::new(CALLS)) as fn() -> Histogram),
            ),
            taken: Default::default(),
            looks: add(r, "page_looks", "Times that the figures of the page were read from Postgres"),
            lease_failures: add(r, "lease_renewals_failed", "Renewals of this worker's lease that failed"),
            verifier_reports: add(r, "verifier_reports", "Verifiers' reports, by what became of them"),
            snapshots: add(
                r,
                "snapshots",
                "Snapshots of the log for verifiers that start: written, or failed",
            ),
            breaker: add(r, "breaker", "0 closed, 1 half open, 2 open"),
            breaker_reason: add(
                r,
                "breaker_reason",
                "1 for why a breaker is not closed: calls fail, a person has to mend something, or the \
                    provider asked to be left alone",
            ),
            in_flight: add(r, "in_flight_targets", "Targets in this worker's memory"),
            probes: add(
                r,
                "probes",
                "Requests that name no target and show whether a provider accepts our credentials, by result",
            ),
            broker_up: add(r, "broker_up", "1 if the connection is up"),
            database_up: add(
                r,
                "database_up",
                "1 if the last call to Postgres succeeded and it takes writes",
            ),
            in_hand: [
                add(r, "deliveries_in_hand", "Deliveries that are not acknowledged, by queue"),
                add(r, "bytes_in_hand", "What those deliveries take in memory, by queue"),
                add(
                    r,
                    "window_full",
                    "1 if the queue's share of amqp.bytes_in_hand is used up and nothing moves",
                ),
            ],
            oldest_unacknowledged: in_seconds(
                r,
                "oldest_unacknowledged",
                "Age of the oldest delivery that is not acknowledged, by queue; 0: there is none",
                Family::default(),
            ),
            connections: add(r, "database_connections", "Connections to Postgres, in use or idle"),
            most_connections: add(r, "database_connections_max", "Most connections to Postgres"),
            acquired: [
                add(r, "database_connections_acquired", "Connections that work was given"),
                add(r, "database_connections_refused", "Times that work got no connection in time"),
            ],
            waited: in_seconds(
                r,
                "database_connection_wait",
                "How long work waited for connections, all together",
                Counter::default(),
            ),
            clock_offset: in_seconds(
                r,
                "clock_offset",
                "By how much this machine's clock is ahead of the database's; NaN: not known yet",
                Gauge::default(),
            ),
            spans: add(
                r,
                "spans",
                "Spans of traces: exported, not_taken by the receiver, or dropped for want of room; none \
                    where telemetry.otlp_endpoint is not set",
            ),
            registry,
        }
    }
}
