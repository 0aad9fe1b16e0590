//! What the broker has handed out and this process still holds, in bytes: how much of it there may be, and
//! how many deliveries to ask for next.
//!
//! Each queue of events has a share of `amqp.bytes_in_hand` of its own, so that none can stop another.

mod place;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{LOGOUT_QUEUE, QUEUES};
use state::State;

pub(super) use place::Place;
pub(super) use state::Outlook;

/// What a held event takes beside its bytes: its parsed form's frame, its properties and the task that waits
/// for its denial.
const PER_MESSAGE: usize = 4096;
/// The same of a refused message: it has no parsed form, and nothing waits for its denial.
const PER_REFUSED: usize = 1536;
/// What is left of a message that is set aside: the means to acknowledge it, and the task that waits to.
const PER_ACK: usize = 1024;
/// A body is held as it came and in its parsed form, or as it came and in frames on their way to
/// `revocation.dead`.
const PER_BYTE: usize = 2;
/// What a target takes beside its text; the first few are within [`PER_MESSAGE`].
const PER_TARGET: usize = 512;
const FEW_TARGETS: usize = 4;
/// A consumer that has all it asked for, and of whose deliveries none was acknowledged for so long, is not
/// waited for.
const STALLED_AFTER: Duration = Duration::from_millis(300);
/// A queue whose share is used up and of which nothing was acknowledged for so long is full.
const FULL_AFTER: Duration = Duration::from_secs(3);

/// Mass revocations are up to a thousand targets and a mebibyte: their queues get this fraction of the
/// prefetch.
const MASS_SHARE: u16 = 16;

/// The deliveries in hand, queue by queue.
pub struct Window([Arc<Share>; QUEUES.len()]);

/// What one queue has in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InHand {
    /// The queue.
    pub queue: &'static str,
    /// Deliveries that are not acknowledged.
    pub messages: usize,
    /// What they take in memory, bytes.
    pub bytes: usize,
    /// Whether nothing more is taken from the broker until something is acknowledged.
    pub is_full: bool,
}

impl Window {
    /// A budget of `bytes`, half of it for logouts, and at most `prefetch` of them asked for at a time.
    pub fn new(bytes: usize, prefetch: u16) -> Self {
        Self(QUEUES.map(|queue| {
            let (budget, most) = if queue == LOGOUT_QUEUE {
                (bytes / 2, prefetch)
            } else {
                (bytes / 4, (prefetch / MASS_SHARE).max(1))
            };
            let (freed, read) = (Notify::new(), Notify::new());
            Arc::new(Share { queue, budget, most, state: Mutex::default(), freed, read })
        }))
    }

    /// What each queue has in hand now.
    pub fn in_hand(&self) -> [InHand; QUEUES.len()] {
        self.0.each_ref().map(|share| share.in_hand())
    }

    /// Each queue, and for how long the first of its deliveries has been in hand.
    pub fn oldest(&self) -> [(&'static str, Duration); QUEUES.len()] {
        self.0.each_ref().map(|share| {
            let oldest = share.lock().came.first_key_value().map(|(_, came)| came.elapsed());
            (share.queue, oldest.unwrap_or_default())
        })
    }

    /// Whether each queue has room for a message of so many bytes.
    pub fn fits(&self, bytes: usize) -> bool {
        self.0.iter().all(|share| cost(bytes) <= share.budget - share.budget / 8)
    }

    /// So many messages may be set aside at once: what they take leaves most of the smallest share to others.
    pub fn set_aside_at_most(&self) -> usize {
        let budget = self.0.iter().map(|share| share.budget).min().unwrap_or_default();
        (budget / 4 / PER_ACK).max(1)
    }

    pub(super) fn shares(&self) -> &[Arc<Share>; QUEUES.len()] {
        &self.0
    }
}

/// One queue's share.
pub(super) struct Share {
    queue: &'static str,
    budget: usize,
    most: u16,
    state: Mutex<State>,
    freed: Notify,
    /// Most of what the present consumer brought is read, and there is room for as much again.
    read: Notify,
}

/// What a message of `bytes` takes in memory while it is held.
fn cost(bytes: usize) -> usize {
    bytes.saturating_mul(PER_BYTE).saturating_add(PER_MESSAGE)
}

impl Share {
    /// Waits until there is room for one more message like the largest of late; returns how many to ask for.
    pub(super) async fn room(&self) -> u16 {
        loop {
            if let Some(count) = self.lock().grant(self.budget, self.most) {
                return count;
            }
            if tokio::time::timeout(FULL_AFTER, self.freed.notified()).await.is_err() {
                self.note_full();
            }
        }
    }

    /// A new consumer asks for so many deliveries.
    pub(super) fn begin(&self, count: u16) {
        let mut state = self.lock();
        state.consumer += 1;
        (state.count, state.outstanding, state.read) = (usize::from(count), 0, 0);
    }

    /// Of a consumer that is spent: whether another in its place would do better now.
    pub(super) fn is_outdone(&self) -> bool {
        self.lock().is_outdone(self.budget, self.most)
    }

    /// Something was read or let go of: whoever waits for that goes on.
    fn go_on(&self, state: MutexGuard<'_, State>) {
        let is_outdone = state.is_outdone(self.budget, self.most);
        drop(state);
        self.freed.notify_one();
        if is_outdone {
            self.read.notify_one();
        }
    }

    /// Of a consumer that is spent: returns when another would do better, or when none of its deliveries was
    /// acknowledged for a while, and there is room for more.
    pub(super) async fn stalled(&self) {
        let began = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(STALLED_AFTER) => {}
                () = self.read.notified() => {
                    if self.is_outdone() {
                        return;
                    }
                    continue;
                }
            }
            let standstill = self.lock().standstill(self.budget);
            match standstill {
                // The next delivery comes to the present consumer.
                (false, _) => std::future::pending().await,
                (true, true) => return,
                (true, false) if began.elapsed() >= FULL_AFTER => self.note_full(),
                (true, false) => {}
            }
        }
    }

    /// A place for a delivery of `bytes`, whose properties take so much, and what its consumer may do next.
    pub(super) fn place(self: &Arc<Self>, bytes: usize, properties: usize) -> (Option<Place>, Outlook) {
        let cost = cost(bytes).saturating_add(properties);
        let mut state = self.lock();
        state.picture(cost);
        state.outstanding += 1;
        let is_oversized = state.bytes.saturating_add(cost) > self.budget;
        if is_oversized && !state.takes_oversized(self.budget, cost) {
            state.is_blocked |= state.oversized > 0 && cost > self.budget / 8;
            return (None, Outlook::TooMuch);
        }
        state.messages += 1;
        state.number += 1;
        let number = state.number;
        state.came.insert(number, Instant::now());
        if is_oversized {
            state.oversized = cost;
        } else {
            state.bytes += cost;
        }
        let place = Place::new(self.clone(), (state.consumer, number), (cost, properties), is_oversized);
        let outlook = if is_oversized { Outlook::TooMuch } else { state.outlook(self.budget) };
        let was_full = std::mem::replace(&mut state.is_full, false);
        drop(state);
        if was_full {
            tracing::info!(queue = self.queue, "there is room for deliveries again");
        }
        (Some(place), outlook)
    }

    /// No room, and nothing was acknowledged for a while.
    fn note_full(&self) {
        let mut state = self.lock();
        let (was_full, deliveries, bytes) =
            (std::mem::replace(&mut state.is_full, true), state.messages, state.held());
        drop(state);
        if !was_full {
            tracing::error!(
                queue = self.queue,
                deliveries,
                bytes,
                share_bytes = self.budget,
                "no room for more deliveries (amqp.bytes_in_hand): what comes now is neither denied nor \
                    revoked until some are acknowledged"
            );
        }
    }

    fn in_hand(&self) -> InHand {
        let state = self.lock();
        InHand { queue: self.queue, messages: state.messages, bytes: state.held(), is_full: state.is_full }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
