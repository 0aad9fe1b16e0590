//! Recording: what came of attempts and denials, many in one statement, one commit.

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

#[derive(Default)]
struct Columns<'a> {
    event: Vec<Uuid>,
    ordinal: Vec<i16>,
    attempt: Vec<i32>,
    started_at: Vec<OffsetDateTime>,
    duration_ms: Vec<i32>,
    outcome: Vec<&'a str>,
    http_status: Vec<Option<i16>>,
    error: Vec<Option<&'a str>>,
    retry_after_ms: Vec<Option<i64>>,
    state: Vec<&'a str>,
    proof: Vec<Option<&'a str>>,
    spent: Vec<bool>,
    due_in: Vec<Option<f64>>,
    revoked_at: Vec<Option<OffsetDateTime>>,
    confirmed_at: Vec<Option<OffsetDateTime>>,
    finished_at: Vec<Option<OffsetDateTime>>,
    cutoff: Vec<Option<OffsetDateTime>>,
    deny_until: Vec<Option<OffsetDateTime>>,
    denied: Vec<Uuid>,
    denied_at: Vec<OffsetDateTime>,
}

impl<'a> Columns<'a> {
    /// Sorted by identity, so that two recorders never wait for each other in a circle.
    fn collect(closings: &'a [Closing], denied: &[(Uuid, OffsetDateTime)]) -> Self {
        let mut columns = Self::default();
        let mut sorted: Vec<_> = closings.iter().collect();
        sorted.sort_unstable_by_key(|closing| (closing.attempt.id, closing.attempt.number));
        for closing in sorted {
            columns.push_attempt(&closing.attempt);
            columns.push_settlement(closing);
        }
        let mut denied = denied.to_vec();
        denied.sort_unstable();
        (columns.denied, columns.denied_at) = denied.into_iter().unzip();
        columns
    }

    fn push_attempt(&mut self, attempt: &'a Attempt) {
        self.event.push(attempt.id.event);
        self.ordinal.push(attempt.id.ordinal);
        self.attempt.push(attempt.number);
        self.started_at.push(attempt.started_at);
        self.duration_ms.push(i32::try_from(attempt.duration.as_millis()).unwrap_or(i32::MAX));
        self.outcome.push(attempt.outcome);
        self.http_status.push(attempt.http_status.and_then(|status| i16::try_from(status).ok()));
        self.error.push(attempt.error.as_deref());
        self.retry_after_ms
            .push(attempt.retry_after.map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
    }

    fn push_settlement(&mut self, closing: &'a Closing) {
        let settlement = &closing.settlement;
        let ended_at = closing.attempt.started_at + closing.attempt.duration;
        self.state.push(settlement.state.as_str());
        self.proof.push(settlement.proof.map(|proof| proof.as_str()));
        self.spent.push(settlement.spent);
        self.due_in.push(settlement.due_in.map(|wait| wait.as_secs_f64()));
        self.revoked_at.push(closing.revoked_at);
        self.confirmed_at.push(closing.confirmed_at);
        self.finished_at.push(settlement.state.is_final().then_some(ended_at));
        self.cutoff.push(closing.moved.map(|cutoff| cutoff.at));
        self.deny_until.push(closing.moved.map(|cutoff| cutoff.deny_until));
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
        let columns = Columns::collect(closings, denied);
        within!(self, "record results", |connection| write(connection, worker, &columns).await)
    }
}

/// Owner and state are compared with columns, not with values: a value would let the planner take the small
/// index of all that is leased and read it once a row, where the target's own key finds it at once.
async fn write(
    connection: &mut PgConnection,
    worker: WorkerNo,
    c: &Columns<'_>,
) -> Result<Vec<TargetId>, sqlx::Error> {
    sqlx::query_as!(
        TargetId,
        r#"WITH r AS MATERIALIZED (
            SELECT *, $1::integer AS owner, 'pending' AS open FROM unnest($2::uuid[], $3::smallint[], $4::integer[], $5::timestamptz[], $6::integer[], $7::text[], $8::smallint[],
                $9::text[], $10::bigint[], $11::text[], $12::text[], $13::boolean[], $14::float8[], $15::timestamptz[], $16::timestamptz[],
                $17::timestamptz[], $20::timestamptz[], $21::timestamptz[])
                AS r (event_id, ordinal, attempt, started_at, duration_ms, outcome, http_status, error, retry_after_ms, state, proof, spent,
                    due_in, revoked_at, confirmed_at, finished_at, cutoff, deny_until)
        ), closed AS (
            INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at, duration_ms, outcome, http_status,
                error, retry_after_ms)
            SELECT event_id, ordinal, attempt, true, $1, started_at, duration_ms, outcome, http_status, error, retry_after_ms FROM r
            ON CONFLICT DO NOTHING
        ), denied AS (
            UPDATE revocation.events e SET denied_at = coalesce(e.denied_at, d.at), deny_at = NULL
            FROM unnest($18::uuid[], $19::timestamptz[]) AS d (event_id, at)
            WHERE e.event_id = d.event_id
        )
        UPDATE revocation.targets t
        SET state = r.state, proof = r.proof, failures = CASE WHEN r.spent THEN t.failures + 1 ELSE t.failures END,
            due_at = CASE WHEN r.finished_at IS NULL THEN now() + make_interval(secs => r.due_in) END,
            lease_owner = NULL, leased_at = NULL, last_worker = $1,
            last_outcome = r.outcome, last_http_status = r.http_status, last_error = r.error,
            sealed = CASE WHEN r.finished_at IS NULL THEN t.sealed END, sealed_key = CASE WHEN r.finished_at IS NULL THEN t.sealed_key END,
            revoked_at = r.revoked_at, confirmed_at = r.confirmed_at, finished_at = r.finished_at,
            cutoff = coalesce(r.cutoff, t.cutoff), deny_until = coalesce(r.deny_until, t.deny_until)
        FROM r
        WHERE t.event_id = r.event_id AND t.ordinal = r.ordinal AND t.lease_owner IS NOT DISTINCT FROM r.owner AND t.attempts = r.attempt AND t.state = r.open
        RETURNING t.event_id AS event, t.ordinal"#,
        worker.0,
        &c.event,
        &c.ordinal,
        &c.attempt,
        &c.started_at,
        &c.duration_ms,
        &c.outcome as &[&str],
        &c.http_status as &[Option<i16>],
        &c.error as &[Option<&str>],
        &c.retry_after_ms as &[Option<i64>],
        &c.state as &[&str],
        &c.proof as &[Option<&str>],
        &c.spent,
        &c.due_in as &[Option<f64>],
        &c.revoked_at as &[Option<OffsetDateTime>],
        &c.confirmed_at as &[Option<OffsetDateTime>],
        &c.finished_at as &[Option<OffsetDateTime>],
        &c.denied,
        &c.denied_at,
        &c.cutoff as &[Option<OffsetDateTime>],
        &c.deny_until as &[Option<OffsetDateTime>],
    )
    .fetch_all(connection)
    .await
}
