//! Recording: what came of attempts and denials, many in one statement, one commit.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError, WorkerNo};
use crate::outcome::Settlement;
use crate::target::TargetId;

/// One provider call, finished.
pub struct Attempt {
    /// The target.
    pub id: TargetId,
    /// The number under which it was put on record before the request was sent.
    pub number: i32,
    /// When the request began.
    pub started_at: OffsetDateTime,
    /// How long it took.
    pub duration: Duration,
    /// `revoked`, `already_invalid`, `transient`, `misconfigured` or `rejected`.
    pub outcome: &'static str,
    /// HTTP status, where there was a response.
    pub http_status: Option<u16>,
    /// Why it failed.
    pub error: Option<String>,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// An attempt and what it means for its target.
pub struct Closing {
    /// The call.
    pub attempt: Attempt,
    /// The target's next state.
    pub settlement: Settlement,
    /// When the target was known to be dead at the provider.
    pub revoked_at: Option<OffsetDateTime>,
    /// When the broker confirmed the `confirmed` message.
    pub confirmed_at: Option<OffsetDateTime>,
    /// A later cutoff than the event's, and until when it denies.
    pub moved: Option<Cutoff>,
}

/// A cutoff: what was issued at or before `at` is denied until `deny_until`.
#[derive(Clone, Copy)]
pub struct Cutoff {
    /// The last issue that it denies.
    pub at: OffsetDateTime,
    /// When the last of those tokens has expired.
    pub deny_until: OffsetDateTime,
}

/// `revocation.new_answer`.
#[derive(sqlx::Encode)]
struct ResultRow<'a> {
    event_id: Uuid,
    ordinal: i16,
    attempt: i32,
    started_at: OffsetDateTime,
    duration_ms: i32,
    outcome: &'a str,
    http_status: Option<i16>,
    error: Option<&'a str>,
    retry_after_ms: Option<i64>,
    state: &'a str,
    proof: Option<&'a str>,
    spent: bool,
    due_in: Option<f64>,
    revoked_at: Option<OffsetDateTime>,
    confirmed_at: Option<OffsetDateTime>,
    finished_at: Option<OffsetDateTime>,
    cutoff: Option<OffsetDateTime>,
    deny_until: Option<OffsetDateTime>,
    denied_at: Option<OffsetDateTime>,
}

composite!(ResultRow<'_>, "revocation.new_answer");

impl<'a> ResultRow<'a> {
    fn of(closing: &'a Closing, denied_at: Option<OffsetDateTime>) -> Self {
        let Closing { attempt, settlement, revoked_at, confirmed_at, moved } = closing;
        let ended_at = attempt.started_at + attempt.duration;
        Self {
            event_id: attempt.id.event,
            ordinal: attempt.id.ordinal,
            attempt: attempt.number,
            started_at: attempt.started_at,
            duration_ms: i32::try_from(attempt.duration.as_millis()).unwrap_or(i32::MAX),
            outcome: attempt.outcome,
            http_status: attempt.http_status.and_then(|status| i16::try_from(status).ok()),
            error: attempt.error.as_deref(),
            retry_after_ms: attempt
                .retry_after
                .map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)),
            state: settlement.state.as_str(),
            proof: settlement.proof.map(|proof| proof.as_str()),
            spent: settlement.spent,
            due_in: settlement.due_in.map(|wait| wait.as_secs_f64()),
            revoked_at: *revoked_at,
            confirmed_at: *confirmed_at,
            finished_at: settlement.state.is_final().then_some(ended_at),
            cutoff: moved.map(|cutoff| cutoff.at),
            deny_until: moved.map(|cutoff| cutoff.deny_until),
            denied_at,
        }
    }
}

impl Store {
    /// Writes finished attempts with their targets' next states, and when events were denied. Returns the
    /// targets whose state was written: one that is missing had been taken over by another worker, and only
    /// the attempt was added to the record.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was written, or the outcome is unknown and the same call may be repeated.
    pub async fn record(
        &self,
        worker: WorkerNo,
        closings: &[Closing],
        denied: &[(Uuid, OffsetDateTime)],
    ) -> Result<Vec<TargetId>, StoreError> {
        // Sorted by identity, so that two recorders never wait for each other in a circle.
        let known: HashMap<_, _> = denied.iter().copied().collect();
        let denied_at = |closing: &Closing| known.get(&closing.attempt.id.event).copied();
        let mut results: Vec<_> =
            closings.iter().map(|closing| ResultRow::of(closing, denied_at(closing))).collect();
        results.sort_unstable_by_key(|row| (row.event_id, row.ordinal, row.attempt));
        let mut denied = denied.to_vec();
        denied.sort_unstable();
        let (denied, denied_at): (Vec<_>, Vec<_>) = denied.into_iter().unzip();
        within!(self, "record results", |connection| {
            write(connection, worker, &results, (&denied, &denied_at)).await
        })
    }
}

async fn write(
    connection: &mut PgConnection,
    worker: WorkerNo,
    results: &[ResultRow<'_>],
    (denied, denied_at): (&[Uuid], &[OffsetDateTime]),
) -> Result<Vec<TargetId>, sqlx::Error> {
    sqlx::query_file_as!(TargetId, "src/store/record.sql", worker.0, results as _, denied, denied_at)
        .fetch_all(connection)
        .await
}
