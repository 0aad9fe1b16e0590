//! What providers wait for, as JSON for operators, and the order that ends a wait.

use serde_json::Value;

use super::{Store, StoreError};

impl Store {
    /// The rows of `audit.providers`, each with its backlog: `pending` and `parked` targets,
    /// `oldest_received_at`, `next_attempt_at`. A provider with a backlog that no live worker has told of is
    /// among them, without a breaker. `None`: all of them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn providers(&self, name: Option<&str>) -> Result<Vec<Value>, StoreError> {
        const WHAT: &str = "list the providers";
        let mut connection = self.patient(WHAT).await?;
        let work = sqlx::query_scalar!(
            r#"WITH backlog AS MATERIALIZED (
                SELECT provider, coalesce(sum(targets) FILTER (WHERE state = 'pending'), 0)::bigint AS pending,
                       coalesce(sum(targets) FILTER (WHERE state = 'parked'), 0)::bigint AS parked,
                       min(oldest_received_at) AS oldest_received_at, min(next_attempt_at) FILTER (WHERE state = 'pending') AS next_attempt_at
                FROM audit.backlog WHERE $1::text IS NULL OR provider = $1 GROUP BY provider
            )
            SELECT jsonb_build_object('provider', provider, 'breaker', p.breaker, 'waits_since', p.waits_since, 'held_until', p.held_until,
                       'last_success_at', p.last_success_at, 'last_failure_at', p.last_failure_at, 'last_error', p.last_error,
                       'calls_5m', coalesce(p.calls_5m, 0), 'failures_5m', coalesce(p.failures_5m, 0),
                       'pending', coalesce(b.pending, 0), 'parked', coalesce(b.parked, 0), 'oldest_received_at', b.oldest_received_at,
                       'next_attempt_at', b.next_attempt_at) AS "provider!"
            FROM (SELECT * FROM audit.providers a WHERE $1::text IS NULL OR a.provider = $1) p FULL JOIN backlog b USING (provider)
            ORDER BY provider"#,
            name
        )
        .fetch_all(&mut *connection);
        work.await.map_err(|e| StoreError::new(WHAT, e))
    }

    /// `{"workers": […], "operations": […]}`: what each live worker sees of a provider, and what operators
    /// ordered of it, the last first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn provider_detail(&self, name: &str) -> Result<Value, StoreError> {
        within!(self, "read what workers see of a provider", |c| {
            sqlx::query_scalar!(
                r#"SELECT jsonb_build_object(
                       'workers', (SELECT coalesce(jsonb_agg(to_jsonb(s) - 'provider' ORDER BY s.worker), '[]')
                           FROM audit.provider_workers s WHERE s.provider = $1),
                       'operations', (SELECT coalesce(jsonb_agg(o ORDER BY o.order_no DESC), '[]') FROM (
                           SELECT order_no, at, actor, action, role FROM audit.provider_orders WHERE provider = $1
                           ORDER BY order_no DESC LIMIT 20) o)) AS "detail!""#,
                name
            )
            .fetch_one(c)
            .await
        })
    }

    /// Orders that a provider is called again: every worker ends its wait within a second or so. Its targets
    /// that wait for another attempt are due now; their schedules and budgets stay as they are. Returns
    /// `{"order_no", "due", "breaker", "held_until"}`, the last two as they were; `None`: no live worker has
    /// such a provider. Writes `audit.operations`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn resume_provider(&self, note: &str, name: &str) -> Result<Option<Value>, StoreError> {
        const WHAT: &str = "have a provider called again";
        let mut connection = self.pool.acquire().await.map_err(|e| StoreError::new(WHAT, e))?;
        // One statement, so that it happens wholly or not at all; a provider that was away for a day has many
        // targets.
        connection.close_on_drop();
        let work = async {
            sqlx::query("SET statement_timeout = '10min'").execute(&mut *connection).await?;
            sqlx::query_scalar!("SELECT revocation.resume_provider($1, $2)", name, note)
                .fetch_one(&mut *connection)
                .await
        };
        work.await.map_err(|e| StoreError::new(WHAT, e))
    }
}
