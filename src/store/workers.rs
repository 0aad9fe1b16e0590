//! Who is alive. A worker's lease covers all it holds; one that stops renewing it is taken over by the
//! others.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::{Store, StoreError, ensure_affected_rows};
use crate::clock::{Offset, Reading};

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
                   VALUES ($1, $2, now() + make_interval(secs => $3))
                   RETURNING worker_no, clock_timestamp() AS "database!""#,
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
                   SET last_seen_at = now(), lease_until = now() + make_interval(secs => $2), in_flight = $3,
                       ended_at = NULL, clock_offset_ms = coalesce($4, clock_offset_ms)
                   WHERE worker_no = $1
                   RETURNING clock_timestamp() AS "database!""#,
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
                "UPDATE revocation.workers
                 SET dead_messages = $2, dead_seen_at = now(),
                     many_dead_since = CASE WHEN $3 THEN coalesce(many_dead_since, now()) END
                 WHERE worker_no = $1",
                worker.0,
                i64::from(messages),
                are_many
            )
            .execute(c)
            .await
            .and_then(|done| ensure_affected_rows(&done, 1))
        })
    }

    /// A worker's last sign of life: its events lie before it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn last_seen(&self, worker: WorkerNo) -> Result<Option<OffsetDateTime>, StoreError> {
        within!(self, "look up a worker", |c| {
            sqlx::query_scalar!("SELECT last_seen_at FROM revocation.workers WHERE worker_no = $1", worker.0)
                .fetch_optional(c)
                .await
        })
    }
}
