//! The tables of `status`: what each column shows of a row.

use serde_json::Number;

use crate::attention::breaker;
use crate::cli::table::{Cell, Column, column, due, error, number, rounded, text, time, wide, word};
use crate::store::{
    BacklogRow, DeadLetters, Incident, ProviderRow, RevocationRow, Undenied, VerifierRow, WorkerRow,
};

pub(super) const INCIDENTS: [Column<Incident>; 9] = [
    column("incident", |row| text(&row.incident)),
    column("state", |row| word(&row.state)),
    column("received", |row| number(row.targets_received)),
    column("denied", |row| number(row.denied)),
    column("pending", |row| number(row.counts.pending)),
    column("parked", |row| number(row.counts.parked)),
    wide("unsupported", |row| number(row.counts.unsupported)),
    column("per s", |row| rounded(row.pace().0)),
    wide("left s", |row| rounded(row.pace().1)),
];

pub(super) const UNDENIED: [Column<Undenied>; 5] = [
    column("incident", |row| text(&row.incident)),
    column("undenied", |row| number(row.undenied)),
    column("cancelled by", |row| text(row.cancelled_by.as_ref())),
    column("reason", |row| text(row.cancel_reason.as_ref())),
    column("finished", |row| time(row.finished_at.as_ref())),
];

pub(super) const BACKLOG: [Column<BacklogRow>; 6] = [
    column("provider", |row| text(&row.provider)),
    column("lane", |row| word(&row.lane)),
    column("state", |row| word(&row.state)),
    column("targets", |row| number(row.targets)),
    column("oldest", |row| time(row.oldest_received_at.as_ref())),
    column("next attempt", |row| due(row.next_attempt_at.as_ref())),
];

pub(super) const PROVIDERS: [Column<ProviderRow>; 8] = [
    column("provider", |row| text(&row.provider)),
    column("breaker", |row| Cell::Word(breaker(&row.breaker, row.reason.as_deref()))),
    column("held until", |row| time(row.held_until.as_ref())),
    column("calls 5m", |row| number(row.calls_5m)),
    column("failed", |row| number(row.failures_5m)),
    wide("p50 ms", |row| measured(&row.p50_ms_5m)),
    column("p95 ms", |row| measured(&row.p95_ms_5m)),
    column("last error", |row| error(row.last_error.as_ref())),
];

pub(super) const WORKERS: [Column<WorkerRow>; 6] = [
    column("instance", |row| text(&row.instance)),
    column("version", |row| text(&row.version)),
    column("started", |row| time(&row.started_at)),
    column("last seen", |row| time(&row.last_seen_at)),
    column("in flight", |row| number(row.in_flight)),
    column("clock ms", |row| row.clock_offset_ms.map_or(Cell::Nothing, |ms| Cell::Number(ms.to_string()))),
];

pub(super) const DEAD_LETTERS: [Column<DeadLetters>; 3] = [
    column("messages", |row| number(row.messages)),
    column("many since", |row| time(row.many_since.as_ref())),
    column("seen", |row| time(&row.seen_at)),
];

pub(super) const VERIFIERS: [Column<VerifierRow>; 8] = [
    column("service", |row| text(&row.service)),
    column("instance", |row| text(&row.instance)),
    column("broker user", |row| text(row.broker_user.as_ref())),
    column("vouched", |row| Cell::Word(if row.verified { "verified" } else { "unverified" }.to_owned())),
    column("state", |row| Cell::Word(row.standing())),
    wide("lag s", |row| measured(&row.lag_seconds)),
    column("entries", |row| number(row.entries)),
    column("last seen", |row| time(&row.last_seen_at)),
];

pub(super) const REVOCATIONS: [Column<RevocationRow>; 9] = [
    wide("revocation_id", |row| text(&row.revocation_id)),
    column("provider", |row| text(&row.provider)),
    column("kind", |row| word(&row.target_kind)),
    column("hint", |row| word(row.token_type_hint.as_ref())),
    column("state", |row| word(&row.state)),
    column("proof", |row| word(row.proof.as_ref())),
    column("tries", |row| number(row.attempts)),
    column("next attempt", |row| due(row.next_attempt_at.as_ref())),
    wide("last error", |row| error(row.last_error.as_ref())),
];

fn measured(number: &Option<Number>) -> Cell {
    rounded(number.as_ref().and_then(Number::as_f64))
}
