//! The tables of `status`: what each column shows of a row.

use crate::cli::output::{Column, or_dash};
use crate::store::{
    BacklogRow, DeadLetters, Incident, ProviderRow, RevocationRow, Undenied, VerifierRow, WorkerRow,
};

pub(super) const INCIDENTS: [Column<Incident>; 8] = [
    ("incident", |row| row.incident.clone()),
    ("state", |row| row.state.clone()),
    ("targets_received", |row| row.targets_received.to_string()),
    ("denied", |row| row.denied.to_string()),
    ("pending", |row| row.counts.pending.to_string()),
    ("parked", |row| row.counts.parked.to_string()),
    ("rate_per_s", |row| or_dash(&row.rate_per_s)),
    ("eta_seconds", |row| or_dash(&row.eta_seconds)),
];

pub(super) const UNDENIED: [Column<Undenied>; 5] = [
    ("incident", |row| row.incident.clone()),
    ("undenied", |row| row.undenied.to_string()),
    ("cancelled_by", |row| or_dash(&row.cancelled_by)),
    ("cancel_reason", |row| or_dash(&row.cancel_reason)),
    ("finished_at", |row| or_dash(&row.finished_at)),
];

pub(super) const BACKLOG: [Column<BacklogRow>; 6] = [
    ("provider", |row| row.provider.clone()),
    ("lane", |row| row.lane.clone()),
    ("state", |row| row.state.clone()),
    ("targets", |row| row.targets.to_string()),
    ("oldest_received_at", |row| or_dash(&row.oldest_received_at)),
    ("next_attempt_at", |row| or_dash(&row.next_attempt_at)),
];

pub(super) const PROVIDERS: [Column<ProviderRow>; 8] = [
    ("provider", |row| row.provider.clone()),
    ("breaker", |row| row.breaker.clone()),
    ("held_until", |row| or_dash(&row.held_until)),
    ("calls_5m", |row| or_dash(&row.calls_5m)),
    ("failures_5m", |row| or_dash(&row.failures_5m)),
    ("p50_ms_5m", |row| or_dash(&row.p50_ms_5m)),
    ("p95_ms_5m", |row| or_dash(&row.p95_ms_5m)),
    ("last_error", |row| or_dash(&row.last_error)),
];

pub(super) const WORKERS: [Column<WorkerRow>; 6] = [
    ("instance", |row| row.instance.clone()),
    ("version", |row| row.version.clone()),
    ("started_at", |row| row.started_at.clone()),
    ("last_seen_at", |row| row.last_seen_at.clone()),
    ("in_flight", |row| row.in_flight.to_string()),
    ("clock_offset_ms", |row| or_dash(&row.clock_offset_ms)),
];

pub(super) const DEAD_LETTERS: [Column<DeadLetters>; 3] = [
    ("messages", |row| row.messages.to_string()),
    ("many_since", |row| or_dash(&row.many_since)),
    ("seen_at", |row| row.seen_at.clone()),
];

pub(super) const VERIFIERS: [Column<VerifierRow>; 9] = [
    ("service", |row| row.service.clone()),
    ("instance", |row| row.instance.clone()),
    ("broker_user", |row| or_dash(&row.broker_user)),
    ("verified", |row| row.verified.to_string()),
    ("up_to_date", |row| row.up_to_date.to_string()),
    ("stale_reason", |row| or_dash(&row.stale_reason)),
    ("lag_seconds", |row| or_dash(&row.lag_seconds)),
    ("entries", |row| row.entries.to_string()),
    ("last_seen_at", |row| row.last_seen_at.clone()),
];

pub(super) const REVOCATIONS: [Column<RevocationRow>; 9] = [
    ("revocation_id", |row| row.revocation_id.clone()),
    ("provider", |row| row.provider.clone()),
    ("target_kind", |row| row.target_kind.clone()),
    ("token_type_hint", |row| or_dash(&row.token_type_hint)),
    ("state", |row| row.state.clone()),
    ("proof", |row| or_dash(&row.proof)),
    ("attempts", |row| row.attempts.to_string()),
    ("next_attempt_at", |row| or_dash(&row.next_attempt_at)),
    ("last_error", |row| or_dash(&row.last_error)),
];
