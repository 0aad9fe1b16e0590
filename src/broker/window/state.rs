//! What a share knows of its queue, and what follows from it for the next consumer: pure.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{PER_MESSAGE, Place};

/// How many deliveries in a row make a picture of what is published at present.
pub(super) const PICTURE: u32 = 32;
/// So many deliveries are asked for before anything is known of the messages in a queue...
const FIRST: usize = 2;
/// ... and then so many for each that has come.
const TRUST: usize = 8;

/// What a consumer may do after a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Outlook {
    /// Go on.
    More,
    /// All it asked for is outstanding: nothing comes before something is acknowledged.
    Spent,
    /// What is still to come might not fit.
    TooMuch,
}

/// A share of the window at one moment.
#[derive(Default)]
pub(super) struct State {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) is_full: bool,
    /// What the one message takes that is held although there was no room for it; 0: there is none. It uses
    /// up nobody's room: what others publish meanwhile is taken beside it.
    pub(super) oversized: usize,
    /// Another such message has come meanwhile and went back to the head of the queue: nothing passes it.
    pub(super) is_blocked: bool,
    /// Consumers so far: each asks for its number of deliveries.
    pub(super) consumer: u64,
    /// Of the present consumer: how many it asked for, and how many of them the broker regards as
    /// outstanding.
    pub(super) count: usize,
    pub(super) outstanding: usize,
    /// How many of these are read and wait for their record alone.
    pub(super) read: usize,
    /// The costliest delivery of the last picture and of this one, which has so many.
    pub(super) costliest: [usize; 2],
    pub(super) pictured: u32,
    /// Deliveries so far.
    pub(super) seen: usize,
    /// When each delivery in hand came, by its number, and the number of the last.
    pub(super) came: BTreeMap<u64, Instant>,
    pub(super) number: u64,
}

impl State {
    /// Whether the present consumer is spent, and whether there is room for another.
    pub(super) fn standstill(&self, budget: usize) -> (bool, bool) {
        (self.outstanding >= self.count, self.grant(budget, 1).is_some())
    }

    /// Whether a consumer in the place of the present one, which is spent, would be given twice as many
    /// deliveries; or as many, where most of the present one's are read: what is behind them in the queue is
    /// not to wait until they are on record.
    pub(super) fn is_outdone(&self, budget: usize, most: u16) -> bool {
        let twice = 2 * self.count;
        let wanted = if 2 * self.read >= self.count {
            // Not a few again and again, where there is hardly any room.
            let many = (budget / 8 / self.costliest()).min(usize::from(most));
            self.count.max(many).min(twice)
        } else {
            twice
        };
        self.outstanding >= self.count
            && self.grant(budget, most).is_some_and(|granted| usize::from(granted) >= wanted)
    }

    /// How many more deliveries fit, if those to come are no larger than the largest of late; `None` if not
    /// even one does.
    pub(super) fn grant(&self, budget: usize, most: u16) -> Option<u16> {
        if self.is_blocked {
            return None;
        }
        // An eighth is left for messages that are a little larger.
        let room = (budget - budget / 8).saturating_sub(self.bytes);
        let trusted = (self.seen * TRUST).max(FIRST).min(usize::from(most));
        match room / self.costliest() {
            // Without room, what comes goes back at once, and each return counts towards the delivery limit.
            0 if self.messages > 0 && (room == 0 || self.costliest() <= budget / 8) => None,
            fitting => Some(u16::try_from(fitting.clamp(1, trusted)).unwrap_or(most)),
        }
    }

    /// Whether a message that does not fit is taken all the same. One at a time, where it is not the many
    /// small ones that fill the window: who sends a single huge message while Postgres is away must not end
    /// the denials of others.
    pub(super) fn takes_oversized(&self, budget: usize, cost: usize) -> bool {
        self.messages == 0 || self.oversized == 0 && cost > budget / 8
    }

    pub(super) fn outlook(&self, budget: usize) -> Outlook {
        let to_come = self.count.saturating_sub(self.outstanding);
        match to_come {
            0 => Outlook::Spent,
            _ if self.bytes.saturating_add(self.costliest().saturating_mul(to_come)) > budget => {
                Outlook::TooMuch
            }
            _ => Outlook::More,
        }
    }

    pub(super) fn costliest(&self) -> usize {
        self.costliest[0].max(self.costliest[1]).max(PER_MESSAGE)
    }

    pub(super) fn picture(&mut self, cost: usize) {
        self.costliest[1] = self.costliest[1].max(cost);
        (self.seen, self.pictured) =
            (self.seen.saturating_add(1).min(usize::from(u16::MAX)), self.pictured + 1);
        if self.pictured == PICTURE {
            (self.costliest, self.pictured) = ([self.costliest[1], 0], 0);
        }
    }

    /// What all that is in hand takes.
    pub(super) fn held(&self) -> usize {
        self.bytes + self.oversized
    }

    /// The event of this place turned out to take `more` than was counted.
    pub(super) fn grow(&mut self, more: usize, place: &Place) {
        *if place.is_oversized { &mut self.oversized } else { &mut self.bytes } += more;
        self.costliest[1] = self.costliest[1].max(place.cost);
    }

    /// What this place takes is free again.
    pub(super) fn free(&mut self, place: &Place) {
        if place.is_oversized {
            (self.oversized, self.is_blocked) = (0, false);
        } else {
            self.bytes -= place.cost;
        }
    }
}
