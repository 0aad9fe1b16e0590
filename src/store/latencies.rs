//! How long denials and revocations took, minute by minute, as the workers count them for the page.

use super::{Store, StoreError, WorkerNo, ensure_affected_rows};

/// Kept for so long; the page shows an hour.
const KEPT: &str = "2 hours";

/// How many took how long, in classes that telemetry chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// Denials.
    pub denial: Vec<i32>,
    /// Revocations.
    pub revocation: Vec<i32>,
}

impl Store {
    /// Adds to this worker's present minute; forgets the minutes that are too old, whosever they are.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn add_latencies(&self, worker: WorkerNo, took: &Latencies) -> Result<(), StoreError> {
        within!(self, "note how long denials and revocations took", |c| {
            sqlx::query!(
                "INSERT INTO revocation.latencies AS l (minute, worker_no, denial, revocation)
                 VALUES (date_trunc('minute', now()), $1, $2, $3)
                 ON CONFLICT (minute, worker_no) DO UPDATE SET
                     denial = ARRAY(
                         SELECT n.before + n.more
                         FROM unnest(l.denial, excluded.denial) WITH ORDINALITY AS n (before, more, class)
                         ORDER BY n.class),
                     revocation = ARRAY(
                         SELECT n.before + n.more
                         FROM unnest(l.revocation, excluded.revocation)
                             WITH ORDINALITY AS n (before, more, class)
                         ORDER BY n.class)",
                worker.0,
                &took.denial[..],
                &took.revocation[..]
            )
            .execute(&mut *c)
            .await
            .and_then(|done| ensure_affected_rows(&done, 1))?;
            sqlx::query!("DELETE FROM revocation.latencies WHERE minute < now() - $1::text::interval", KEPT)
                .execute(c)
                .await
                .map(drop)
        })
    }
}
