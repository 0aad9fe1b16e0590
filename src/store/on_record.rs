//! Which events of an incident are on record: what a publisher that was interrupted need not send again.

use std::collections::HashSet;

use super::{Store, StoreError};

impl Store {
    /// The ids of a source's events of an incident that came by one broker user.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn event_ids(&self, source: &str, incident: &str, user: &str) -> Result<HashSet<String>, StoreError> {
        let ids = within!(self, "look for an incident's events", |c| {
            sqlx::query_scalar!(
                r#"SELECT coalesce(real_id, id) AS "id!" FROM revocation.events WHERE source = $1 AND incident = $2 AND broker_user = $3"#,
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
