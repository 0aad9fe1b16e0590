//! What verifiers say of themselves, and who said it.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;

use super::{Store, StoreError};
use crate::report::{Attested, judge};

/// About as many rows are kept: more are the doing of somebody who invents names.
const MOST: i64 = 10_000;
/// So many of them by one broker user: enough for a gate beside every instance of a large service, a tenth of
/// what fits.
const MOST_OF_USER: i64 = 1_000;

/// How many verifiers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifierCount {
    /// Live and, as they say, up to date.
    pub up_to_date: i64,
    /// Live and stale.
    pub stale: i64,
    /// Not heard of for 15 s.
    pub gone: i64,
    /// Live, and reported by nobody who may speak for the service. They are counted nowhere else.
    pub unverified: i64,
}

/// Reports as a statement takes them.
#[derive(Default)]
struct Columns {
    services: Vec<String>,
    instances: Vec<String>,
    users: Vec<String>,
    verified: Vec<bool>,
    reported_at: Vec<OffsetDateTime>,
    offsets: Vec<Option<i64>>,
    times: Vec<Option<OffsetDateTime>>,
    entries: Vec<i64>,
    stale: Vec<bool>,
    reasons: Vec<Option<String>>,
    policies: Vec<Option<String>>,
}

impl Columns {
    fn collect(reports: &[Attested], verified: Vec<bool>) -> Self {
        let mut columns = Self { verified, ..Self::default() };
        for Attested { report, broker_user, .. } in reports {
            columns.services.push(report.service.clone());
            columns.instances.push(report.instance.clone());
            columns.users.push(broker_user.clone().unwrap_or_default());
            columns.reported_at.push(report.reported_at);
            columns.offsets.push(report.applied_offset);
            columns.times.push(report.applied_time);
            columns.entries.push(report.entries);
            columns.stale.push(report.stale);
            columns.reasons.push(report.stale_reason.clone());
            columns.policies.push(report.staleness_policy.clone());
        }
        columns
    }
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
                r#"SELECT count(*) FILTER (WHERE up_to_date) AS "up_to_date!", count(*) FILTER (WHERE verified AND live AND NOT up_to_date) AS "stale!",
                       count(*) FILTER (WHERE verified AND NOT live) AS "gone!", count(*) FILTER (WHERE live AND NOT verified) AS "unverified!"
                   FROM audit.verifiers"#
            )
            .fetch_one(c)
            .await
        })
    }
}

/// One worker at a time: of two users who claim a service the same moment one was first, and no two fill the
/// same place.
async fn report(c: &mut PgConnection, reports: &[Attested]) -> Result<u64, sqlx::Error> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('revocation.verifier_reports', 0))")
        .fetch_one(&mut *c)
        .await?;
    let mut owners = owners(c, reports).await?;
    let columns = Columns::collect(reports, judge(reports, &mut owners));
    update(c, &columns).await?;
    make_room(c, &columns).await?;
    insert(c, &columns).await.map(i64::unsigned_abs)
}

/// The users whose reports for these services are on record as their owners'.
async fn owners(
    c: &mut PgConnection,
    reports: &[Attested],
) -> Result<BTreeMap<String, BTreeSet<String>>, sqlx::Error> {
    let services: BTreeSet<_> = reports.iter().map(|attested| attested.report.service.clone()).collect();
    let services: Vec<_> = services.into_iter().collect();
    let rows = sqlx::query!(
        "SELECT DISTINCT service, broker_user FROM revocation.verifier_reports WHERE verified AND service = \
            ANY ($1)",
        &services
    )
    .fetch_all(c)
    .await?;
    let mut owners = BTreeMap::<_, BTreeSet<_>>::new();
    for row in rows {
        owners.entry(row.service).or_default().insert(row.broker_user);
    }
    Ok(owners)
}

async fn update(c: &mut PgConnection, r: &Columns) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE revocation.verifier_reports v
         SET last_seen_at = now(), verified = r.verified, reported_at = r.reported_at, applied_offset = \
         r.applied_offset,
             applied_time = r.applied_time, entries = r.entries, stale = r.stale, stale_reason = \
             r.stale_reason,
             staleness_policy = r.staleness_policy
         FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::timestamptz[], $6::bigint[], \
         $7::timestamptz[], $8::bigint[],
                 $9::boolean[], $10::text[], $11::text[])
             AS r (service, instance, broker_user, verified, reported_at, applied_offset, applied_time, \
             entries, stale, stale_reason,
                 staleness_policy)
         WHERE v.service = r.service AND v.instance = r.instance AND v.broker_user = r.broker_user
             AND (r.reported_at >= v.reported_at OR v.last_seen_at < now() - interval '1 minute')",
        &r.services,
        &r.instances,
        &r.users,
        &r.verified,
        &r.reported_at,
        &r.offsets as &[Option<i64>],
        &r.times as &[Option<OffsetDateTime>],
        &r.entries,
        &r.stale,
        &r.reasons as &[Option<String>],
        &r.policies as &[Option<String>]
    )
    .execute(c)
    .await
    .map(drop)
}

/// Deletes dead rows where new ones would not fit: of the same user, and where all together are too many, of
/// anybody, an owner's last.
async fn make_room(c: &mut PgConnection, r: &Columns) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH wanted AS MATERIALIZED (
             SELECT r.broker_user, count(*) AS rows FROM unnest($1::text[], $2::text[], $3::text[]) AS r \
             (service, instance, broker_user)
             WHERE NOT EXISTS (SELECT FROM revocation.verifier_reports k
                 WHERE k.service = r.service AND k.instance = r.instance AND k.broker_user = r.broker_user)
             GROUP BY r.broker_user
         ), of_user AS MATERIALIZED (
             SELECT dead.* FROM (
                 SELECT w.broker_user, greatest(0, w.rows - $4::bigint + (
                     SELECT count(*) FROM revocation.verifier_reports k WHERE k.broker_user = \
                     w.broker_user)) AS rows
                 FROM wanted w) excess
             CROSS JOIN LATERAL (
                 SELECT k.service, k.instance, k.broker_user FROM revocation.verifier_reports k
                 WHERE k.broker_user = excess.broker_user AND k.last_seen_at < now() - interval '15 seconds'
                 ORDER BY k.last_seen_at LIMIT excess.rows) dead
         ), of_all AS MATERIALIZED (
             SELECT k.service, k.instance, k.broker_user FROM revocation.verifier_reports k
             WHERE k.last_seen_at < now() - interval '15 seconds'
             ORDER BY k.verified, k.last_seen_at
             LIMIT (SELECT greatest(0, coalesce(sum(least(w.rows, $4))::bigint, 0) - $5::bigint + CASE WHEN \
             count(*) > 0 THEN
                 (SELECT count(*) FROM revocation.verifier_reports) ELSE 0 END) FROM wanted w)
         )
         DELETE FROM revocation.verifier_reports v USING (SELECT * FROM of_user UNION SELECT * FROM of_all) \
         gone
         WHERE v.service = gone.service AND v.instance = gone.instance AND v.broker_user = gone.broker_user",
        &r.services,
        &r.instances,
        &r.users,
        MOST_OF_USER,
        MOST
    )
    .execute(c)
    .await
    .map(drop)
}

/// Adds what is new and fits; returns how many do not.
async fn insert(c: &mut PgConnection, r: &Columns) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"WITH fresh AS MATERIALIZED (
            SELECT r.*, row_number() OVER (PARTITION BY r.broker_user ORDER BY r.place)
                + (SELECT count(*) FROM revocation.verifier_reports k WHERE k.broker_user = r.broker_user) AS of_user
            FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::timestamptz[], $6::bigint[], $7::timestamptz[], $8::bigint[],
                    $9::boolean[], $10::text[], $11::text[]) WITH ORDINALITY
                AS r (service, instance, broker_user, verified, reported_at, applied_offset, applied_time, entries, stale, stale_reason,
                    staleness_policy, place)
            WHERE NOT EXISTS (SELECT FROM revocation.verifier_reports k
                WHERE k.service = r.service AND k.instance = r.instance AND k.broker_user = r.broker_user)
        ), fitting AS (
            SELECT *, row_number() OVER (ORDER BY place) AS nth FROM fresh WHERE of_user <= $12
        ), kept AS (
            INSERT INTO revocation.verifier_reports (service, instance, broker_user, verified, reported_at, applied_offset, applied_time, entries,
                stale, stale_reason, staleness_policy)
            SELECT service, instance, broker_user, verified, reported_at, applied_offset, applied_time, entries, stale, stale_reason, staleness_policy
            FROM fitting WHERE nth + (SELECT count(*) FROM revocation.verifier_reports) <= $13
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM fresh) - (SELECT count(*) FROM kept) AS "dropped!""#,
        &r.services,
        &r.instances,
        &r.users,
        &r.verified,
        &r.reported_at,
        &r.offsets as &[Option<i64>],
        &r.times as &[Option<OffsetDateTime>],
        &r.entries,
        &r.stale,
        &r.reasons as &[Option<String>],
        &r.policies as &[Option<String>],
        MOST_OF_USER,
        MOST
    )
    .fetch_one(c)
    .await
}
