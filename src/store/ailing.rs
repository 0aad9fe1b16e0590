//! Providers that do not fare well: why they are left alone, which targets fail there again and again, and
//! which incidents they are asked for.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::visible::errors::brief;

/// A row of `audit.providers`.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct ProviderRow {
    pub provider: String,
    pub breaker: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub held_until: Option<String>,
    pub calls_5m: Option<u64>,
    pub failures_5m: Option<u64>,
    pub p50_ms_5m: Option<Number>,
    pub p95_ms_5m: Option<Number>,
    pub last_success_at: Option<String>,
    pub last_error: Option<String>,
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

/// A provider's targets that fail again and again and are to be tried once more.
#[derive(Debug, Serialize, Deserialize)]
pub struct FailingTargets {
    /// The provider.
    pub provider: String,
    /// So many.
    pub targets: u64,
    /// Statuses of their last answers; none of one that was not answered.
    pub statuses: Vec<u16>,
}

/// A provider's targets that were given up and are alive: it still honours them.
#[derive(Debug, Serialize, Deserialize)]
pub struct GivenUpTargets {
    /// The provider.
    pub provider: String,
    /// So many.
    pub targets: u64,
    /// Until when the last of them lives.
    pub until: Option<String>,
}

/// A running incident that has targets at a provider that is left alone.
#[derive(Debug, Serialize, Deserialize)]
pub struct Crowding {
    /// The provider.
    pub provider: String,
    /// The incident.
    pub incident: String,
    /// Its targets there that are not dealt with.
    pub pending: u64,
}

/// What only a session with a worker's rights reads.
#[derive(Default, Deserialize)]
pub(super) struct Seen {
    reasons: HashMap<String, String>,
    failing: Vec<FailingTargets>,
}

/// What fails again and again, and what crowds those that are left alone, whose rows are given the reasons.
pub(super) async fn of(
    providers: &mut [ProviderRow],
    connection: &mut PgConnection,
) -> Result<(Vec<FailingTargets>, Vec<Crowding>), sqlx::Error> {
    let seen = look(connection).await?;
    for row in &mut *providers {
        let error = row.last_error.as_deref();
        row.reason = seen.reason(&row.provider, &row.breaker, row.held_until.is_some(), error);
    }
    let is_any_left_alone = providers.iter().any(|row| row.breaker != "closed");
    let crowding = if is_any_left_alone { crowding(connection).await? } else { Vec::new() };
    Ok((seen.failing, crowding))
}

/// Nothing, of a session without a worker's rights. Targets that are due or wait for that, by their index.
pub(super) async fn look(connection: &mut PgConnection) -> Result<Seen, sqlx::Error> {
    let may = sqlx::query_scalar!(
        r#"SELECT CASE WHEN has_schema_privilege('revocation', 'USAGE')
               THEN has_table_privilege('revocation.targets', 'SELECT')
                   AND has_table_privilege('revocation.provider_status', 'SELECT')
               ELSE false END AS "may!""#
    );
    if !may.fetch_one(&mut *connection).await? {
        return Ok(Seen::default());
    }
    let seen = sqlx::query_scalar!(
        r#"WITH reason AS (
               SELECT DISTINCT ON (s.provider) s.provider, s.reason
               FROM revocation.provider_status s JOIN revocation.workers w USING (worker_no)
               WHERE w.ended_at IS NULL AND w.lease_until > now() AND s.breaker <> 'closed'
                   AND s.reason IS NOT NULL
               ORDER BY s.provider,
                   array_position(ARRAY['misconfigured', 'retry_after', 'failing'], s.reason)
           ), failing AS (
               SELECT provider, count(*) AS targets,
                      coalesce(jsonb_agg(DISTINCT last_http_status)
                          FILTER (WHERE last_http_status IS NOT NULL), '[]') AS statuses
               FROM (SELECT provider, last_http_status FROM revocation.targets
                     WHERE lease_owner IS NULL AND finished_at IS NULL AND NOT waiting
                         AND state = 'pending' AND failures >= 5 AND due_at > now() LIMIT 10000) AS again
               GROUP BY provider
           )
           SELECT jsonb_build_object(
               'reasons', (SELECT coalesce(jsonb_object_agg(provider, reason), '{}') FROM reason),
               'failing', (SELECT coalesce(jsonb_agg(f ORDER BY f.provider), '[]') FROM failing f)
           ) AS "seen!: Json<Seen>""#
    );
    seen.fetch_one(connection).await.map(|Json(seen)| seen)
}

async fn crowding(connection: &mut PgConnection) -> Result<Vec<Crowding>, sqlx::Error> {
    let crowding = sqlx::query_scalar!(
        r#"SELECT coalesce(jsonb_agg(jsonb_build_object(
                      'provider', p.provider, 'incident', p.incident, 'pending', p.pending)
                      ORDER BY p.provider, p.pending DESC, p.incident), '[]')
                      AS "crowding!: Json<Vec<Crowding>>"
           FROM audit.incidents i
           CROSS JOIN LATERAL (
               SELECT * FROM audit.incident_providers n WHERE n.incident = i.incident OFFSET 0) p
           WHERE i.state = 'running' AND i.finished_at IS NULL AND p.pending > 0
               AND p.provider IN (SELECT a.provider FROM audit.providers a WHERE a.breaker <> 'closed')"#
    );
    crowding.fetch_one(connection).await.map(|Json(crowding)| crowding)
}

impl Seen {
    /// Why a provider is left alone: as a worker has it on record, or else as far as the rest tells.
    pub(super) fn reason(
        &self,
        provider: &str,
        breaker: &str,
        is_held: bool,
        error: Option<&str>,
    ) -> Option<String> {
        if breaker == "closed" {
            return None;
        }
        let on_record = self.reasons.get(provider).map(String::as_str);
        let held = is_held.then_some("retry_after");
        on_record.or(held).or_else(|| told_by(error?)).map(str::to_owned)
    }
}

/// What the last error of one that is left alone tells of why.
fn told_by(error: &str) -> Option<&'static str> {
    let said = brief(error);
    let status: Option<u16> = said.get(..3).and_then(|status| status.parse().ok());
    match status {
        Some(408 | 425 | 429 | 500..=599) => Some("failing"),
        Some(300..=399 | 401 | 403 | 404 | 405 | 407 | 410) => Some("misconfigured"),
        _ if said.ends_with("mend this, and it goes on by itself") => Some("misconfigured"),
        _ if said.ends_with("will be tried again") => Some("failing"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_the_one_on_record_or_what_the_rest_tells() {
        let reasons = HashMap::from([("main".to_owned(), "misconfigured".to_owned())]);
        let seen = Seen { reasons, failing: Vec::new() };
        let at = "POST https://id.example.com/revoke";
        let (refused, down) =
            (format!("{at} answered 401 invalid_client; x"), format!("{at} answered 503; x"));
        let tls = format!("{at} failed: TLS: expired; mend this, and it goes on by itself");
        let away = format!("{at} failed: connection refused; nothing was sent, it will be tried again");
        for (provider, breaker, is_held, error, wanted) in [
            ("main", "closed", false, &refused, None),
            ("main", "open", true, &down, Some("misconfigured")),
            ("other", "open", true, &down, Some("retry_after")),
            ("other", "open", false, &refused, Some("misconfigured")),
            ("other", "half_open", false, &tls, Some("misconfigured")),
            ("other", "open", false, &down, Some("failing")),
            ("other", "half_open", false, &away, Some("failing")),
            ("other", "open", false, &"what nobody knows".to_owned(), None),
        ] {
            let reason = seen.reason(provider, breaker, is_held, Some(error));
            assert_eq!(reason.as_deref(), wanted, "{provider} {breaker} {error}");
        }
        assert_eq!(seen.reason("other", "open", false, None), None);
    }
}
