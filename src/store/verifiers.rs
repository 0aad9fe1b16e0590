//! What verifiers say of themselves, and who said it.

mod report;
mod standing;

use sqlx::Connection;

use self::report::report;
use super::{Store, StoreError};
use crate::report::Attested;

pub(super) use standing::unapplied;
pub use standing::{Unapplied, VerifierRow};

/// How many verifiers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifierCount {
    /// Live and, as they say, up to date.
    pub up_to_date: i64,
    /// Live and stale.
    pub stale: i64,
    /// Not heard of for 15 s, without having signed off.
    pub gone: i64,
    /// Live, and reported by nobody who may speak for the service. They are counted nowhere else.
    pub unverified: i64,
}

impl Store {
    /// Writes reports, at most one a verifier and user, in the order of their receipt. An older one than is
    /// on record changes nothing, unless that one is so old that the verifier's clock must have been set
    /// back: no report waits longer than half a minute in its queue. Where a user has too many rows, or all
    /// together have, the one that was silent for longest makes room if it has been so for 15 s; else the new
    /// name is dropped. Returns how many were.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn report_verifiers(&self, reports: &[Attested]) -> Result<u64, StoreError> {
        within!(self, "record verifiers' reports", |c| {
            let mut transaction = c.begin().await?;
            let dropped = report(&mut transaction, reports).await?;
            transaction.commit().await.map(|()| dropped)
        })
    }

    /// Removes verifiers that were not heard of for a day. Returns how many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn forget_verifiers(&self) -> Result<u64, StoreError> {
        within!(self, "forget verifiers", |c| {
            let old = sqlx::query!(
                "DELETE FROM revocation.verifiers WHERE last_seen_at < now() - interval '1 day'"
            )
            .execute(&mut *c)
            .await?;
            sqlx::query!(
                "DELETE FROM revocation.verifier_reports WHERE last_seen_at < now() - interval '1 day'"
            )
            .execute(c)
            .await
            .map(|done| done.rows_affected() + old.rows_affected())
        })
    }

    /// Counts the verifiers.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn count_verifiers(&self) -> Result<VerifierCount, StoreError> {
        within!(self, "count the verifiers", |c| {
            sqlx::query_as!(
                VerifierCount,
                r#"SELECT count(*) FILTER (WHERE up_to_date) AS "up_to_date!",
                       count(*) FILTER (WHERE verified AND live AND NOT up_to_date
                           AND stale_reason IS DISTINCT FROM 'ended') AS "stale!",
                       count(*) FILTER (WHERE verified AND NOT live
                           AND stale_reason IS DISTINCT FROM 'ended') AS "gone!",
                       count(*) FILTER (WHERE live AND NOT verified) AS "unverified!"
                   FROM audit.verifiers"#
            )
            .fetch_one(c)
            .await
        })
    }
}
