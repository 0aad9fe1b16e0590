//! What verifiers must still be told: revocations not yet confirmed to them, and denials to publish again
//! after a crash or a broker loss.

use std::ops::Range;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Denial, Store, StoreError, WorkerNo};
use crate::target::TargetId;

/// Which revocations count as unconfirmed.
#[derive(Clone, Copy)]
pub enum Unconfirmed {
    /// Those that the broker has not confirmed, finished at least five seconds ago.
    Missing,
    /// All of this worker's events from the given row id on: a broker that lost power may have lost them.
    Since(Uuid, WorkerNo),
}

impl Store {
    /// Targets whose `confirmed` message is to be published, oldest first, at most `limit`, from after
    /// `after`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn unconfirmed(
        &self,
        which: Unconfirmed,
        after: Option<TargetId>,
        limit: i64,
    ) -> Result<Vec<Denial>, StoreError> {
        let after = after.unwrap_or(TargetId { event: Uuid::nil(), ordinal: -1 });
        within!(self, "look for unconfirmed revocations", |c| {
            match which {
                Unconfirmed::Missing => {
                    let missing = denials!(
                        "FROM revocation.targets t JOIN revocation.events e USING (event_id)
                         WHERE t.state = 'revoked' AND t.confirmed_at IS NULL
                             AND t.finished_at < now() - interval '5 seconds'
                         ORDER BY t.finished_at LIMIT $1",
                        limit
                    );
                    missing.fetch_all(c).await
                }
                Unconfirmed::Since(floor, worker) => {
                    let since = denials!(
                        "FROM revocation.targets t JOIN revocation.events e USING (event_id)
                         WHERE t.event_id >= $1 AND (t.event_id, t.ordinal) > ($2, $3)
                             AND e.accepted_by = $4 AND t.state = 'revoked'
                         ORDER BY t.event_id, t.ordinal LIMIT $5",
                        floor,
                        after.event,
                        after.ordinal,
                        worker.0,
                        limit
                    );
                    since.fetch_all(c).await
                }
            }
        })
    }

    /// Targets of one worker's events with row ids in `rows`, in order, at most `limit` after `after`; only
    /// events not known to be denied if `undenied`. What was cancelled with its incident before that was
    /// approved is not among them: it was never to be denied. What was given up by itself is.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn denials(
        &self,
        worker: WorkerNo,
        rows: &Range<Uuid>,
        undenied: bool,
        after: Option<TargetId>,
        limit: i64,
    ) -> Result<Vec<Denial>, StoreError> {
        let after = after.unwrap_or(TargetId { event: Uuid::nil(), ordinal: -1 });
        within!(self, "look for denials to publish again", |c| {
            let again = denials!(
                "FROM revocation.events e JOIN revocation.targets t USING (event_id)
                 WHERE e.event_id >= $1 AND e.event_id < $7
                     -- The same of the targets, for their own index.
                     AND t.event_id >= $1 AND t.event_id < $7 AND (t.event_id, t.ordinal) > ($2, $3)
                     AND e.accepted_by = $4
                     AND (NOT $5 OR e.denied_at IS NULL AND NOT EXISTS (
                         SELECT FROM revocation.targets d
                         WHERE d.event_id = e.event_id AND d.denied_at IS NOT NULL))
                     AND e.deny_at IS NULL
                     AND (t.state <> 'cancelled' OR e.denied_at IS NOT NULL OR NOT EXISTS (
                         SELECT FROM revocation.incidents i
                         WHERE i.incident = e.incident AND i.state = 'cancelled'))
                 ORDER BY t.event_id, t.ordinal LIMIT $6",
                rows.start,
                after.event,
                after.ordinal,
                worker.0,
                undenied,
                limit,
                rows.end
            );
            again.fetch_all(c).await
        })
    }

    /// Notes that the broker confirmed the `confirmed` messages of these targets, which are revoked.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn mark_confirmed(&self, targets: &[TargetId], at: OffsetDateTime) -> Result<(), StoreError> {
        let events: Vec<_> = targets.iter().map(|id| id.event).collect();
        let ordinals: Vec<_> = targets.iter().map(|id| id.ordinal).collect();
        within!(self, "note confirmations", |c| {
            sqlx::query!(
                "UPDATE revocation.targets t SET confirmed_at = coalesce(t.confirmed_at, $3)
                 FROM unnest($1::uuid[], $2::smallint[]) AS r (event_id, ordinal)
                 WHERE t.event_id = r.event_id AND t.ordinal = r.ordinal",
                &events,
                &ordinals,
                at
            )
            .execute(c)
            .await
            .map(drop)
        })
    }
}
