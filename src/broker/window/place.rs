//! A delivery's place in the window: what it takes, and how far its message has come.

use std::sync::Arc;

use super::{FEW_TARGETS, PER_ACK, PER_MESSAGE, PER_REFUSED, PER_TARGET, Share};

/// A delivery's place in the window. Dropping it frees the place.
pub(in crate::broker) struct Place {
    share: Arc<Share>,
    consumer: u64,
    pub(super) cost: usize,
    pub(super) is_oversized: bool,
    /// What its properties take.
    properties: usize,
    is_read: bool,
    number: u64,
}

impl Place {
    /// A place for the delivery of this number, from this consumer, which takes `cost`, `properties` of it.
    pub(super) fn new(
        share: Arc<Share>,
        (consumer, number): (u64, u64),
        (cost, properties): (usize, usize),
        is_oversized: bool,
    ) -> Self {
        Self { share, consumer, cost, is_oversized, properties, is_read: false, number }
    }

    /// The message turned out to be an event with so many targets.
    pub(in crate::broker) fn weigh(&mut self, targets: usize) {
        let more = targets.saturating_sub(FEW_TARGETS).saturating_mul(PER_TARGET);
        if more > 0 {
            self.cost += more;
            self.share.lock().grow(more, self);
        }
    }

    /// All is done for the message that is not fair among users by itself: its record is what it waits for.
    /// The broker may send another in its place.
    pub(in crate::broker) fn read(&mut self) {
        let mut state = self.share.lock();
        if !std::mem::replace(&mut self.is_read, true) && state.consumer == self.consumer {
            state.read += 1;
        }
        self.share.go_on(state);
    }

    /// It waits to be refused.
    pub(in crate::broker) fn refuse(&mut self) {
        self.read();
        if !self.is_oversized {
            self.keep(self.cost.saturating_sub(PER_MESSAGE - PER_REFUSED));
        }
    }

    /// Neither its body nor its properties are held any more.
    pub(in crate::broker) fn lay_down(&mut self) {
        self.keep(PER_MESSAGE);
    }

    /// What the message's properties take.
    pub(in crate::broker) fn properties(&self) -> usize {
        self.properties
    }

    /// Not even what is known of its origin is held any more.
    pub(in crate::broker) fn set_aside(&mut self) {
        self.read();
        self.keep(PER_ACK);
    }

    fn keep(&mut self, cost: usize) {
        let mut state = self.share.lock();
        state.free(self);
        (self.cost, self.is_oversized) = (self.cost.min(cost), false);
        state.bytes += self.cost;
        self.share.go_on(state);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.share.lock();
        state.messages -= 1;
        state.came.remove(&self.number);
        state.free(self);
        if state.consumer == self.consumer {
            state.outstanding = state.outstanding.saturating_sub(1);
            state.read -= usize::from(self.is_read);
        }
        self.share.go_on(state);
    }
}
