//! An incident's rows of the audit views, all as of one moment, for `incident export`.

use futures::StreamExt;
use futures::stream::BoxStream;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use time::OffsetDateTime;

use crate::store::{Store, StoreError};

const WHAT: &str = "read the incident's record";

/// A worker's limits are for lookups by index, of which there may be millions here; every row has to pass
/// through a pipe besides, and a disk.
const LIMITS: &str =
    "SET statement_timeout = '6h'; SET idle_in_transaction_session_timeout = '1h'; SET TimeZone = 'UTC';
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// One moment's view of an incident, as long as it lives.
pub struct Snapshot {
    connection: PoolConnection<Postgres>,
    name: String,
    /// The moment, by the database's clock.
    pub at: OffsetDateTime,
    /// The incident's row of `audit.incidents`, as JSON.
    pub incident: String,
}

/// Which rows.
#[derive(Clone, Copy)]
pub enum Rows {
    /// `audit.revocations` of the incident, by event and place in it.
    Revocations,
    /// `audit.attempts` of these.
    Attempts,
    /// `audit.operations` of the incident, by time.
    Operations,
    /// `audit.verifiers`, all of them.
    Verifiers,
    /// `audit.propagation` of the incident's events.
    Propagation,
}

impl Store {
    /// Opens a snapshot; `None`: `audit.incidents` has no such incident.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn snapshot(&self, incident: &str) -> Result<Option<Snapshot>, StoreError> {
        let mut connection = self.lease(WHAT).await?;
        connection.close_on_drop();
        let work = async {
            sqlx::raw_sql(LIMITS).execute(&mut *connection).await?;
            let found = sqlx::query!(
                r#"SELECT now() AS "at!", row_to_json(i)::text AS "row!"
                   FROM audit.incidents i WHERE incident = $1"#,
                incident
            );
            found.fetch_optional(&mut *connection).await
        };
        let found = work.await.map_err(|e| StoreError::new(WHAT, e))?;
        Ok(found.map(|row| Snapshot { connection, name: incident.to_owned(), at: row.at, incident: row.row }))
    }

    /// Whether `audit.incidents` has it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn has_incident(&self, incident: &str) -> Result<bool, StoreError> {
        within!(self, "look for the incident", |c| {
            sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM audit.incident_approvals WHERE incident = $1) AS "is_there!""#,
                incident
            )
            .fetch_one(c)
            .await
        })
    }
}

impl Snapshot {
    /// About how many rows of [`Rows::Revocations`] and [`Rows::Attempts`] there are.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn expected(&mut self) -> Result<u64, StoreError> {
        let rows = sqlx::query_scalar!(
            r#"SELECT count(*) + coalesce(sum(attempts), 0) AS "rows!"
                FROM audit.events e JOIN audit.targets t USING (event_row) WHERE e.incident = $1"#,
            self.name
        );
        let rows = rows.fetch_one(&mut *self.connection).await.map_err(|e| StoreError::new(WHAT, e))?;
        Ok(rows.unsigned_abs())
    }

    /// Each row as one line of JSON with the view's columns, in an order that is the same every time.
    pub fn rows(&mut self, rows: Rows) -> BoxStream<'_, Result<String, StoreError>> {
        let (c, name) = (&mut self.connection, self.name.as_str());
        let stream: BoxStream<'_, Result<String, sqlx::Error>> = match rows {
            // Event by event, by index: neither view can be asked for an incident in an order without sorting
            // all of it.
            Rows::Revocations => sqlx::query_scalar!(
                r#"SELECT row_to_json(r)::text AS "row!"
                    FROM audit.events e JOIN LATERAL (
                        -- OFFSET keeps the planner from reading the whole view for a join.
                        SELECT * FROM audit.revocations r WHERE r.event_row = e.event_row OFFSET 0
                    ) r ON true
                    WHERE e.incident = $1 ORDER BY e.event_row, length(r.revocation_id), r.revocation_id"#,
                name
            )
            .fetch(&mut **c),
            // `audit.attempts` itself can be asked by a computed id only.
            Rows::Attempts => sqlx::query_scalar!(
                r#"SELECT row_to_json(r)::text AS "row!"
                    FROM audit.events e JOIN LATERAL (
                        SELECT a.revocation_id, a.attempt, a.worker, a.started_at, a.duration_ms, a.outcome,
                               a.http_status, a.error, a.retry_after_ms
                        FROM audit.event_attempts a WHERE a.event_row = e.event_row
                        UNION ALL
                        SELECT a.revocation_id, a.attempt, a.worker, a.started_at,
                               NULL, NULL, NULL, NULL, NULL
                        FROM audit.event_attempts_under_way a WHERE a.event_row = e.event_row
                    ) r ON true
                    WHERE e.incident = $1
                    ORDER BY e.event_row, length(r.revocation_id), r.revocation_id, r.attempt"#,
                name
            )
            .fetch(&mut **c),
            Rows::Operations => sqlx::query_scalar!(
                r#"SELECT row_to_json(o)::text AS "row!" FROM audit.operations o
                    WHERE o.incident = $1
                    ORDER BY o.at, o.actor COLLATE "C", o.action COLLATE "C", o.detail"#,
                name
            )
            .fetch(&mut **c),
            Rows::Verifiers => sqlx::query_scalar!(
                r#"SELECT row_to_json(v)::text AS "row!" FROM audit.verifiers v
                    ORDER BY v.service COLLATE "C", v.instance COLLATE "C", v.broker_user COLLATE "C""#
            )
            .fetch(&mut **c),
            Rows::Propagation => sqlx::query_scalar!(
                r#"SELECT row_to_json(p)::text AS "row!"
                    FROM audit.events e JOIN LATERAL (
                        SELECT * FROM audit.propagation p
                        WHERE (p.event_source, p.event_id) = (e.event_source, e.event_id)
                            AND p.incident = e.incident AND p.denied_at IS NOT DISTINCT FROM e.denied_at
                        LIMIT 1
                    ) p ON true
                    WHERE e.incident = $1 ORDER BY e.event_row"#,
                name
            )
            .fetch(&mut **c),
        };
        stream.map(|row| row.map_err(|e| StoreError::new(WHAT, e))).boxed()
    }
}
