//! Denials that waited for their incident's approval.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::{Denial, Store, StoreError, WorkerNo};
use crate::target::TargetId;

impl Store {
    /// Takes up to `limit` events whose denial was withheld and whose incident may go on: those with cutoffs
    /// first, whichever incident's. They are this worker's for `for_seconds`; then, not noted as denied, they
    /// are anybody's again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn take_withheld(
        &self,
        worker: WorkerNo,
        limit: i64,
        for_seconds: f64,
    ) -> Result<Vec<Uuid>, StoreError> {
        within!(self, "take withheld denials", |c| {
            sqlx::query_scalar!(
                "WITH due AS MATERIALIZED (
                     SELECT w.event_id FROM revocation.incidents i CROSS JOIN LATERAL (
                         SELECT w.event_id, w.has_cutoff FROM revocation.events w
                         WHERE w.incident = i.incident AND w.deny_at <= now()
                         ORDER BY w.has_cutoff DESC, w.event_id LIMIT $2 FOR UPDATE SKIP LOCKED
                     ) w
                     WHERE i.finished_at IS NULL AND i.state IN ('running', 'paused')
                     ORDER BY w.has_cutoff DESC, w.event_id LIMIT $2
                 )
                 UPDATE revocation.events e
                 SET deny_at = now() + make_interval(secs => $3), accepted_by = $1
                 FROM due WHERE e.event_id = due.event_id RETURNING e.event_id",
                worker.0,
                limit,
                for_seconds
            )
            .fetch_all(c)
            .await
        })
    }

    /// Has the denial of an event published like one that was withheld, unless it is noted as published.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn withhold(&self, event: Uuid) -> Result<(), StoreError> {
        within!(self, "withhold a denial", |c| {
            sqlx::query!(
                "UPDATE revocation.events SET deny_at = now()
                 WHERE event_id = $1 AND incident IS NOT NULL AND denied_at IS NULL AND deny_at IS NULL",
                event
            )
            .execute(c)
            .await
            .map(drop)
        })
    }

    /// What a logout ordered beyond a sender's rate, where a copy of it came within one and was denied at
    /// `denied_at`: it waits no longer. What was let go by an approval stays as it is.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn let_go(&self, event: Uuid, denied_at: OffsetDateTime) -> Result<(), StoreError> {
        within!(self, "let go what waited for a rate", |c| {
            sqlx::query!("SELECT revocation.let_go($1, $2)::text AS gone", event, denied_at)
                .fetch_one(c)
                .await
                .map(drop)
        })
    }

    /// What the denials of these events name: every target that has not expired.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn denials_of(&self, events: &[Uuid]) -> Result<Vec<Denial>, StoreError> {
        within!(self, "read withheld denials", |c| {
            let denials = denials!(
                "FROM revocation.events e JOIN revocation.targets t USING (event_id)
                 WHERE e.event_id = ANY ($1) AND t.state <> 'expired'
                 ORDER BY e.has_cutoff DESC, t.event_id, t.ordinal",
                events
            );
            denials.fetch_all(c).await
        })
    }

    /// Ends targets that wait for their turn and that their provider has no call for.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end_unsupported(&self, targets: &[TargetId]) -> Result<(), StoreError> {
        let events: Vec<_> = targets.iter().map(|id| id.event).collect();
        let ordinals: Vec<_> = targets.iter().map(|id| id.ordinal).collect();
        within!(self, "end targets that no call revokes", |c| {
            sqlx::query!(
                "UPDATE revocation.targets t
                 SET state = 'unsupported', waiting = false, finished_at = now(), due_at = NULL,
                     sealed = NULL, sealed_key = NULL
                 FROM unnest($1::uuid[], $2::smallint[]) AS r (event_id, ordinal)
                 WHERE t.event_id = r.event_id AND t.ordinal = r.ordinal AND t.waiting",
                &events,
                &ordinals
            )
            .execute(c)
            .await
            .map(drop)
        })
    }
}
