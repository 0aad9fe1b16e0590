//! Leases whose worker lives and does not know of them: the commit took place and its answer was lost.

use std::time::Duration;

use super::{CALL_TIMEOUT, Store, StoreError, WorkerNo};
use crate::target::TargetId;

/// A lease this old was answered, or never will be.
const ANSWERED: Duration = CALL_TIMEOUT.saturating_add(Duration::from_secs(2));

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
            sqlx::query_scalar!(
                r#"WITH lost AS (
                    SELECT t.event_id, t.ordinal, t.attempts, t.leased_at
                    FROM unnest($2::uuid[], $3::smallint[], $4::integer[]) AS r (event_id, ordinal, attempt)
                    JOIN revocation.targets t ON t.event_id = r.event_id AND t.ordinal = r.ordinal
                    WHERE t.lease_owner IS NOT DISTINCT FROM $1 AND t.attempts = r.attempt
                    FOR UPDATE OF t SKIP LOCKED
                ), closed AS (
                    INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at, outcome, error)
                    SELECT event_id, ordinal, attempts, false, $1, leased_at, 'unknown', 'the worker lost track of this attempt' FROM lost
                    ON CONFLICT DO NOTHING
                ), freed AS (
                    UPDATE revocation.targets t
                    SET lease_owner = NULL, leased_at = NULL, due_at = now(), last_outcome = 'unknown', last_http_status = NULL,
                        last_error = 'the worker lost track of this attempt'
                    FROM lost WHERE (t.event_id, t.ordinal) = (lost.event_id, lost.ordinal)
                    RETURNING 1
                )
                SELECT count(*) AS "freed!" FROM freed"#,
                worker.0,
                &events,
                &ordinals,
                &attempts
            )
            .fetch_one(c)
            .await
            .map(i64::unsigned_abs)
        })
    }
}
