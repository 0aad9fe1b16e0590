//! Who is alive. A worker's lease covers all it holds; one that stops renewing it is taken over by the
//! others.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::{Store, StoreError};
use crate::clock::{Offset, Reading};
use crate::target::TargetId;

/// A worker process's number in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerNo(pub i32);

/// What a worker says of itself.
pub struct Registration<'a> {
    /// Name in the audit views.
    pub instance: &'a str,
    /// Version of the program.
    pub version: &'a str,
    /// How long its work stays its own without a sign of life.
    pub lease: Duration,
}

/// What a worker sees of a provider, for `audit.providers`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProviderStatus {
    /// Its name.
    pub provider: String,
    /// `closed`, `open` or `half_open`.
    pub breaker: &'static str,
    /// Time of the last success.
    pub last_success_at: Option<OffsetDateTime>,
    /// Time of the last failure.
    pub last_failure_at: Option<OffsetDateTime>,
    /// Text of the last failure.
    pub last_error: Option<String>,
    /// Calls in the last five minutes.
    pub calls_5m: i64,
    /// Of those, failures.
    pub failures_5m: i64,
    /// Median duration, ms.
    pub p50_ms_5m: Option<f64>,
    /// 95th percentile, ms.
    pub p95_ms_5m: Option<f64>,
    /// For how long the provider asked to be left alone.
    pub held_for: Option<Duration>,
    /// The last of operators' orders that the worker has followed: a wait from before a later one is over.
    pub order_no: i64,
}

/// A leased target on its way back, unsent.
pub struct Release {
    /// The target.
    pub id: TargetId,
    /// The attempt that was on record.
    pub attempt: i32,
    /// For how long the worker has held it: a lease that is younger is another one, which bears the same
    /// number.
    pub held_for: Duration,
}

/// Most targets that one statement takes from a dead worker.
const TAKEOVER_BATCH: i64 = 1000;

impl Store {
    /// Enters this process among the workers; reads the database's clock by the way.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn register(&self, worker: &Registration<'_>) -> Result<(WorkerNo, Reading), StoreError> {
        let (instance, version, lease) = (worker.instance, worker.version, worker.lease.as_secs_f64());
        within!(self, "register the worker", |c| {
            let sent = Instant::now();
            let entered = sqlx::query!(
                r#"INSERT INTO revocation.workers (instance, version, lease_until)
                     VALUES ($1, $2, now() + make_interval(secs => $3)) RETURNING worker_no, clock_timestamp() AS "database!""#,
                instance,
                version,
                lease
            );
            let entered = entered.fetch_one(c).await;
            entered.map(|row| {
                (WorkerNo(row.worker_no), Reading { sent, database: row.database, received: Instant::now() })
            })
        })
    }

    /// Renews the worker's lease, also one that had run out: what was taken over meanwhile is fenced by each
    /// target's own owner and attempt. Notes how the worker's clock stood at the last reading, and reads the
    /// database's again; `None` where nobody knows the worker.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn renew(
        &self,
        worker: WorkerNo,
        lease: Duration,
        in_flight: i32,
        clock: Option<Offset>,
    ) -> Result<Option<Reading>, StoreError> {
        within!(self, "renew the worker's lease", |c| {
            let sent = Instant::now();
            let renewed = sqlx::query_scalar!(
                r#"UPDATE revocation.workers
                     SET last_seen_at = now(), lease_until = now() + make_interval(secs => $2), in_flight = $3, ended_at = NULL,
                         clock_offset_ms = coalesce($4, clock_offset_ms)
                     WHERE worker_no = $1 RETURNING clock_timestamp() AS "database!""#,
                worker.0,
                lease.as_secs_f64(),
                in_flight,
                clock.map(|offset| offset.millis()) as Option<i64>
            );
            let renewed = renewed.fetch_optional(c).await;
            renewed
                .map(|database| database.map(|database| Reading { sent, database, received: Instant::now() }))
        })
    }

    /// Writes how many messages the worker sees in `revocation.dead`, and whether they are many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_dead(&self, worker: WorkerNo, messages: u32, are_many: bool) -> Result<(), StoreError> {
        within!(self, "note what waits in revocation.dead", |c| {
            sqlx::query!(
                "UPDATE revocation.workers SET dead_messages = $2, dead_seen_at = now(),
                     many_dead_since = CASE WHEN $3 THEN coalesce(many_dead_since, now()) END
                     WHERE worker_no = $1",
                worker.0,
                i64::from(messages),
                are_many
            )
            .execute(c)
            .await
            .map(drop)
        })
    }

    /// Writes what the worker sees of its providers.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn report_providers(
        &self,
        worker: WorkerNo,
        seen: &[ProviderStatus],
    ) -> Result<(), StoreError> {
        within!(self, "report on the providers", |c| {
            for s in seen {
                sqlx::query!(
                    "INSERT INTO revocation.provider_status AS p (worker_no, provider, breaker, \
                            last_success_at, last_failure_at, last_error,
                             calls_5m, failures_5m, p50_ms_5m, p95_ms_5m, held_until, order_no, waits_since)
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now() + make_interval(secs => \
                         $11), $12,
                             CASE WHEN $3 <> 'closed' THEN now() END)
                         ON CONFLICT (worker_no, provider) DO UPDATE SET breaker = excluded.breaker, \
                         last_success_at = excluded.last_success_at,
                             last_failure_at = excluded.last_failure_at, last_error = excluded.last_error, \
                             calls_5m = excluded.calls_5m,
                             failures_5m = excluded.failures_5m, p50_ms_5m = excluded.p50_ms_5m, p95_ms_5m = \
                             excluded.p95_ms_5m,
                             held_until = excluded.held_until, order_no = excluded.order_no,
                             waits_since = CASE WHEN excluded.breaker <> 'closed' THEN \
                             coalesce(p.waits_since, excluded.waits_since) END",
                    worker.0,
                    s.provider,
                    s.breaker,
                    s.last_success_at,
                    s.last_failure_at,
                    s.last_error,
                    s.calls_5m,
                    s.failures_5m,
                    s.p50_ms_5m,
                    s.p95_ms_5m,
                    s.held_for.map(|wait| wait.as_secs_f64()) as Option<f64>,
                    s.order_no
                )
                .execute(&mut *c)
                .await?;
            }
            Ok(())
        })
    }

    /// Workers whose lease has run out: those not yet marked as ended, and those ended within the hour, which
    /// may have left a late commit behind.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn dead_workers(&self) -> Result<Vec<WorkerNo>, StoreError> {
        within!(self, "look for dead workers", |c| {
            sqlx::query_scalar!(
                "SELECT worker_no FROM revocation.workers
                     WHERE lease_until < now() AND (ended_at IS NULL OR ended_at > now() - interval '1 hour')"
            )
            .fetch_all(c)
            .await
            .map(|numbers| numbers.into_iter().map(WorkerNo).collect())
        })
    }

    /// Takes everything from a dead worker: its open attempts are closed as `unknown`, its targets are due
    /// now. Returns how many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn take_over(&self, dead: WorkerNo) -> Result<u64, StoreError> {
        let mut total = 0;
        loop {
            let taken = self.take_over_batch(dead).await?;
            total += taken;
            if taken < TAKEOVER_BATCH as u64 {
                break;
            }
        }
        within!(self, "mark a dead worker as ended", |c| {
            sqlx::query!(
                "UPDATE revocation.workers SET ended_at = now(), in_flight = 0 WHERE worker_no = $1 AND \
                        lease_until < now() AND ended_at IS NULL",
                dead.0
            )
            .execute(c)
            .await
            .map(drop)
        })?;
        Ok(total)
    }

    async fn take_over_batch(&self, dead: WorkerNo) -> Result<u64, StoreError> {
        within!(self, "take over from a dead worker", |c| {
            sqlx::query_scalar!(
                    r#"WITH lost AS (
                        SELECT t.event_id, t.ordinal, t.attempts, t.leased_at
                        FROM revocation.workers w JOIN revocation.targets t ON t.lease_owner = w.worker_no
                        WHERE w.worker_no = $1 AND w.lease_until < now()
                        LIMIT $2 FOR UPDATE OF t SKIP LOCKED
                    ), closed AS (
                        INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at, outcome, error)
                        SELECT event_id, ordinal, attempts, false, $1, leased_at, 'unknown', 'the worker stopped before it recorded an answer'
                        FROM lost
                        ON CONFLICT DO NOTHING
                    ), freed AS (
                        UPDATE revocation.targets t
                        SET lease_owner = NULL, leased_at = NULL, due_at = now(), last_outcome = 'unknown', last_http_status = NULL,
                            last_error = 'the worker stopped before it recorded an answer'
                        FROM lost WHERE (t.event_id, t.ordinal) = (lost.event_id, lost.ordinal)
                        RETURNING 1
                    )
                    SELECT count(*) AS "taken!" FROM freed"#,
                    dead.0,
                    TAKEOVER_BATCH
                )
                .fetch_one(c)
                .await
                .map(i64::unsigned_abs)
        })
    }

    /// Hands targets back unsent: they are due now and the attempt that was on record did not take place.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn release(&self, worker: WorkerNo, targets: &[Release]) -> Result<(), StoreError> {
        let events: Vec<_> = targets.iter().map(|release| release.id.event).collect();
        let ordinals: Vec<_> = targets.iter().map(|release| release.id.ordinal).collect();
        let attempts: Vec<_> = targets.iter().map(|release| release.attempt).collect();
        let held_for: Vec<_> = targets.iter().map(|release| release.held_for.as_secs_f64()).collect();
        within!(self, "hand targets back", |c| {
            sqlx::query!(
                "UPDATE revocation.targets t
                     SET lease_owner = NULL, leased_at = NULL, due_at = now(), attempts = t.attempts - 1, \
                     failures = least(t.failures, t.attempts - 1)
                     FROM unnest($2::uuid[], $3::smallint[], $4::integer[], $5::float8[]) AS r (event_id, \
                     ordinal, attempt, held_for)
                     WHERE (t.event_id, t.ordinal) = (r.event_id, r.ordinal) AND t.lease_owner IS NOT \
                     DISTINCT FROM $1 AND t.attempts = r.attempt
                         AND t.leased_at <= now() - make_interval(secs => r.held_for)",
                worker.0,
                &events,
                &ordinals,
                &attempts,
                &held_for
            )
            .execute(c)
            .await
            .map(drop)
        })
    }

    /// Ends this worker: whatever it still holds is closed as `unknown` and due now for the others.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end(&self, worker: WorkerNo) -> Result<(), StoreError> {
        within!(self, "end the worker's lease", |c| {
            sqlx::query!(
                "UPDATE revocation.workers SET last_seen_at = now(), lease_until = now() - interval '1 \
                    microsecond' WHERE worker_no = $1",
                worker.0
            )
            .execute(c)
            .await
            .map(drop)
        })?;
        self.take_over(worker).await.map(drop)
    }
}
