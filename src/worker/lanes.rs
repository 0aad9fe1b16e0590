//! Who calls a provider next: pure decisions over slots, a rate, and two lanes of waiting calls.
//!
//! Mass revocations never take the last quarter of the slots, and of what both lanes wait for, ordinary logouts come first; but every eighth call is a
//! mass revocation's, so that a busy day does not stop an incident.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::event::Lane;

/// Share of the slots that mass revocations never take, as a divisor.
const RESERVED: usize = 4;
/// So many calls of ordinary logouts in a row may pass over a waiting mass revocation.
const PASSED_OVER: u32 = 7;
/// How far calls may catch up on the rate after a moment in which none was made.
const CATCH_UP: Duration = Duration::from_millis(50);
/// How often to look while the rate allows nothing.
const LOOK: Duration = Duration::from_millis(100);

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<W> {
    /// Let this one make its call of so many requests.
    Call(Lane, u32, W),
    /// Look again then.
    At(Instant),
    /// Wait for a call to end or for one to be asked for.
    Idle,
}

/// The calls that wait for one provider, and what is left for them.
pub(super) struct Lanes<W> {
    slots: usize,
    in_use: [usize; 2],
    waiting: [VecDeque<(u32, W)>; 2],
    passed_over: u32,
    /// Requests a second; `None`: as many as the slots allow.
    rate: Option<f64>,
    /// When the requests made so far are paid for at the rate.
    paid_until: Instant,
}

fn index(lane: Lane) -> usize {
    match lane {
        Lane::Interactive => 0,
        Lane::Mass => 1,
    }
}

/// How many of `slots` mass revocations may take.
fn most_mass(slots: usize) -> usize {
    slots.saturating_sub(slots.div_ceil(RESERVED)).max(1)
}

impl<W> Lanes<W> {
    /// All slots free.
    pub(super) fn new(slots: usize, now: Instant) -> Self {
        Self { slots, in_use: [0; 2], waiting: [VecDeque::new(), VecDeque::new()], passed_over: 0, rate: None, paid_until: now }
    }

    /// From now on at most so many requests a second.
    pub(super) fn set_rate(&mut self, rate: Option<f64>) {
        self.rate = rate;
    }

    /// Someone who will make `requests` requests in one call.
    pub(super) fn wait(&mut self, lane: Lane, requests: u32, who: W) {
        self.waiting[index(lane)].push_back((requests, who));
    }

    /// Takes everyone who waits.
    pub(super) fn dismiss(&mut self) -> Vec<W> {
        self.waiting.iter_mut().flat_map(|lane| lane.drain(..)).map(|(_, who)| who).collect()
    }

    /// A call has ended.
    pub(super) fn release(&mut self, lane: Lane) {
        self.in_use[index(lane)] -= 1;
    }

    /// What is to be done; a call counts as under way from here on. `open`: so many slots are open, of those that there are.
    pub(super) fn next(&mut self, open: usize, now: Instant) -> Next<W> {
        let open = open.min(self.slots);
        let Some(lane) = self.choose(open) else { return Next::Idle };
        if let Some(at) = self.allowed_at(now) {
            return Next::At(at);
        }
        let Some((requests, who)) = self.waiting[index(lane)].pop_front() else { return Next::Idle };
        self.pay(requests, now);
        self.in_use[index(lane)] += 1;
        self.passed_over = match lane {
            Lane::Interactive if !self.waiting[1].is_empty() => self.passed_over + 1,
            _ => 0,
        };
        Next::Call(lane, requests, who)
    }

    fn choose(&self, open: usize) -> Option<Lane> {
        if self.in_use[0] + self.in_use[1] >= open {
            return None;
        }
        let mass = !self.waiting[1].is_empty() && self.in_use[1] < most_mass(open);
        match (!self.waiting[0].is_empty(), mass) {
            (true, true) if self.passed_over >= PASSED_OVER => Some(Lane::Mass),
            (true, _) => Some(Lane::Interactive),
            (false, true) => Some(Lane::Mass),
            (false, false) => None,
        }
    }

    /// `None`: now.
    fn allowed_at(&self, now: Instant) -> Option<Instant> {
        let rate = self.rate?;
        if rate <= 0.0 {
            return Some(now + LOOK);
        }
        let at = self.paid_until.checked_sub(CATCH_UP).unwrap_or(self.paid_until);
        (at > now).then_some(at)
    }

    fn pay(&mut self, requests: u32, now: Instant) {
        if let Some(cost) = self.cost(requests) {
            self.paid_until = self.paid_until.max(now) + cost;
        }
    }

    /// Takes back what was paid for a call that was not made.
    pub(super) fn refund(&mut self, requests: u32) {
        let refunded = self.cost(requests).and_then(|cost| self.paid_until.checked_sub(cost));
        self.paid_until = refunded.unwrap_or(self.paid_until);
    }

    fn cost(&self, requests: u32) -> Option<Duration> {
        let rate = self.rate.filter(|rate| *rate > 0.0)?;
        Some(Duration::from_secs_f64((f64::from(requests) / rate).min(3600.0)))
    }
}

#[cfg(test)]
mod tests;
