//! The statement that inserts.

use sqlx::PgConnection;
use uuid::Uuid;

use super::line::Line;
use crate::store::WorkerNo;

/// An event that was inserted.
pub(in crate::store) struct Inserted {
    pub(in crate::store) row: Uuid,
    /// Whether the leases were granted.
    pub(in crate::store) leased: bool,
}

/// Inserts events whose identity, or key, is not taken, with their targets. In the order of the lines.
pub(in crate::store) async fn insert<'a>(
    connection: &mut PgConnection,
    worker: WorkerNo,
    lines: impl Iterator<Item = &'a Line<'a>>,
) -> Result<Vec<Inserted>, sqlx::Error> {
    let (mut events, mut targets) = (Vec::new(), Vec::new());
    for (event, its_targets) in lines.map(Line::rows) {
        events.push(event);
        targets.extend(its_targets);
    }
    sqlx::query_file_as!(Inserted, "src/store/accept/insert.sql", worker.0, &events as _, &targets as _)
        .fetch_all(connection)
        .await
}
