//! The last report of each verifier.

use revocation_verifier::message::{Staleness, StalenessPolicy, Status};
use time::OffsetDateTime;

use super::{Store, StoreError};

/// Verifiers on record at most: whoever may report could else fill the table.
const MOST: i64 = 10_000;

/// What a verifier said, and when by its own clock.
pub struct Report {
    /// When it was made.
    pub reported_at: OffsetDateTime,
    /// What it says.
    pub status: Status,
}

/// How the live verifiers stand.
pub struct Verifiers {
    /// Those that vouch for their denylist.
    pub up_to_date: i64,
    /// Those that do not.
    pub stale: i64,
}

impl Store {
    /// Writes reports, at most one of each verifier; an older one than is on record changes nothing, unless that one is older than it should be.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn record_reports(&self, reports: &[Report]) -> Result<(), StoreError> {
        let mut reports: Vec<_> = reports.iter().collect();
        // In one order for all workers, so that none waits for another in a circle.
        reports.sort_unstable_by_key(|report| (&report.status.service, &report.status.instance));
        let texts = |text: fn(&Status) -> Option<&str>| reports.iter().map(|r| text(&r.status).map(str::to_owned)).collect::<Vec<_>>();
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        within!(self, "record verifiers' reports", |c| {
            sqlx::query!(
                r#"INSERT INTO revocation.verifiers AS v
                       (service, instance, reported_at, applied_offset, applied_time, entries, stale, stale_reason, staleness_policy)
                   SELECT * FROM UNNEST($1::text[], $2::text[], $3::timestamptz[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::boolean[],
                       $8::text[], $9::text[]) AS r (service, instance, reported_at, applied_offset, applied_time, entries, stale, stale_reason, staleness_policy)
                   WHERE EXISTS (SELECT FROM revocation.verifiers k WHERE (k.service, k.instance) = (r.service, r.instance))
                       OR (SELECT count(*) FROM revocation.verifiers) < $10
                   ON CONFLICT (service, instance) DO UPDATE SET
                       last_seen_at = now(), reported_at = excluded.reported_at, applied_offset = excluded.applied_offset,
                       applied_time = excluded.applied_time, entries = excluded.entries, stale = excluded.stale,
                       stale_reason = excluded.stale_reason, staleness_policy = excluded.staleness_policy
                   WHERE v.reported_at <= excluded.reported_at OR v.last_seen_at < now() - interval '15 seconds'"#,
                &texts(|s| Some(&s.service)) as &[Option<String>],
                &texts(|s| Some(&s.instance)) as &[Option<String>],
                &reports.iter().map(|r| r.reported_at).collect::<Vec<_>>(),
                &reports.iter().map(|r| r.status.applied_offset.map(number)).collect::<Vec<_>>() as &[Option<i64>],
                &reports.iter().map(|r| r.status.applied_time).collect::<Vec<_>>() as &[Option<OffsetDateTime>],
                &reports.iter().map(|r| number(r.status.entries)).collect::<Vec<_>>(),
                &reports.iter().map(|r| r.status.stale).collect::<Vec<_>>(),
                &texts(|s| s.stale_reason.map(Staleness::as_str)) as &[Option<String>],
                &texts(|s| s.staleness_policy.map(StalenessPolicy::as_str)) as &[Option<String>],
                MOST
            )
            .execute(c)
            .await
            .map(drop)
        })
    }

    /// Counts the live verifiers, and forgets those that were not seen for a day.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn verifiers(&self) -> Result<Verifiers, StoreError> {
        within!(self, "count the verifiers", |c| {
            sqlx::query_as!(
                Verifiers,
                r#"WITH gone AS (DELETE FROM revocation.verifiers WHERE last_seen_at < now() - interval '1 day')
                   SELECT count(*) FILTER (WHERE up_to_date) AS "up_to_date!", count(*) FILTER (WHERE NOT up_to_date) AS "stale!"
                   FROM audit.verifiers WHERE live"#
            )
            .fetch_one(c)
            .await
        })
    }
}
