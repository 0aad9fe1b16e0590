//! Events of incidents: inserted with the incidents' rows, and not where an incident was cancelled.

use sqlx::{Acquire, PgConnection};
use uuid::Uuid;

use super::open::{NewIncident, open};
use crate::event::EventType;
use crate::store::WorkerNo;
use crate::store::accept::NewEvent;
use crate::store::accept::insert::{Inserted, insert};
use crate::store::accept::line::Line;

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
        let inserted = insert_all(&mut transaction, worker, &kept).await?;
        let fresh = || {
            kept.iter().copied().filter(|line| inserted.iter().any(|inserted| inserted.row == line.new.row))
        };
        let incidents = NewIncident::gather(fresh().map(|line| (line.incident.as_deref(), line.new)));
        let found = open(&mut transaction, incidents).await?;
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

/// Events first, then those parts of a delivery whose first part is new: on record with it or not at all.
async fn insert_all(
    connection: &mut PgConnection,
    worker: WorkerNo,
    lines: &[&Line<'_>],
) -> Result<Vec<Inserted>, sqlx::Error> {
    let (first, beside): (Vec<_>, Vec<_>) = lines.iter().copied().partition(|line| line.new.beside.is_none());
    let mut inserted = insert(connection, worker, first.into_iter()).await?;
    let is_new = |line: &&Line<'_>| inserted.iter().any(|other| line.new.beside == Some(other.row));
    let beside: Vec<_> = beside.into_iter().filter(is_new).collect();
    if !beside.is_empty() {
        inserted.extend(insert(connection, worker, beside.into_iter()).await?);
    }
    Ok(inserted)
}

impl NewEvent<'_> {
    /// Whether it was ordered for one of these incidents, and nothing of its delivery is denied.
    fn is_barred(&self, cancelled: &[String]) -> bool {
        self.event.event_type == EventType::MassRevocation
            && self.beside.is_none()
            && self.incident.is_some_and(|approval| approval.withheld)
            && self.event.incident.as_ref().is_some_and(|name| cancelled.contains(name))
    }
}

impl Line<'_> {
    /// Whether somebody has decided on all that waited there before this came. Nobody has decided on this.
    fn is_late(&self, decided: &[String]) -> bool {
        self.new.is_held_logout()
            && self.incident.as_deref().is_some_and(|name| decided.iter().any(|decided| decided == name))
    }

    /// On to the next incident of the same minute: `-2`, `-3`, …
    fn move_on(&mut self) {
        let own = self.new.event.incident.as_deref().unwrap_or_default();
        let further = self.incident.as_deref().and_then(|name| name.strip_prefix(own)?.strip_prefix('-'));
        let number = further.and_then(|number| number.parse().ok()).unwrap_or(1_u32) + 1;
        self.incident = Some(format!("{own}-{number}").into());
    }
}
