//! Accepting: a batch of events and their targets in one statement, one commit.
//!
//! An event that meets another one of its (`source`, `id`) is looked up: it is on record, or it means
//! something else. Then it is inserted once more, under a key of its own beside the other.

pub(super) mod columns;
pub(super) mod insert;
mod known;

use std::collections::{HashMap, HashSet};

use time::OffsetDateTime;
use uuid::Uuid;

use self::columns::Columns;
use self::insert::{Inserted, insert};
use super::incidents::accept::{Further, accept_mass};
use super::{Store, StoreError, WorkerNo};
use crate::event::{LogoutEvent, Party};
use crate::seal::Sealed;
use crate::target::{Fingerprint, Kind};

/// An event about to be accepted.
pub struct NewEvent<'a> {
    /// Its row id: UUID version 7, made by this worker.
    pub row: Uuid,
    /// The event.
    pub event: &'a LogoutEvent,
    /// SHA-256 of the body.
    pub body_sha256: [u8; 32],
    /// SHA-256 of what the delivery means, as [`content`](crate::event::content) computes it; the same in all
    /// rows of one delivery.
    pub content_sha256: [u8; 32],
    /// Row id of another event in the same call, of whose delivery this is a part (at most one): on record if
    /// and only if that one is new, under the same identity.
    pub beside: Option<Uuid>,
    /// AMQP `user_id`.
    pub broker_user: Option<&'a str>,
    /// Whose share its targets are of.
    pub party: Party,
    /// What becomes of each target, in the event's order.
    pub targets: &'a [NewTarget],
    /// What approving its incident takes; `None` for an event without an incident.
    pub incident: Option<&'a Approval>,
}

/// What an event of an incident asks of a second person.
pub struct Approval {
    /// Kinds among its incident's targets that need one.
    pub asks: Vec<Kind>,
    /// How many of its own targets are of such a kind, and how many of the whole incident's will be, where it
    /// says so.
    pub asking: i64,
    /// See `asking`.
    pub asking_expected: Option<i64>,
    /// Most targets that one person may order: the fuse of an incident that this event opens.
    pub above_targets: i64,
    /// Its denial was not published, and waits for the approval.
    pub withheld: bool,
    /// It lies beyond a sender's rate.
    pub is_excess: bool,
    /// Who sent it, beside the broker user.
    pub senders: Vec<String>,
}

/// How a target enters the table.
pub struct NewTarget {
    /// Its first state.
    pub disposition: Disposition,
    /// The sealed token; present exactly for open token targets.
    pub sealed: Option<Sealed>,
    /// When the budget runs out.
    pub give_up_at: OffsetDateTime,
}

/// A target's first state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Pending, and leased to this worker: its first attempt is on record.
    Lease,
    /// Pending, due now, for whoever claims it.
    Wait,
    /// Pending, until its incident's turn comes to it.
    Turn,
    /// Final: the provider has no such call.
    Unsupported,
    /// Final: the token's lifetime had ended.
    Expired,
}

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

/// An event on its way into the table.
pub(super) struct Line<'a> {
    pub(super) new: &'a NewEvent<'a>,
    /// What stands in `id` instead of the event's own.
    key: Option<String>,
    identity_reused: bool,
    /// Where it waits for its sender's rate, if its own incident takes no more.
    pub(super) further: Option<Further>,
}

impl<'a> Line<'a> {
    fn of(new: &'a NewEvent<'a>, identity_reused: bool) -> Self {
        let key = (identity_reused || new.beside.is_some()).then(|| new.key());
        Self { new, key, identity_reused, further: None }
    }

    fn id(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.new.event.id)
    }

    pub(super) fn incident(&self) -> Option<&str> {
        self.further.as_ref().map(|further| &*further.name).or(self.new.event.incident.as_deref())
    }
}

impl NewEvent<'_> {
    /// The key of an event whose id is taken: longer than an id may be, so that no publisher can name it.
    fn key(&self) -> String {
        let content =
            format!("{}{}", Fingerprint(self.content_sha256), if self.beside.is_some() { "+" } else { "" });
        format!("{}\u{1f}{content:=<255}", self.event.id)
    }

    /// The event whose fate it shares: itself, or the one that it is a part of.
    fn first(&self) -> Uuid {
        self.beside.unwrap_or(self.row)
    }
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
            if lines.iter().all(|line| line.new.incident.is_none()) {
                insert(connection, worker, &Columns::collect(&lines))
                    .await
                    .map(|inserted| (inserted, Vec::new()))
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
