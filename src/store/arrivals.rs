//! What logouts bring, and for how long verifiers deny it, from a sample of the record: for `check`.

use time::OffsetDateTime;

use super::{Store, StoreError};

/// Targets that are looked at, the latest ones, unless a day has fewer.
const SAMPLE: i64 = 20_000;
const DAY: f64 = 86_400.0;

/// The targets of the latest logouts.
pub struct Arrivals {
    /// In how many seconds they came.
    pub seconds: f64,
    /// Sort by sort; empty where there were none.
    pub sorts: Vec<Arrived>,
}

/// Targets of one sort.
pub struct Arrived {
    /// Whether they are tokens; else sessions and subjects.
    pub is_token: bool,
    /// Whether they are hinted `refresh_token`.
    pub is_refresh_token: bool,
    /// Whether they are compact JWS, which a verifier knows by several names.
    pub is_signed: bool,
    /// How many there are.
    pub targets: i64,
    /// For how many seconds verifiers deny them, summed up.
    pub denied_seconds: f64,
}

impl Store {
    /// A sample of what logouts brought within the last day.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn arrivals(&self) -> Result<Arrivals, StoreError> {
        let rows = within!(self, "look what logouts bring", |c| {
            sqlx::query!(
                r#"WITH latest AS MATERIALIZED (
                       -- Row ids sort by time.
                       SELECT event_id, lane, kind, token_type_hint, signed_sha256, deny_until
                       FROM revocation.targets ORDER BY event_id DESC, ordinal DESC LIMIT $1
                   ), of_today AS MATERIALIZED (
                       SELECT t.*, e.received_at
                       FROM latest t JOIN revocation.events e USING (event_id)
                       WHERE e.received_at > now() - interval '1 day'
                   )
                   SELECT kind = 'token' AS "is_token!",
                          coalesce(token_type_hint = 'refresh_token', false) AS "is_refresh_token!",
                          signed_sha256 IS NOT NULL AS "is_signed!",
                          count(*) AS "targets!",
                          sum(extract(epoch FROM greatest(deny_until - received_at, interval '0')))::float8
                              AS "denied_seconds!",
                          (SELECT count(*) FROM of_today) AS "sampled!",
                          (SELECT min(received_at) FROM of_today) AS "since!",
                          now() AS "now!"
                   FROM of_today WHERE lane = 'interactive' GROUP BY 1, 2, 3"#,
                SAMPLE
            )
            .fetch_all(c)
            .await
        })?;
        let over = |sampled: i64, since: OffsetDateTime, now: OffsetDateTime| {
            if sampled < SAMPLE { DAY } else { (now - since).as_seconds_f64().max(1.0) }
        };
        let seconds = rows.first().map_or(DAY, |row| over(row.sampled, row.since, row.now));
        let sorts = rows.into_iter().map(|row| Arrived {
            is_token: row.is_token,
            is_refresh_token: row.is_refresh_token,
            is_signed: row.is_signed,
            targets: row.targets,
            denied_seconds: row.denied_seconds,
        });
        Ok(Arrivals { seconds, sorts: sorts.collect() })
    }
}
