//! What workers tell each other, read several times a second: how many they are, how each sees its providers.

use std::time::Duration;

use time::OffsetDateTime;

use super::{Store, StoreError, WorkerNo, ensure_affected_rows};

/// What workers know of each other.
pub struct Fleet {
    /// Live workers.
    pub workers: i64,
    /// Providers that asked one of them to come back later, and in how many seconds.
    pub held: Vec<(String, f64)>,
    /// Providers that an operator had called again, and the number of the last such order.
    pub orders: Vec<(String, i64)>,
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
    /// Calls in each ten seconds of the last five minutes, the oldest first.
    pub calls_by_10s: Vec<i32>,
    /// Of those, failures.
    pub failures_by_10s: Vec<i32>,
    /// Why it is left alone: `failing`, `misconfigured` or `retry_after`.
    pub reason: Option<&'static str>,
    /// For how long the provider asked to be left alone.
    pub held_for: Option<Duration>,
    /// The last of operators' orders that the worker has followed: a wait from before a later one is over.
    pub order_no: i64,
}

impl Store {
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
                    "INSERT INTO revocation.provider_status AS p (
                         worker_no, provider, breaker, last_success_at, last_failure_at, last_error, calls_5m,
                         failures_5m, p50_ms_5m, p95_ms_5m, held_until, order_no, waits_since,
                         calls_by_10s, failures_by_10s, reason)
                     VALUES (
                         $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now() + make_interval(secs => $11), $12,
                         CASE WHEN $3 <> 'closed' THEN now() END, $13, $14, $15)
                     ON CONFLICT (worker_no, provider) DO UPDATE SET
                         breaker = excluded.breaker,
                         last_success_at = excluded.last_success_at,
                         last_failure_at = excluded.last_failure_at,
                         last_error = excluded.last_error,
                         calls_5m = excluded.calls_5m,
                         failures_5m = excluded.failures_5m,
                         p50_ms_5m = excluded.p50_ms_5m,
                         p95_ms_5m = excluded.p95_ms_5m,
                         held_until = excluded.held_until,
                         order_no = excluded.order_no,
                         calls_by_10s = excluded.calls_by_10s,
                         failures_by_10s = excluded.failures_by_10s,
                         reason = excluded.reason,
                         -- Since when it is not closed.
                         waits_since = CASE WHEN excluded.breaker <> 'closed' THEN
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
                    s.order_no,
                    &s.calls_by_10s[..],
                    &s.failures_by_10s[..],
                    s.reason
                )
                .execute(&mut *c)
                .await
                .and_then(|done| ensure_affected_rows(&done, 1))?;
            }
            Ok(())
        })
    }

    /// How many workers there are, and what they were told.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn fleet(&self) -> Result<Fleet, StoreError> {
        within!(self, "look at the other workers", |c| {
            let workers = sqlx::query_scalar!(
                r#"SELECT count(*) AS "workers!" FROM revocation.workers
                   WHERE ended_at IS NULL AND lease_until > now()"#
            )
            .fetch_one(&mut *c)
            .await?;
            // Before the waits, which those orders end that are committed by then: no wait is taken over that
            // an order seen here has ended.
            let orders = sqlx::query!(
                r#"SELECT provider, max(order_no) AS "order_no!"
                   FROM revocation.provider_orders GROUP BY provider"#
            )
            .fetch_all(&mut *c)
            .await?;
            let held = sqlx::query!(
                r#"SELECT s.provider,
                       extract(epoch FROM max(s.held_until) - now())::double precision AS "seconds!"
                   FROM revocation.provider_status s JOIN revocation.workers w USING (worker_no)
                   WHERE w.ended_at IS NULL AND w.lease_until > now()
                       AND s.held_until > now()
                       AND NOT EXISTS (
                           SELECT FROM revocation.provider_orders o
                           WHERE o.provider = s.provider AND o.order_no > s.order_no)
                   GROUP BY s.provider"#
            )
            .fetch_all(c)
            .await?;
            Ok(Fleet {
                workers,
                held: held.into_iter().map(|row| (row.provider, row.seconds)).collect(),
                orders: orders.into_iter().map(|row| (row.provider, row.order_no)).collect(),
            })
        })
    }
}
