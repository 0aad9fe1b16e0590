//! Accepting: a batch of events and their targets in one statement, one commit.
//!
//! An event that meets another one of its (`source`, `id`) is looked up: it is on record, or it means
//! something else. Then it is inserted once more, under a key of its own beside the other.

pub(super) mod insert;
mod known;
pub(super) mod line;
mod new_event;

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use self::insert::{Inserted, insert};
use self::line::Line;
use super::incidents::accept::accept_mass;
use super::{Store, StoreError, WorkerNo};

pub use self::new_event::{Approval, Disposition, NewEvent, NewTarget};

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// It is on record, by this call or by one before whose answer was lost.
    New {
        /// Whether the leases were granted: not so when this worker's own lease has run out, or the answer
        /// was lost.
        leased: bool,
        /// Whether it is beside another one of its identity, with other content.
        identity_reused: bool,
    },
    /// The same content was on record under this identity, as this row.
    Known(Uuid),
    /// It was ordered for a cancelled incident. Nothing of it is denied, and it is not on record.
    Barred,
}

impl Store {
    /// Inserts new events with their targets and leases. What was on record with the same content stays as it
    /// is. An answer has every event but those [`beside`](NewEvent::beside) one that was known.
    ///
    /// One statement for a batch of new events; up to three more where identities are met again.
    ///
    /// # Errors
    /// See [`StoreError`]; a part may be on record, or the outcome is unknown: the same call may be repeated.
    pub async fn accept(
        &self,
        worker: WorkerNo,
        events: &[NewEvent<'_>],
    ) -> Result<HashMap<Uuid, Entered>, StoreError> {
        let (mut entered, mut barred) = (HashMap::with_capacity(events.len()), HashSet::new());
        for identity_reused in [false, true] {
            let is_open =
                |new: &&NewEvent<'_>| !entered.contains_key(&new.first()) && !barred.contains(&new.row);
            let lines = events.iter().filter(is_open).map(|new| Line::of(new, identity_reused)).collect();
            barred.extend(self.enter(worker, lines, &mut entered).await?);
            let missed: Vec<_> =
                events.iter().filter(|new| new.beside.is_none() && !entered.contains_key(&new.row)).collect();
            if missed.is_empty() {
                return Ok(entered);
            }
            entered.extend(self.known(&missed).await?);
        }
        // Unless it is on record from before its incident was cancelled.
        for row in barred {
            entered.entry(row).or_insert(Entered::Barred);
        }
        match events.iter().all(|new| entered.contains_key(&new.first())) {
            true => Ok(entered),
            // It was deleted in between.
            false => {
                Err(StoreError::Refused("accept events", "an event was neither new nor on record".to_owned()))
            }
        }
    }

    /// Inserts what can be, as it is or under keys. Returns those that a cancelled incident bars.
    async fn enter(
        &self,
        worker: WorkerNo,
        mut lines: Vec<Line<'_>>,
        entered: &mut HashMap<Uuid, Entered>,
    ) -> Result<Vec<Uuid>, StoreError> {
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        // In one order: two workers that insert the same events then wait for, and never deadlock, each
        // other.
        lines.sort_unstable_by(|a, b| (&a.new.event.source, a.id()).cmp(&(&b.new.event.source, b.id())));
        let (inserted, barred) = within!(self, "accept events", |connection| {
            if lines.iter().all(|line| line.new.incident.is_none() && line.new.beside.is_none()) {
                insert(connection, worker, lines.iter()).await.map(|inserted| (inserted, Vec::new()))
            } else {
                accept_mass(connection, worker, &mut lines).await
            }
        })?;
        let identity_reused = lines[0].identity_reused;
        entered.extend(
            inserted
                .into_iter()
                .map(|Inserted { row, leased }| (row, Entered::New { leased, identity_reused })),
        );
        Ok(barred)
    }
}
