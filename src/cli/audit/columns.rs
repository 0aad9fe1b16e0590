//! The tables of `audit`: what each column shows of a row.

use serde_json::Value;

use crate::cli::output::cell;
use crate::cli::table::{Cell, Column, column, wide};
use crate::store::AuditRow;

/// So many digits of a digest tell one token from another.
const DIGITS: usize = 12;

pub(super) const REVOCATIONS: [Column<AuditRow>; 25] = [
    column("received", |row| time(row, "received_at")),
    column("provider", |row| text(row, "provider")),
    column("kind", |row| word(row, "target_kind")),
    wide("hint", |row| word(row, "token_type_hint")),
    column("target", target),
    column("state", |row| word(row, "state")),
    column("proof", |row| word(row, "proof")),
    column("tries", |row| number(row, "attempts")),
    column("last error", |row| error(row, "last_error")),
    wide("sub", |row| text(row, "sub")),
    wide("sid", |row| text(row, "sid")),
    wide("client_id", |row| text(row, "client_id")),
    wide("iss", |row| text(row, "iss")),
    wide("incident", |row| text(row, "incident")),
    wide("reason", |row| text(row, "reason")),
    wide("actor", |row| text(row, "actor")),
    wide("denied", |row| time(row, "denied_at")),
    wide("finished", |row| time(row, "finished_at")),
    wide("confirmed", |row| time(row, "confirmed_at")),
    wide("next attempt", |row| time(row, "next_attempt_at")),
    wide("expires", |row| time(row, "token_expires_at")),
    wide("event_source", |row| text(row, "event_source")),
    wide("event_id", |row| text(row, "event_id")),
    wide("trace_id", |row| text(row, "trace_id")),
    wide("revocation_id", |row| text(row, "revocation_id")),
];

/// Of what needs a person: by which id `target` and `retry` take it.
pub(super) const PARKED: [Column<AuditRow>; 5] = [
    column("revocation_id", |row| word(row, "revocation_id")),
    column("provider", |row| text(row, "provider")),
    column("kind", |row| word(row, "target_kind")),
    column("tries", |row| number(row, "attempts")),
    column("last error", |row| error(row, "last_error")),
];

pub(super) const ATTEMPTS: [Column<AuditRow>; 9] = [
    column("started", |row| time(row, "started_at")),
    column("revocation_id", |row| text(row, "revocation_id")),
    column("try", |row| number(row, "attempt")),
    column("outcome", outcome),
    column("http", |row| number(row, "http_status")),
    column("ms", |row| number(row, "duration_ms")),
    wide("wait ms", |row| number(row, "retry_after_ms")),
    column("worker", |row| text(row, "worker")),
    column("error", |row| error(row, "error")),
];

/// What the target is: of a token, the first digits of its digest.
fn target(row: &AuditRow) -> Cell {
    let member = match told(row, "target_kind").as_deref() {
        Some("token") => {
            let digest = told(row, "token_sha256").unwrap_or_default();
            return Cell::Word(digest.chars().take(DIGITS).collect());
        }
        Some("session") => "sid",
        Some("subject") => "sub",
        Some("client") => "client_id",
        _ => "iss",
    };
    text(row, member)
}

/// An attempt without an outcome is under way.
fn outcome(row: &AuditRow) -> Cell {
    Cell::Word(told(row, "outcome").unwrap_or_else(|| "under_way".to_owned()))
}

fn text(row: &AuditRow, name: &str) -> Cell {
    told(row, name).map_or(Cell::Nothing, Cell::Text)
}

fn error(row: &AuditRow, name: &str) -> Cell {
    told(row, name).map_or(Cell::Nothing, Cell::Error)
}

fn word(row: &AuditRow, name: &str) -> Cell {
    told(row, name).map_or(Cell::Nothing, Cell::Word)
}

fn time(row: &AuditRow, name: &str) -> Cell {
    told(row, name).map_or(Cell::Nothing, Cell::Time)
}

fn number(row: &AuditRow, name: &str) -> Cell {
    told(row, name).map_or(Cell::Nothing, Cell::Number)
}

fn told(row: &AuditRow, name: &str) -> Option<String> {
    row.get(name).filter(|value| **value != Value::Null).map(cell)
}
