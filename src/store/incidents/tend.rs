//! What workers do for incidents between two looks: samples for the rate, fuses, ends, and cancellations that
//! nobody finished.

use crate::store::{Store, StoreError};

impl Store {
    /// Gives up what cancelled incidents still have that no worker holds, at most `limit` targets and 500
    /// denials held back. Returns how many of both; 0: nothing is left, but for what a worker holds or is
    /// writing this moment.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sweep_cancelled(&self, limit: i64) -> Result<u64, StoreError> {
        within!(self, "give up what was cancelled", |c| {
            let swept = sqlx::query_scalar!(r#"SELECT revocation.sweep_cancelled($1) AS "swept!""#, limit);
            swept.fetch_one(c).await.map(i64::unsigned_abs)
        })
    }

    /// Ends incidents of which nothing is left to do. Returns their names.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn finish_incidents(&self) -> Result<Vec<String>, StoreError> {
        within!(self, "end incidents", |c| {
            sqlx::query_scalar!(
                r#"SELECT finished AS "finished!" FROM revocation.finish_incidents() finished"#
            )
            .fetch_all(c)
            .await
        })
    }

    /// Notes how far each active incident is, at most every 4 s, whichever worker does it; keeps 10 minutes
    /// of that.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sample_incidents(&self) -> Result<(), StoreError> {
        within!(self, "note how far incidents are", |c| {
            sqlx::query!(
                "WITH forgotten AS (
                     DELETE FROM revocation.incident_samples WHERE at < now() - interval '10 minutes'
                 )
                 INSERT INTO revocation.incident_samples (incident, at, done)
                 SELECT incident, now(), targets_received - pending - parked
                 FROM audit.incidents a
                 WHERE finished_at IS NULL AND NOT EXISTS (
                     SELECT FROM revocation.incident_samples s
                     WHERE s.incident = a.incident AND s.at > now() - interval '4 seconds')
                 ON CONFLICT DO NOTHING"
            )
            .execute(c)
            .await
            .map(drop)
        })
    }

    /// Stops incidents that need an approval that they do not have, by number of targets or by kind: they
    /// wait for it. Returns their names.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn trip_fuses(&self) -> Result<Vec<String>, StoreError> {
        within!(self, "stop incidents that need approval", |c| {
            sqlx::query_scalar!(
                "UPDATE revocation.incidents i
                 SET state = 'awaiting_approval', was_paused = i.state = 'paused'
                 WHERE i.finished_at IS NULL AND i.state IN ('running', 'paused')
                     AND revocation.calls_for_approval(i, (
                         SELECT sum(n.targets)::bigint
                         FROM revocation.incident_counts n WHERE n.incident = i.incident))
                 RETURNING i.incident"
            )
            .fetch_all(c)
            .await
        })
    }
}
