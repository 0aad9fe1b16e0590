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
pub struct TargetState {
    /// Its state.
    pub state: String,
    /// Whether that state is final.
    pub is_final: bool,
}

impl Store {
    /// Counts the open targets that no worker holds. What waits in incidents is not visited: it is counted
    /// already.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        within!(self, "count the backlog", |c| {
            sqlx::query_as!(
                Backlog,
                r#"SELECT provider AS "provider!", lane AS "lane!", state AS "state!",
                          sum(targets)::bigint AS "targets!"
                   FROM (
                       SELECT provider, lane, state, count(*) AS targets
                       FROM revocation.targets
                       WHERE lease_owner IS NULL AND finished_at IS NULL AND NOT waiting
                       GROUP BY provider, lane, state
                       UNION ALL
                       SELECT c.provider, 'mass', 'pending', sum(c.targets)
                       FROM revocation.incidents i JOIN revocation.incident_counts c USING (incident)
                       WHERE i.finished_at IS NULL AND c.stage = 'waiting'
                       GROUP BY c.provider
                   ) part
                   GROUP BY provider, lane, state HAVING sum(targets) > 0"#
            )
            .fetch_all(c)
            .await
        })
    }

    /// Makes parked targets, and those waiting for a retry, due now, with a fresh budget. Returns how many.
    /// Writes `audit.operations`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn retry(
        &self,
        note: &str,
        scope: &RetryScope,
        fresh_budget: Duration,
    ) -> Result<u64, StoreError> {
        const WHAT: &str = "make targets due";
        let mut connection = self.lease(WHAT).await?;
        // One statement, so that it happens wholly or not at all; a provider that was away for a day has many
        // targets.
        connection.close_on_drop();
        let work = async {
            sqlx::query("SET statement_timeout = '10min'").execute(&mut *connection).await?;
            retry(&mut connection, note, scope, fresh_budget).await
        };
        work.await.map(i64::unsigned_abs).map_err(|e| StoreError::new(WHAT, e))
    }

    /// Where a target stands; `None`: there is no such target.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn target_state(&self, target: TargetId) -> Result<Option<TargetState>, StoreError> {
        within!(self, "look for a target", |c| {
            sqlx::query_as!(
                TargetState,
                r#"SELECT state AS "state!", finished_at IS NOT NULL AS "is_final!"
                   FROM audit.targets WHERE event_row = $1 AND ordinal = $2"#,
                target.event,
                target.ordinal
            )
            .fetch_optional(c)
            .await
        })
    }

    /// Writes one row of `audit.operations` of something that was done elsewhere. `note`: who did it, as they
    /// say.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_operation(&self, note: &str, action: &str, detail: &Value) -> Result<(), StoreError> {
        self.note_of(note, action, None, detail).await
    }

    /// The same of an incident that was exported.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_export(&self, note: &str, incident: &str, detail: &Value) -> Result<(), StoreError> {
        self.note_of(note, "export", Some(incident), detail).await
    }

    async fn note_of(
        &self,
        note: &str,
        action: &str,
        incident: Option<&str>,
        detail: &Value,
    ) -> Result<(), StoreError> {
        within!(self, "record the operation", |c| {
            let noted = sqlx::query!(
                "SELECT revocation.note_operation($1, $2, $3, $4)::text AS noted",
                action,
                incident,
                detail,
                note
            );
            noted.fetch_one(c).await.map(drop)
        })
    }
}

async fn retry(
    c: &mut PgConnection,
    note: &str,
    scope: &RetryScope,
    fresh_budget: Duration,
) -> Result<i64, sqlx::Error> {
    let (provider, incident, target) = match scope {
        RetryScope::Provider(name) => (Some(name.as_str()), None, None),
        RetryScope::Incident(name) => (None, Some(name.as_str()), None),
        RetryScope::Target(id) => (None, None, Some(*id)),
    };
    sqlx::query_scalar!(
        r#"SELECT revocation.retry_targets($1, $2, $3, $4, $5, $6) AS "targets!""#,
        provider,
        incident,
        target.map(|id| id.event),
        target.map(|id| id.ordinal),
        fresh_budget.as_secs_f64(),
        note
    )
    .fetch_one(c)
    .await
}
