//! Leases whose worker died or does not know of them, and those that a worker hands back.
//!
//! A worker that lives may hold what it does not know of: the commit took place and its answer was lost.

use std::time::Duration;

use super::{CALL_TIMEOUT, Store, StoreError, WorkerNo, ensure_affected_rows};
use crate::target::TargetId;

/// A lease this old was answered, or never will be.
const ANSWERED: Duration = CALL_TIMEOUT.saturating_add(Duration::from_secs(2));

/// Most targets that one statement takes from a dead worker.
const TAKEOVER_BATCH: i64 = 1000;

/// Closes attempts as `unknown`, makes their targets due now and gives how many: `free_lost!("SELECT …",
/// worker, "why", parameters from $3)`.
macro_rules! free_lost {
    ($lost:literal, $worker:expr, $why:expr, $($parameter:expr),+) => {
        sqlx::query_scalar!(
            "WITH lost AS (" + $lost + r#"), closed AS (
                INSERT INTO revocation.attempts (
                    event_id, ordinal, attempt, answered, worker_no, started_at, outcome, error)
                SELECT event_id, ordinal, attempts, false, $1, leased_at, 'unknown', $2::text FROM lost
                ON CONFLICT DO NOTHING
            ), freed AS (
                UPDATE revocation.targets t
                SET lease_owner = NULL, leased_at = NULL, due_at = now(), last_outcome = 'unknown',
                    last_http_status = NULL, last_error = $2::text
                FROM lost WHERE (t.event_id, t.ordinal) = (lost.event_id, lost.ordinal)
                RETURNING 1
            )
            SELECT count(*) AS "freed!" FROM freed"#,
            $worker,
            $why,
            $($parameter),+
        )
    };
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

impl Store {
    /// The targets that have been leased to this worker for so long that it must know of them, with the
    /// numbers of their attempts.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn leased(&self, worker: WorkerNo) -> Result<Vec<(TargetId, i32)>, StoreError> {
        within!(self, "look for lost leases", |c| {
            let rows = sqlx::query!(
                "SELECT event_id, ordinal, attempts FROM revocation.targets
                 WHERE lease_owner = $1 AND leased_at < now() - make_interval(secs => $2)",
                worker.0,
                ANSWERED.as_secs_f64()
            );
            Ok(rows
                .fetch_all(c)
                .await?
                .into_iter()
                .map(|r| (TargetId { event: r.event_id, ordinal: r.ordinal }, r.attempts))
                .collect())
        })
    }

    /// Closes these attempts as `unknown` and makes their targets due now. Returns how many still were this
    /// worker's.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn abandon(&self, worker: WorkerNo, lost: &[(TargetId, i32)]) -> Result<u64, StoreError> {
        let events: Vec<_> = lost.iter().map(|(id, _)| id.event).collect();
        let ordinals: Vec<_> = lost.iter().map(|(id, _)| id.ordinal).collect();
        let attempts: Vec<_> = lost.iter().map(|(_, attempt)| *attempt).collect();
        within!(self, "abandon lost leases", |c| {
            let freed = free_lost!(
                "SELECT t.event_id, t.ordinal, t.attempts, t.leased_at
                 FROM unnest($3::uuid[], $4::smallint[], $5::integer[]) AS r (event_id, ordinal, attempt)
                 JOIN revocation.targets t ON t.event_id = r.event_id AND t.ordinal = r.ordinal
                 WHERE t.lease_owner IS NOT DISTINCT FROM $1 AND t.attempts = r.attempt
                 FOR UPDATE OF t SKIP LOCKED",
                worker.0,
                "the worker lost track of this attempt",
                &events,
                &ordinals,
                &attempts
            );
            freed.fetch_one(c).await.map(i64::unsigned_abs)
        })
    }

    /// Workers whose lease has run out: those not yet marked as ended, and those ended within the hour, which
    /// may have left a late commit behind. A lease that was given before the database's clock was set back
    /// begins anew: of a worker that is dead it would last by as much longer.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn dead_workers(&self) -> Result<Vec<WorkerNo>, StoreError> {
        within!(self, "look for dead workers", |c| {
            sqlx::query_scalar!(
                "WITH of_the_future AS (
                     UPDATE revocation.workers SET lease_until = now() + (lease_until - last_seen_at)
                     WHERE last_seen_at > now() + interval '2 seconds' AND lease_until > last_seen_at
                 )
                 SELECT worker_no FROM revocation.workers
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
                "UPDATE revocation.workers SET ended_at = now(), in_flight = 0
                 WHERE worker_no = $1 AND lease_until < now() AND ended_at IS NULL",
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
            let taken = free_lost!(
                "SELECT t.event_id, t.ordinal, t.attempts, t.leased_at
                 FROM revocation.workers w JOIN revocation.targets t ON t.lease_owner = w.worker_no
                 WHERE w.worker_no = $1 AND w.lease_until < now()
                 LIMIT $3 FOR UPDATE OF t SKIP LOCKED",
                dead.0,
                "the worker stopped before it recorded an answer",
                TAKEOVER_BATCH
            );
            taken.fetch_one(c).await.map(i64::unsigned_abs)
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
                 SET lease_owner = NULL, leased_at = NULL, due_at = now(), attempts = t.attempts - 1,
                     failures = least(t.failures, t.attempts - 1)
                 FROM unnest($2::uuid[], $3::smallint[], $4::integer[], $5::float8[])
                     AS r (event_id, ordinal, attempt, held_for)
                 WHERE (t.event_id, t.ordinal) = (r.event_id, r.ordinal)
                     AND t.lease_owner IS NOT DISTINCT FROM $1 AND t.attempts = r.attempt
                     -- A lease that is younger is another one, of the same number.
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
                "UPDATE revocation.workers
                 SET last_seen_at = now(), lease_until = now() - interval '1 microsecond'
                 WHERE worker_no = $1",
                worker.0
            )
            .execute(c)
            .await
            .and_then(|done| ensure_affected_rows(&done, 1))
        })?;
        self.take_over(worker).await.map(drop)
    }
}
