//! Retention: whole months of the record go, by functions of the database (migration 0031) that nobody but
//! the role `revocation_retention` may call.

use std::collections::BTreeMap;
use std::time::Duration;

use revocation_evidence::SigningKey;
use serde::Deserialize;
use sqlx::pool::PoolConnection;
use sqlx::types::Json;
use sqlx::{Connection, Postgres};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::checkpoints::base;
use super::{Store, StoreError};

const WHAT: &str = "purge the record";

/// Counting a month of ten million rows takes minutes. A batch that meets a lock gives up after the session's
/// lock_timeout, and keeps nothing locked for longer than its own fraction of a second.
const LIMITS: &str = "SET statement_timeout = '1h'";

/// Most rows of a table that one transaction removes.
const BATCH: i32 = 500;

/// What a purge of a month would find.
#[derive(Deserialize)]
pub struct Purgeable {
    /// How many rows would go, by table.
    pub rows: BTreeMap<String, u64>,
    /// Events of the month that stay, since they are not over.
    pub kept: u64,
    /// The first few of their targets that are open: `revocation_id`s.
    pub open: Vec<String>,
    /// Whether a purge of the month was interrupted.
    pub under_way: bool,
}

/// A connection that purges, or only looks.
pub struct PurgeSession {
    connection: PoolConnection<Postgres>,
    /// Nothing of this moment or later goes: the start of a month in UTC.
    pub ends_before: OffsetDateTime,
}

/// The purge of one month, under way.
pub struct Purge<'s> {
    session: &'s mut PurgeSession,
    /// Its number in `audit.purges`.
    pub number: i64,
    /// The last event that was looked at.
    after: Option<Uuid>,
    events_are_done: bool,
}

impl Store {
    /// A session that purges what is older than this, in whole months. `None`: another one is purging.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn purge_session(&self, older_than: Duration) -> Result<Option<PurgeSession>, StoreError> {
        let mut connection = self.patient(WHAT).await?;
        let work = async {
            sqlx::raw_sql(LIMITS).execute(&mut *connection).await?;
            sqlx::query!(
                r#"SELECT date_trunc('month', now() - make_interval(secs => $1), 'UTC') AS "ends_before!",
                       pg_try_advisory_lock(hashtext('revocation.purged')) AS "is_alone!""#,
                older_than.as_secs_f64()
            )
            .fetch_one(&mut *connection)
            .await
        };
        let found = work.await.map_err(|e| StoreError::new(WHAT, e))?;
        Ok(found.is_alone.then_some(PurgeSession { connection, ends_before: found.ends_before }))
    }
}

impl PurgeSession {
    /// The months that may have something to purge, the oldest first; each by its first day.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn months(&mut self) -> Result<Vec<Date>, StoreError> {
        sqlx::query_scalar!(
            r#"SELECT month AS "month!" FROM revocation.purgeable_months($1) AS month"#,
            self.ends_before
        )
        .fetch_all(&mut *self.connection)
        .await
        .map_err(|e| StoreError::new(WHAT, e))
    }

    /// The last checkpoint of which a purge may take rows, and whether it may have taken some already.
    /// `None`: of none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn reach(&mut self) -> Result<Option<(i64, bool)>, StoreError> {
        let reach = base::reach(&mut self.connection, self.ends_before).await;
        let reach = reach.map_err(|e| StoreError::new(WHAT, e))?;
        Ok(reach.map(|reach| (reach.number, reach.is_begun)))
    }

    /// Leaves one checkpoint, signed, for all up to this number.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn leave_base(
        &mut self,
        number: i64,
        was_intact: bool,
        key: &SigningKey,
        by: &str,
    ) -> Result<(), StoreError> {
        let left = async {
            let mut transaction = self.connection.begin().await?;
            base::leave(&mut transaction, number, was_intact, key, by).await?;
            transaction.commit().await
        };
        left.await.map_err(|e| StoreError::new(WHAT, e))
    }

    /// What a purge of this month would find.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn purgeable(&mut self, month: Date) -> Result<Purgeable, StoreError> {
        sqlx::query_scalar!(
            r#"SELECT revocation.purgeable($1, $2) AS "found!: Json<Purgeable>""#,
            month,
            self.ends_before
        )
        .fetch_one(&mut *self.connection)
        .await
        .map(|Json(found)| found)
        .map_err(|e| StoreError::new(WHAT, e))
    }

    /// Begins to purge this month, or goes on where it was interrupted.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn begin(&mut self, month: Date, note: &str) -> Result<Purge<'_>, StoreError> {
        let number = sqlx::query_scalar!(
            r#"SELECT revocation.begin_purge($1, $2, $3) AS "number!""#,
            month,
            self.ends_before,
            note
        )
        .fetch_one(&mut *self.connection)
        .await
        .map_err(|e| StoreError::new(WHAT, e))?;
        Ok(Purge { session: self, number, after: None, events_are_done: false })
    }
}

impl Purge<'_> {
    /// Removes a few hundred events with all that is of them, or as many rows of other tables, in one
    /// transaction. Returns whether there may be more.
    ///
    /// # Errors
    /// See [`StoreError`]; what went before stays gone, counted and digested.
    pub async fn batch(&mut self) -> Result<bool, StoreError> {
        let connection = &mut *self.session.connection;
        let (number, after) = (self.number, self.after);
        let work = async {
            if self.events_are_done {
                let others = sqlx::query_scalar!("SELECT revocation.purge_others($1, $2)", number, BATCH);
                return Ok((after, others.fetch_one(connection).await?.unwrap_or_default() > 0));
            }
            let events =
                sqlx::query_scalar!("SELECT revocation.purge_events($1, $2, $3)", number, after, BATCH);
            Ok((events.fetch_one(connection).await?, true))
        };
        let (last, has_more) = work.await.map_err(|e| StoreError::new(WHAT, e))?;
        self.events_are_done |= last.is_none();
        self.after = last;
        Ok(has_more)
    }

    /// What is to be signed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn checkpoint(&mut self) -> Result<String, StoreError> {
        sqlx::query_scalar!(r#"SELECT revocation.purge_checkpoint($1) AS "checkpoint!""#, self.number)
            .fetch_one(&mut *self.session.connection)
            .await
            .map_err(|e| StoreError::new(WHAT, e))
    }

    /// Ends it by a signature of its checkpoint, and writes `audit.operations`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end(
        self,
        checkpoint: &str,
        key_id: &str,
        public_key: &str,
        signature: &[u8],
        note: &str,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "SELECT revocation.end_purge($1, $2, $3, $4, $5, $6)::text AS ended",
            self.number,
            checkpoint,
            key_id,
            public_key,
            signature,
            note
        )
        .fetch_one(&mut *self.session.connection)
        .await
        .map(drop)
        .map_err(|e| StoreError::new(WHAT, e))
    }
}
