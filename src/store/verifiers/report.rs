//! Writing what verifiers report, within bounds.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::report::{Attested, judge};

/// About as many rows are kept: more are the doing of somebody who invents names.
const MOST: i64 = 10_000;
/// So many of them by one broker user: enough for a gate beside every instance of a large service, a tenth of
/// what fits.
const MOST_OF_USER: i64 = 1_000;

/// `revocation.new_report`.
#[derive(sqlx::Encode)]
struct ReportRow<'a> {
    service: &'a str,
    instance: &'a str,
    broker_user: &'a str,
    verified: bool,
    reported_at: OffsetDateTime,
    applied_offset: Option<i64>,
    applied_time: Option<OffsetDateTime>,
    entries: i64,
    stale: bool,
    stale_reason: Option<&'a str>,
    staleness_policy: Option<&'a str>,
}

composite!(ReportRow<'_>, "revocation.new_report");

impl<'a> ReportRow<'a> {
    fn of((attested, verified): (&'a Attested, bool)) -> Self {
        let Attested { report, broker_user, .. } = attested;
        Self {
            service: &report.service,
            instance: &report.instance,
            broker_user: broker_user.as_deref().unwrap_or_default(),
            verified,
            reported_at: report.reported_at,
            applied_offset: report.applied_offset,
            applied_time: report.applied_time,
            entries: report.entries,
            stale: report.stale,
            stale_reason: report.stale_reason.as_deref(),
            staleness_policy: report.staleness_policy.as_deref(),
        }
    }
}

/// One worker at a time: of two users who claim a service the same moment one was first, and no two fill the
/// same place.
pub(super) async fn report(c: &mut PgConnection, reports: &[Attested]) -> Result<u64, sqlx::Error> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('revocation.verifier_reports', 0))")
        .fetch_one(&mut *c)
        .await?;
    let mut owners = owners(c, reports).await?;
    let verified = judge(reports, &mut owners);
    let rows: Vec<_> = reports.iter().zip(verified).map(ReportRow::of).collect();
    update(c, &rows).await?;
    make_room(c, &rows).await?;
    insert(c, &rows).await.map(i64::unsigned_abs)
}

/// The users whose reports for these services are on record as their owners'.
async fn owners(
    c: &mut PgConnection,
    reports: &[Attested],
) -> Result<BTreeMap<String, BTreeSet<String>>, sqlx::Error> {
    let services: BTreeSet<_> = reports.iter().map(|attested| attested.report.service.clone()).collect();
    let services: Vec<_> = services.into_iter().collect();
    let rows = sqlx::query!(
        "SELECT DISTINCT service, broker_user FROM revocation.verifier_reports
         WHERE verified AND service = ANY ($1)",
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

async fn update(c: &mut PgConnection, rows: &[ReportRow<'_>]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE revocation.verifier_reports v
         SET last_seen_at = now(),
             verified = r.verified,
             reported_at = r.reported_at,
             applied_offset = r.applied_offset,
             applied_time = r.applied_time,
             entries = r.entries,
             stale = r.stale,
             stale_reason = r.stale_reason,
             staleness_policy = r.staleness_policy
         FROM unnest($1::revocation.new_report[]) AS r
         WHERE v.service = r.service AND v.instance = r.instance AND v.broker_user = r.broker_user
             AND (r.reported_at >= v.reported_at OR v.last_seen_at < now() - interval '1 minute')",
        rows as _
    )
    .execute(c)
    .await
    .map(drop)
}

/// Deletes dead rows where new ones would not fit: of the same user, and where all together are too many, of
/// anybody, an owner's last.
async fn make_room(c: &mut PgConnection, rows: &[ReportRow<'_>]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH wanted AS MATERIALIZED (
             SELECT r.broker_user, count(*) AS rows FROM unnest($1::revocation.new_report[]) AS r
             WHERE NOT EXISTS (
                 SELECT FROM revocation.verifier_reports k
                 WHERE k.service = r.service AND k.instance = r.instance AND k.broker_user = r.broker_user)
             GROUP BY r.broker_user
         ), of_user AS MATERIALIZED (
             SELECT dead.* FROM (
                 SELECT w.broker_user, greatest(0, w.rows - $2::bigint + (
                     SELECT count(*) FROM revocation.verifier_reports k
                     WHERE k.broker_user = w.broker_user)) AS rows
                 FROM wanted w
             ) excess CROSS JOIN LATERAL (
                 SELECT k.service, k.instance, k.broker_user FROM revocation.verifier_reports k
                 WHERE k.broker_user = excess.broker_user AND k.last_seen_at < now() - interval '15 seconds'
                 ORDER BY k.last_seen_at LIMIT excess.rows
             ) dead
         ), of_all AS MATERIALIZED (
             SELECT k.service, k.instance, k.broker_user FROM revocation.verifier_reports k
             WHERE k.last_seen_at < now() - interval '15 seconds'
             ORDER BY k.verified, k.last_seen_at
             -- All are counted only where something new wants a place.
             LIMIT (
                 SELECT greatest(0, coalesce(sum(least(w.rows, $2))::bigint, 0) - $3::bigint
                     + CASE WHEN count(*) > 0
                         THEN (SELECT count(*) FROM revocation.verifier_reports) ELSE 0 END)
                 FROM wanted w)
         )
         DELETE FROM revocation.verifier_reports v
         USING (SELECT * FROM of_user UNION SELECT * FROM of_all) gone
         WHERE v.service = gone.service AND v.instance = gone.instance AND v.broker_user = gone.broker_user",
        rows as _,
        MOST_OF_USER,
        MOST
    )
    .execute(c)
    .await
    .map(drop)
}

/// Adds what is new and fits; returns how many do not.
async fn insert(c: &mut PgConnection, rows: &[ReportRow<'_>]) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"WITH fresh AS MATERIALIZED (
            SELECT r.*, row_number() OVER (PARTITION BY r.broker_user ORDER BY r.place) + (
                SELECT count(*) FROM revocation.verifier_reports k
                WHERE k.broker_user = r.broker_user) AS of_user
            FROM unnest($1::revocation.new_report[]) WITH ORDINALITY AS r (
                service, instance, broker_user, verified, reported_at, applied_offset, applied_time, entries,
                stale, stale_reason, staleness_policy, place)
            WHERE NOT EXISTS (
                SELECT FROM revocation.verifier_reports k
                WHERE k.service = r.service AND k.instance = r.instance AND k.broker_user = r.broker_user)
        ), fitting AS (
            SELECT *, row_number() OVER (ORDER BY place) AS nth FROM fresh WHERE of_user <= $2
        ), kept AS (
            INSERT INTO revocation.verifier_reports (
                service, instance, broker_user, verified, reported_at, applied_offset, applied_time, entries,
                stale, stale_reason, staleness_policy)
            SELECT
                service, instance, broker_user, verified, reported_at, applied_offset, applied_time, entries,
                stale, stale_reason, staleness_policy
            FROM fitting WHERE nth + (SELECT count(*) FROM revocation.verifier_reports) <= $3
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM fresh) - (SELECT count(*) FROM kept) AS "dropped!""#,
        rows as _,
        MOST_OF_USER,
        MOST
    )
    .fetch_one(c)
    .await
}
