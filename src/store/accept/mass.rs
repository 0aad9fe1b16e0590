//! Events of incidents: inserted with the incidents' rows, and not where an incident was cancelled.

use sqlx::{Acquire, PgConnection};
use uuid::Uuid;

use super::columns::Columns;
use super::insert::{Inserted, insert};
use super::{Line, NewEvent};
use crate::event::EventType;
use crate::store::WorkerNo;
use crate::store::open::{NewIncident, open};

/// Events and their incidents, wholly or not at all; once more without those that a cancelled incident bars, which is rare. Returns those, too.
pub(super) async fn accept_mass(
    connection: &mut PgConnection,
    worker: WorkerNo,
    lines: &[Line<'_>],
) -> Result<(Vec<Inserted>, Vec<Uuid>), sqlx::Error> {
    let mut cancelled: Vec<String> = Vec::new();
    loop {
        let (barred, kept): (Vec<&Line<'_>>, Vec<_>) = lines.iter().partition(|line| line.new.is_barred(&cancelled));
        let mut transaction = connection.begin().await?;
        let inserted = insert(&mut transaction, worker, &Columns::collect(kept.iter().copied())).await?;
        let fresh = || kept.iter().map(|line| line.new).filter(|new| inserted.iter().any(|inserted| inserted.row == new.row));
        let found = open(&mut transaction, NewIncident::gather(fresh())).await?;
        if fresh().any(|new| new.is_barred(&found)) {
            transaction.rollback().await?;
            cancelled.extend(found);
            continue;
        }
        transaction.commit().await?;
        return Ok((inserted, barred.iter().map(|line| line.new.row).collect()));
    }
}

impl NewEvent<'_> {
    /// Whether it was ordered for one of these incidents, and nothing of it is denied. What waits there for its sender's rate was not ordered so: it goes on record.
    fn is_barred(&self, cancelled: &[String]) -> bool {
        self.event.event_type == EventType::MassRevocation
            && self.incident.is_some_and(|approval| approval.withheld && !approval.is_excess)
            && self.event.incident.as_ref().is_some_and(|name| cancelled.contains(name))
    }
}
