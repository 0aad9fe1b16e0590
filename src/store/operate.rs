//! What operators ask for, and what the metrics show of the database.

use std::time::Duration;

use serde_json::Value;
use sqlx::PgConnection;

use super::{Store, StoreError};
use crate::target::TargetId;

/// Which parked or waiting targets become due now.
pub enum RetryScope {
    /// All of a provider.
    Provider(String),
    /// All of an incident.
    Incident(String),
    /// One target.
    Target(TargetId),
}

/// Open targets of one provider, lane and state.
pub struct Backlog {
    /// Provider.
    pub provider: String,
    /// Lane.
    pub lane: String,
    /// `pending` or `parked`.
    pub state: String,
    /// How many.
    pub targets: i64,
}

/// Where a target stands.
pub struct Standing {
    /// Its state.
    pub state: String,
    /// Whether that state is final.
    pub is_final: bool,
}

impl Store {
    /// Counts the open targets that no worker holds. What waits in incidents is not visited: it is counted already.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        within!(self, "count the backlog", |c| {
            sqlx::query_as!(
                Backlog,
                r#"SELECT provider AS "provider!", lane AS "lane!", state AS "state!", sum(targets)::bigint AS "targets!"
                   FROM (
                       SELECT provider, lane, state, count(*) AS targets FROM revocation.targets
                       WHERE lease_owner IS NULL AND finished_at IS NULL AND NOT waiting GROUP BY provider, lane, state
                       UNION ALL
                       SELECT c.provider, 'mass', 'pending', sum(c.targets)
                       FROM revocation.incidents i JOIN revocation.incident_counts c USING (incident)
                       WHERE i.finished_at IS NULL AND c.stage = 'waiting' GROUP BY c.provider
                   ) part
                   GROUP BY provider, lane, state HAVING sum(targets) > 0"#
            )
            .fetch_all(c)
            .await
        })
    }

    /// Makes parked targets, and those waiting for a retry, due now, with a fresh budget. Returns how many. Writes `audit.operations`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn retry(&self, actor: &str, scope: &RetryScope, fresh_budget: Duration) -> Result<u64, StoreError> {
        const WHAT: &str = "make targets due";
        let mut connection = self.pool.acquire().await.map_err(|e| StoreError::new(WHAT, e))?;
        // One statement, so that it happens wholly or not at all; a provider that was away for a day has many targets.
        connection.close_on_drop();
        let work = async {
            sqlx::query("SET statement_timeout = '10min'").execute(&mut *connection).await?;
            retry(&mut connection, actor, scope, fresh_budget).await
        };
        work.await.map(i64::unsigned_abs).map_err(|e| StoreError::new(WHAT, e))
    }

    /// Where a target stands; `None`: there is no such target.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn standing(&self, target: TargetId) -> Result<Option<Standing>, StoreError> {
        within!(self, "look for a target", |c| {
            sqlx::query_as!(
                Standing,
                r#"SELECT state, finished_at IS NOT NULL AS "is_final!" FROM revocation.targets WHERE event_id = $1 AND ordinal = $2"#,
                target.event,
                target.ordinal
            )
            .fetch_optional(c)
            .await
        })
    }

    /// Writes one row of `audit.operations`. Neither `actor` nor `action` may be empty.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_operation(&self, actor: &str, action: &str, detail: &Value) -> Result<(), StoreError> {
        within!(self, "record the operation", |c| {
            sqlx::query!("INSERT INTO revocation.operations (actor, action, detail) VALUES ($1, $2, $3)", actor, action, detail)
                .execute(c)
                .await
                .map(drop)
        })
    }
}

/// A target that a worker holds is left alone: it is being tried this moment. So is one that waits in its incident: its turn comes.
async fn retry(c: &mut PgConnection, actor: &str, scope: &RetryScope, fresh_budget: Duration) -> Result<i64, sqlx::Error> {
    let (provider, incident, target) = match scope {
        RetryScope::Provider(name) => (Some(name.as_str()), None, None),
        RetryScope::Incident(name) => (None, Some(name.as_str()), None),
        RetryScope::Target(id) => (None, None, Some(*id)),
    };
    let detail: Value = serde_json::json!({ "provider": provider, "revocation_id": target.map(|id| id.to_string()) });
    sqlx::query_scalar!(
        r#"WITH found AS MATERIALIZED (
            SELECT event_id, ordinal FROM revocation.targets
            WHERE provider = $1 AND lease_owner IS NULL AND finished_at IS NULL AND NOT waiting AND (state = 'parked' OR due_at > now())
            UNION ALL
            SELECT t.event_id, t.ordinal
            FROM (SELECT DISTINCT provider FROM revocation.incident_counts WHERE incident = $2) p CROSS JOIN LATERAL (
                SELECT t.event_id, t.ordinal FROM revocation.targets t
                WHERE t.provider = p.provider AND t.lane = 'mass' AND t.incident = $2
                    AND t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting AND (t.state = 'parked' OR t.due_at > now())) t
            UNION ALL
            SELECT event_id, ordinal FROM revocation.targets
            WHERE event_id = $3 AND ordinal = $4 AND lease_owner IS NULL AND finished_at IS NULL AND NOT waiting
                AND (state = 'parked' OR due_at > now())
        ), due AS (
            UPDATE revocation.targets t
            SET state = 'pending', due_at = now(), failures = 0, give_up_at = greatest(t.give_up_at, now() + make_interval(secs => $7))
            FROM found f
            WHERE t.event_id = f.event_id AND t.ordinal = f.ordinal AND t.lease_owner IS NULL AND t.finished_at IS NULL
                AND (t.state = 'parked' OR t.due_at > now())
            RETURNING 1
        ), noted AS (
            INSERT INTO revocation.operations (actor, action, incident, detail)
            SELECT $5, 'retry', $2, $6::jsonb || jsonb_build_object('targets', (SELECT count(*) FROM due), 'role', session_user)
        )
        SELECT count(*) AS "targets!" FROM due"#,
        provider,
        incident,
        target.map(|id| id.event),
        target.map(|id| id.ordinal),
        actor,
        detail,
        fresh_budget.as_secs_f64()
    )
    .fetch_one(c)
    .await
}
