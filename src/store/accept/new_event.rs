//! An event about to be accepted.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::event::{EventType, LogoutEvent, Party};
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
    pub approval_kinds: Vec<Kind>,
    /// How many of its own targets are of such a kind, and how many of the whole incident's will be, where it
    /// says so.
    pub needing_approval: i64,
    /// See `needing_approval`.
    pub needing_approval_expected: Option<i64>,
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

impl NewEvent<'_> {
    /// The key of an event whose id is taken: longer than an id may be, so that no publisher can name it.
    pub(super) fn key(&self) -> String {
        let content =
            format!("{}{}", Fingerprint(self.content_sha256), if self.beside.is_some() { "+" } else { "" });
        format!("{}\u{1f}{content:=<255}", self.event.id)
    }

    /// The event whose fate it shares: itself, or the one that it is a part of.
    pub(super) fn first(&self) -> Uuid {
        self.beside.unwrap_or(self.row)
    }

    /// What a logout orders beyond its sender's rate.
    pub(in crate::store) fn is_held_logout(&self) -> bool {
        self.event.event_type == EventType::Logout && self.incident.is_some_and(|approval| approval.is_excess)
    }
}
