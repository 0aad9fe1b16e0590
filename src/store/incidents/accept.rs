//! Events of incidents: inserted with the incidents' rows, and not where an incident was cancelled.

use sqlx::{Acquire, PgConnection};
use uuid::Uuid;

use super::open::{NewIncident, open};
use crate::event::EventType;
use crate::store::WorkerNo;
use crate::store::accept::columns::Columns;
use crate::store::accept::insert::{Inserted, insert};
use crate::store::accept::{Line, NewEvent};

/// One more incident of the same minute.
pub(in crate::store) struct Further {
    pub(in crate::store) name: String,
    number: u32,
}

/// Events and their incidents, wholly or not at all; once more without those that a cancelled incident bars,
/// or with another incident for what waits for its sender's rate, which is rare. Returns those that are
/// barred, too.
pub(in crate::store) async fn accept_mass(
    connection: &mut PgConnection,
    worker: WorkerNo,
    lines: &mut [Line<'_>],
) -> Result<(Vec<Inserted>, Vec<Uuid>), sqlx::Error> {
    let mut cancelled: Vec<String> = Vec::new();
    loop {
        let (barred, kept): (Vec<&Line<'_>>, Vec<_>) =
            lines.iter().partition(|line| line.new.is_barred(&cancelled));
        let mut transaction = connection.begin().await?;
        let inserted = insert(&mut transaction, worker, &Columns::collect(kept.iter().copied())).await?;
        let fresh = || {
            kept.iter().copied().filter(|line| inserted.iter().any(|inserted| inserted.row == line.new.row))
        };
        let found =
            open(&mut transaction, NewIncident::gather(fresh().map(|line| (line.incident(), line.new))))
                .await?;
        if fresh().any(|line| line.new.is_barred(&found.cancelled) || line.is_late(&found.decided)) {
            transaction.rollback().await?;
            lines.iter_mut().filter(|line| line.is_late(&found.decided)).for_each(Line::move_on);
            cancelled.extend(found.cancelled);
            continue;
        }
        transaction.commit().await?;
        return Ok((inserted, barred.iter().map(|line| line.new.row).collect()));
    }
}

impl NewEvent<'_> {
    /// Whether it was ordered for one of these incidents, and nothing of its delivery is denied.
    fn is_barred(&self, cancelled: &[String]) -> bool {
        self.event.event_type == EventType::MassRevocation
            && self.beside.is_none()
            && self.incident.is_some_and(|approval| approval.withheld)
            && self.event.incident.as_ref().is_some_and(|name| cancelled.contains(name))
    }

    /// What a logout orders beyond its sender's rate.
    pub(in crate::store) fn is_held_logout(&self) -> bool {
        self.event.event_type == EventType::Logout && self.incident.is_some_and(|approval| approval.is_excess)
    }
}

impl Line<'_> {
    /// Whether somebody has decided on all that waited there before this came. Nobody has decided on this.
    fn is_late(&self, decided: &[String]) -> bool {
        self.new.is_held_logout()
            && self.incident().is_some_and(|name| decided.iter().any(|decided| decided == name))
    }

    fn move_on(&mut self) {
        let number = self.further.as_ref().map_or(2, |further| further.number + 1);
        let name = format!("{}-{number}", self.new.event.incident.as_deref().unwrap_or_default());
        self.further = Some(Further { name, number });
    }
}
