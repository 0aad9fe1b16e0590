//! What providers wait for, for operators, and the order that ends a wait. Times are as Postgres writes them
//! in JSON. What a view has beyond the named members passes through.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::types::Json;

use super::{Store, StoreError, ailing};

/// A provider's row of `audit.providers`, with its backlog. One that has a backlog, and that no live worker
/// has told of, has no breaker.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct ProviderBacklog {
    pub provider: String,
    pub breaker: Option<String>,
    /// Why it is left alone, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub waits_since: Option<String>,
    pub held_until: Option<String>,
    pub last_success_at: Option<String>,
    pub last_failure_at: Option<String>,
    pub last_error: Option<String>,
    pub calls_5m: u64,
    pub failures_5m: u64,
    pub pending: u64,
    pub parked: u64,
    pub oldest_received_at: Option<String>,
    pub next_attempt_at: Option<String>,
}

/// What is known of a provider besides.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProviderDetail {
    /// What each live worker sees of it.
    pub workers: Vec<ProviderWorker>,
    /// What operators ordered of it, the last first.
    pub operations: Vec<ProviderOperation>,
}

/// A row of `audit.provider_workers`.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct ProviderWorker {
    pub worker: String,
    pub breaker: String,
    pub waits_since: Option<String>,
    pub held_until: Option<String>,
    pub last_success_at: Option<String>,
    pub last_error: Option<String>,
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

/// A row of `audit.provider_orders`.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct ProviderOperation {
    pub at: String,
    pub actor: String,
    pub action: String,
    pub role: Option<String>,
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

/// What became of the order to call a provider again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Resumed {
    /// The order's number, which workers compare.
    pub order_no: i64,
    /// Targets that waited for another attempt, and are due now.
    pub due: u64,
    /// The breaker as it was.
    pub breaker: Option<String>,
    /// Until when the provider had asked to be left alone.
    pub held_until: Option<String>,
}

impl Store {
    /// The providers that a live worker or an open target knows. `None`: all of them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn providers(&self, name: Option<&str>) -> Result<Vec<ProviderBacklog>, StoreError> {
        const WHAT: &str = "list the providers";
        let mut connection = self.patient(WHAT).await?;
        let work = sqlx::query_scalar!(
            r#"WITH backlog AS MATERIALIZED (
                   SELECT provider,
                          coalesce(sum(targets) FILTER (WHERE state = 'pending'), 0)::bigint AS pending,
                          coalesce(sum(targets) FILTER (WHERE state = 'parked'), 0)::bigint AS parked,
                          min(oldest_received_at) AS oldest_received_at,
                          min(next_attempt_at) FILTER (WHERE state = 'pending') AS next_attempt_at
                   FROM audit.backlog WHERE $1::text IS NULL OR provider = $1
                   GROUP BY provider
               ), told AS (
                   SELECT * FROM audit.providers a WHERE $1::text IS NULL OR a.provider = $1
               )
               SELECT jsonb_build_object(
                   'provider', provider,
                   'breaker', p.breaker,
                   'waits_since', p.waits_since,
                   'held_until', p.held_until,
                   'last_success_at', p.last_success_at,
                   'last_failure_at', p.last_failure_at,
                   'last_error', p.last_error,
                   'calls_5m', coalesce(p.calls_5m, 0),
                   'failures_5m', coalesce(p.failures_5m, 0),
                   'pending', coalesce(b.pending, 0),
                   'parked', coalesce(b.parked, 0),
                   'oldest_received_at', b.oldest_received_at,
                   'next_attempt_at', b.next_attempt_at
               ) AS "provider!: Json<ProviderBacklog>"
               FROM told p FULL JOIN backlog b USING (provider)
               ORDER BY provider"#,
            name
        )
        .fetch_all(&mut *connection);
        let providers = work.await.map_err(|e| StoreError::new(WHAT, e))?;
        let seen = ailing::look(&mut connection).await.map_err(|e| StoreError::new(WHAT, e))?;
        let with_reason = |Json(mut row): Json<ProviderBacklog>| {
            let (breaker, error) = (row.breaker.as_deref().unwrap_or("closed"), row.last_error.as_deref());
            row.reason = seen.reason(&row.provider, breaker, row.held_until.is_some(), error);
            row
        };
        Ok(providers.into_iter().map(with_reason).collect())
    }

    /// What each live worker sees of a provider, and what operators ordered of it lately.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn provider_detail(&self, name: &str) -> Result<ProviderDetail, StoreError> {
        within!(self, "read what workers see of a provider", |c| {
            let detail = sqlx::query_scalar!(
                r#"SELECT jsonb_build_object(
                       'workers', (
                           SELECT coalesce(jsonb_agg(to_jsonb(s) - 'provider' ORDER BY s.worker), '[]')
                           FROM audit.provider_workers s WHERE s.provider = $1),
                       'operations', (
                           SELECT coalesce(jsonb_agg(o ORDER BY o.order_no DESC), '[]')
                           FROM (SELECT order_no, at, actor, action, role
                                 FROM audit.provider_orders WHERE provider = $1
                                 ORDER BY order_no DESC LIMIT 20) o)
                   ) AS "detail!: Json<ProviderDetail>""#,
                name
            );
            detail.fetch_one(c).await.map(|Json(detail)| detail)
        })
    }

    /// Orders that a provider is called again: every worker ends its wait within a second or so. Its targets
    /// that wait for another attempt are due now; their schedules and budgets stay as they are. `None`: no
    /// live worker has such a provider. Writes `audit.operations`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn resume_provider(&self, note: &str, name: &str) -> Result<Option<Resumed>, StoreError> {
        const WHAT: &str = "have a provider called again";
        let mut connection = self.lease(WHAT).await?;
        // One statement, so that it happens wholly or not at all; a provider that was away for a day has many
        // targets.
        connection.close_on_drop();
        let work = async {
            sqlx::query("SET statement_timeout = '10min'").execute(&mut *connection).await?;
            let resumed = sqlx::query_scalar!(
                r#"SELECT revocation.resume_provider($1, $2) AS "resumed: Json<Resumed>""#,
                name,
                note
            );
            resumed.fetch_one(&mut *connection).await
        };
        let resumed = work.await.map_err(|e| StoreError::new(WHAT, e))?;
        Ok(resumed.map(|Json(resumed)| resumed))
    }
}
