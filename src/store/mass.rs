//! Accepting events of incidents: with the incidents' rows, and not where an incident was cancelled.

use sqlx::{Acquire, PgConnection};

use super::WorkerNo;
use super::accept::{Columns, NewEvent, Outcome, insert};
use super::open::{NewIncident, open};

/// Events and their incidents, wholly or not at all; once more without those that a cancelled incident bars, which is rare.
pub(super) async fn accept_mass(connection: &mut PgConnection, worker: WorkerNo, events: &[NewEvent<'_>]) -> Result<Outcome, sqlx::Error> {
    let mut cancelled: Vec<String> = Vec::new();
    loop {
        let (barred, kept): (Vec<_>, Vec<_>) = events.iter().partition(|new| new.is_barred(&cancelled));
        let mut transaction = connection.begin().await?;
        let accepted = insert(&mut transaction, worker, &Columns::collect(kept.iter().copied())).await?;
        let fresh = || kept.iter().copied().filter(|new| accepted.iter().any(|accepted| accepted.row == new.row));
        let found = open(&mut transaction, NewIncident::gather(fresh())).await?;
        if fresh().any(|new| new.is_barred(&found)) {
            transaction.rollback().await?;
            cancelled.extend(found);
            continue;
        }
        transaction.commit().await?;
        return Ok(Outcome { accepted, barred: barred.iter().map(|new| new.row).collect() });
    }
}

impl NewEvent<'_> {
    /// Whether it was to be added to one of these incidents, and nothing of it is denied.
    fn is_barred(&self, cancelled: &[String]) -> bool {
        self.incident.is_some_and(|approval| approval.withheld) && self.event.incident.as_ref().is_some_and(|name| cancelled.contains(name))
    }
}
