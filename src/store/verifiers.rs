//! What verifiers say of themselves.

use super::{Store, StoreError};
use crate::report::Report;

/// About as many verifiers are kept: more are the doing of somebody who invents names.
const MOST: i64 = 10_000;

/// How many verifiers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifierCount {
    /// Live and, as they say, up to date.
    pub up_to_date: i64,
    /// Live and stale.
    pub stale: i64,
    /// Not heard of for 15 s.
    pub gone: i64,
}

impl Store {
    /// Writes reports, at most one a verifier, sorted by it. An older one than is on record changes nothing, unless that one is so old that the
    /// verifier's clock must have been set back: no report waits longer than half a minute in its queue.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn report_verifiers(&self, reports: &[Report]) -> Result<(), StoreError> {
        let services: Vec<_> = reports.iter().map(|r| r.service.clone()).collect();
        let instances: Vec<_> = reports.iter().map(|r| r.instance.clone()).collect();
        let reported_at: Vec<_> = reports.iter().map(|r| r.reported_at).collect();
        let offsets: Vec<_> = reports.iter().map(|r| r.applied_offset).collect();
        let times: Vec<_> = reports.iter().map(|r| r.applied_time).collect();
        let entries: Vec<_> = reports.iter().map(|r| r.entries).collect();
        let stale: Vec<_> = reports.iter().map(|r| r.stale).collect();
        let reasons: Vec<_> = reports.iter().map(|r| r.stale_reason.clone()).collect();
        let policies: Vec<_> = reports.iter().map(|r| r.staleness_policy.clone()).collect();
        within!(self, "record verifiers' reports", |c| {
            sqlx::query!(
                "INSERT INTO revocation.verifiers AS v
                     (service, instance, reported_at, applied_offset, applied_time, entries, stale, stale_reason, staleness_policy)
                 SELECT r.service, r.instance, r.reported_at, r.applied_offset, r.applied_time, r.entries, r.stale, r.stale_reason, r.staleness_policy
                 FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::boolean[], $8::text[],
                         $9::text[]) WITH ORDINALITY
                     AS r (service, instance, reported_at, applied_offset, applied_time, entries, stale, stale_reason, staleness_policy, place)
                 WHERE EXISTS (SELECT FROM revocation.verifiers k WHERE k.service = r.service AND k.instance = r.instance)
                     OR (SELECT count(*) FROM revocation.verifiers) + r.place <= $10
                 ORDER BY r.place
                 ON CONFLICT (service, instance) DO UPDATE
                 SET last_seen_at = now(), reported_at = excluded.reported_at, applied_offset = excluded.applied_offset,
                     applied_time = excluded.applied_time, entries = excluded.entries, stale = excluded.stale,
                     stale_reason = excluded.stale_reason, staleness_policy = excluded.staleness_policy
                 WHERE excluded.reported_at >= v.reported_at OR v.last_seen_at < now() - interval '1 minute'",
                &services,
                &instances,
                &reported_at,
                &offsets as &[Option<i64>],
                &times as &[Option<time::OffsetDateTime>],
                &entries,
                &stale,
                &reasons as &[Option<String>],
                &policies as &[Option<String>],
                MOST
            )
            .execute(c)
            .await
            .map(drop)
        })
    }

    /// Removes verifiers that were not heard of for a day. Returns how many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn forget_verifiers(&self) -> Result<u64, StoreError> {
        within!(self, "forget verifiers", |c| {
            sqlx::query!("DELETE FROM revocation.verifiers WHERE last_seen_at < now() - interval '1 day'")
                .execute(c)
                .await
                .map(|done| done.rows_affected())
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
                r#"SELECT count(*) FILTER (WHERE up_to_date) AS "up_to_date!", count(*) FILTER (WHERE live AND NOT up_to_date) AS "stale!",
                       count(*) FILTER (WHERE NOT live) AS "gone!"
                   FROM audit.verifiers"#
            )
            .fetch_one(c)
            .await
        })
    }
}
