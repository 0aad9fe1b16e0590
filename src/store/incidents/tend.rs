//! What workers do for incidents between two looks: samples for the rate, fuses, ends, and cancellations that nobody finished.

use sqlx::Connection;

use crate::store::{Store, StoreError};

impl Store {
    /// Gives up what cancelled incidents still have that no worker holds, at most `limit` targets and 500 denials held back. Returns how many of
    /// both; 0: nothing is left, but for what a worker holds or is writing this moment.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sweep_cancelled(&self, limit: i64) -> Result<u64, StoreError> {
        within!(self, "give up what was cancelled", |c| {
            sqlx::query_scalar!(
                r#"WITH gone AS MATERIALIZED (
                    SELECT incident FROM revocation.incidents WHERE finished_at IS NULL AND state = 'cancelled'
                ), waiting AS MATERIALIZED (
                    SELECT w.event_id, w.ordinal FROM gone CROSS JOIN LATERAL (
                        SELECT t.event_id, t.ordinal FROM revocation.targets t WHERE t.waiting AND t.incident = gone.incident
                        LIMIT $1 FOR UPDATE SKIP LOCKED) w
                    LIMIT $1
                ), hot AS MATERIALIZED (
                    SELECT h.event_id, h.ordinal
                    FROM (SELECT DISTINCT incident, provider FROM gone JOIN revocation.incident_counts USING (incident)) of CROSS JOIN LATERAL (
                        SELECT t.event_id, t.ordinal FROM revocation.targets t
                        WHERE t.provider = of.provider AND t.lane = 'mass' AND t.incident = of.incident
                            AND t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting
                        LIMIT $1 FOR UPDATE SKIP LOCKED) h
                    LIMIT $1
                ), given_up AS (
                    UPDATE revocation.targets t
                    SET state = 'cancelled', waiting = false, due_at = NULL, sealed = NULL, sealed_key = NULL, finished_at = now()
                    FROM (SELECT * FROM waiting UNION ALL SELECT * FROM hot LIMIT $1) open
                    WHERE t.event_id = open.event_id AND t.ordinal = open.ordinal
                    RETURNING 1
                ), held AS MATERIALIZED (
                    SELECT h.event_id FROM gone CROSS JOIN LATERAL (
                        SELECT e.event_id FROM revocation.events e WHERE e.deny_at IS NOT NULL AND e.incident = gone.incident
                        ORDER BY e.has_cutoff DESC, e.event_id LIMIT 500 FOR UPDATE SKIP LOCKED) h
                    LIMIT 500
                ), let_go AS (
                    UPDATE revocation.events e SET deny_at = NULL FROM held WHERE e.event_id = held.event_id RETURNING 1
                )
                SELECT (SELECT count(*) FROM given_up) + (SELECT count(*) FROM let_go) AS "swept!""#,
                limit
            )
            .fetch_one(c)
            .await
            .map(i64::unsigned_abs)
        })
    }

    /// Ends incidents of which nothing is left to do. Returns their names.
    ///
    /// An acceptance that adds targets holds the incident's row until it commits. So the rows are locked first, and a statement with a snapshot of its
    /// own decides. `OFFSET 0` keeps the planner from reading what all incidents hold back instead of what this one does.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn finish_incidents(&self) -> Result<Vec<String>, StoreError> {
        within!(self, "end incidents", |c| {
            let mut transaction = c.begin().await?;
            let candidates = sqlx::query_scalar!(
                "SELECT i.incident FROM revocation.incidents i
                 WHERE i.finished_at IS NULL AND i.state IN ('running', 'cancelled') AND NOT EXISTS (
                     SELECT FROM revocation.incident_counts n WHERE n.incident = i.incident AND n.stage IN ('waiting', 'pending', 'parked')
                     HAVING sum(n.targets) > 0)
                 FOR UPDATE SKIP LOCKED"
            )
            .fetch_all(&mut *transaction)
            .await?;
            if candidates.is_empty() {
                return transaction.rollback().await.map(|()| Vec::new());
            }
            let finished = sqlx::query_scalar!(
                "UPDATE revocation.incidents i SET finished_at = now()
                 FROM audit.incidents a
                 WHERE i.incident = ANY ($1) AND a.incident = i.incident AND a.pending = 0 AND a.parked = 0
                     AND NOT EXISTS (SELECT FROM revocation.events e WHERE e.incident = i.incident AND e.deny_at IS NOT NULL OFFSET 0)
                     AND (i.state = 'cancelled' OR (i.state = 'running' AND a.targets_received >= coalesce(i.targets_expected, 1)
                         AND (a.denied >= a.targets_received
                             OR NOT EXISTS (SELECT FROM revocation.events e WHERE e.incident = i.incident AND e.denied_at IS NULL))))
                 RETURNING i.incident",
                &candidates
            )
            .fetch_all(&mut *transaction)
            .await?;
            transaction.commit().await.map(|()| finished)
        })
    }

    /// Notes how far each active incident is, at most every 4 s, whichever worker does it; keeps 10 minutes of that.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sample_incidents(&self) -> Result<(), StoreError> {
        within!(self, "note how far incidents are", |c| {
            sqlx::query!(
                "WITH forgotten AS (DELETE FROM revocation.incident_samples WHERE at < now() - interval '10 minutes')
                 INSERT INTO revocation.incident_samples (incident, at, done)
                 SELECT incident, now(), targets_received - pending - parked FROM audit.incidents a
                 WHERE finished_at IS NULL AND NOT EXISTS (
                     SELECT FROM revocation.incident_samples s WHERE s.incident = a.incident AND s.at > now() - interval '4 seconds')
                 ON CONFLICT DO NOTHING"
            )
            .execute(c)
            .await
            .map(drop)
        })
    }

    /// Stops incidents that have more targets than one person may order and than were approved: they wait for approval. Returns their names.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn trip_fuses(&self) -> Result<Vec<String>, StoreError> {
        within!(self, "stop incidents that need approval", |c| {
            sqlx::query_scalar!(
                "WITH tripped AS (
                     UPDATE revocation.incidents i SET state = 'awaiting_approval', was_paused = i.state = 'paused'
                     WHERE i.finished_at IS NULL AND i.state IN ('running', 'paused') AND revocation.calls_for_approval(
                         i, (SELECT sum(n.targets)::bigint FROM revocation.incident_counts n WHERE n.incident = i.incident))
                     RETURNING i.incident
                 ), noted AS (
                     INSERT INTO revocation.operations (actor, action, incident, detail)
                     SELECT 'revocation-worker', 'stop', incident, jsonb_build_object('reason', 'it has more targets than one person may order') FROM tripped
                 )
                 SELECT incident FROM tripped"
            )
            .fetch_all(c)
            .await
        })
    }
}
