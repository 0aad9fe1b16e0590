//! Which events of an incident are on record: what a publisher that was interrupted need not send again.

use std::collections::HashSet;
use std::time::Instant;

use crate::clock::Reading;
use crate::store::{Store, StoreError};

impl Store {
    /// The state of an incident as `audit.incidents` names it; `None`: it is not on record.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn incident_state(&self, incident: &str) -> Result<Option<String>, StoreError> {
        within!(self, "look for the incident", |c| {
            sqlx::query_scalar!(
                r#"SELECT state AS "state!" FROM audit.incidents WHERE incident = $1"#,
                incident
            )
            .fetch_optional(c)
            .await
        })
    }

    /// What the database's clock says.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn time(&self) -> Result<Reading, StoreError> {
        within!(self, "read the database's clock", |c| {
            let sent = Instant::now();
            let told = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(c).await;
            told.map(|database| Reading { sent, database, received: Instant::now() })
        })
    }

    /// The ids of a source's events of an incident that came by one broker user.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn event_ids(
        &self,
        source: &str,
        incident: &str,
        user: &str,
    ) -> Result<HashSet<String>, StoreError> {
        let ids = within!(self, "look for an incident's events", |c| {
            sqlx::query_scalar!(
                r#"SELECT event_id AS "id!" FROM audit.events
                   WHERE event_source = $1 AND incident = $2 AND broker_user = $3"#,
                source,
                incident,
                user
            )
            .fetch_all(c)
            .await
        });
        ids.map(HashSet::from_iter)
    }
}
