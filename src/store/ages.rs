//! How old the oldest of what is not done is, for the metrics.

use super::{Store, StoreError};

/// The ages, and the schema's version by the way.
pub struct Ages {
    /// By provider, lane and state, where something is due.
    pub due: Vec<Due>,
    /// For how long the first target has been revoked of which verifiers are not told; 0: there is none.
    pub unconfirmed_s: f64,
    /// The last migration.
    pub schema_version: i64,
    /// How long ago the last checkpoint of the record was made.
    pub checkpoint_s: f64,
}

/// A row of `audit.overdue`.
pub struct Due {
    /// Provider.
    pub provider: String,
    /// Lane.
    pub lane: String,
    /// `pending` or `parked`.
    pub state: String,
    /// For how long the first target has been due.
    pub seconds: f64,
}

impl Store {
    /// Looks for the oldest of what is not done, each by an index of what is open.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn ages(&self) -> Result<Ages, StoreError> {
        within!(self, "look for the oldest of what is not done", |c| {
            let due = sqlx::query_as!(
                Due,
                r#"SELECT provider AS "provider!", lane AS "lane!", state AS "state!",
                          extract(epoch FROM now() - since)::double precision AS "seconds!"
                   FROM audit.overdue"#
            )
            .fetch_all(&mut *c)
            .await?;
            let rest = sqlx::query!(
                r#"SELECT coalesce(extract(epoch FROM now() - min(finished_at)), 0)::double precision
                              AS "unconfirmed_s!",
                          coalesce(audit.schema_version(), 0) AS "schema_version!",
                          coalesce(extract(epoch FROM now() - (
                              SELECT made_at FROM revocation.checkpoints ORDER BY checkpoint_no DESC LIMIT 1
                          )), 0)::double precision AS "checkpoint_s!"
                   FROM revocation.targets WHERE state = 'revoked' AND confirmed_at IS NULL"#
            )
            .fetch_one(c)
            .await?;
            Ok(Ages {
                due,
                unconfirmed_s: rest.unconfirmed_s,
                schema_version: rest.schema_version,
                checkpoint_s: rest.checkpoint_s,
            })
        })
    }
}
