//! What an incident asks a second person for, by name.

use crate::store::{IncidentDetail, Store, StoreError};

/// So many names are looked for.
const NAMES: i64 = 1000;

impl Store {
    /// Reads what the kinds of targets that call for approval name, into an incident that waits for it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn name_asked(&self, incident: &mut IncidentDetail) -> Result<(), StoreError> {
        const WHAT: &str = "look for what is to be approved";
        if incident.row.state != "awaiting_approval" || incident.asks.is_empty() {
            return Ok(());
        }
        let mut connection = self.patient(WHAT).await?;
        let names = sqlx::query_scalar!(
            r#"SELECT DISTINCT concat_ws(' ', r.target_kind,
                      CASE r.target_kind WHEN 'client' THEN r.client_id WHEN 'issuer' THEN r.iss
                           WHEN 'subject' THEN r.sub WHEN 'session' THEN r.sid END,
                      'at', r.provider) AS "name!"
               FROM audit.revocations r
               WHERE r.incident = $1 AND r.target_kind = ANY ($2) AND r.target_kind <> 'token'
               ORDER BY 1 LIMIT $3"#,
            incident.row.incident,
            &incident.asks as &[String],
            NAMES
        )
        .fetch_all(&mut *connection);
        incident.asked = Some(names.await.map_err(|e| StoreError::new(WHAT, e))?);
        Ok(())
    }
}
