//! Who calls a provider next: pure decisions over slots, a rate, and two lanes of waiting calls.
//!
//! In each lane the broker users whose calls wait have equal shares, and of one user's calls the one that
//! came first goes first. Calls for tokens and wide calls, for whole sessions and subjects, have breakers of
//! their own. Mass revocations never take the last quarter of the slots, and of what both lanes wait for,
//! ordinary logouts come first; but every eighth call is a mass revocation's, so that a busy day does not
//! stop an incident.

use std::time::{Duration, Instant};

use super::fair_queue::FairQueue;
use crate::event::{Lane, Party};

/// Share of the slots that mass revocations never take, as a divisor.
const RESERVED: usize = 4;
/// So many calls of ordinary logouts in a row may pass over a waiting mass revocation.
const PASSED_OVER: u32 = 7;
/// How far calls may catch up on the rate after a moment in which none was made.
const CATCH_UP: Duration = Duration::from_millis(20);
/// How often to look while the rate allows nothing.
const LOOK: Duration = Duration::from_millis(100);

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<W> {
    /// Let this one make its call.
    Call(Call, W),
    /// Look again then.
    At(Instant),
    /// Wait for a call to end or for one to be asked for.
    Idle,
}

/// What a call takes of the slots and the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The lane that it goes in.
    pub(super) lane: Lane,
    /// Whose it is.
    pub(super) party: Party,
    /// Whether it is for more than one token.
    pub(super) wide: bool,
    /// How many requests it makes.
    pub(super) requests: u32,
}

/// The calls that wait for one provider, and what is left for them; by lane, and there by whether they are
/// wide.
pub(super) struct Lanes<W> {
    slots: usize,
    in_use: [[usize; 2]; 2],
    waiting: [FairQueue<(Call, W), 2>; 2],
    passed_over: u32,
    /// Requests a second; `None`: as many as the slots allow.
    rate: Option<f64>,
    /// When the requests made so far are paid for at the rate.
    paid_until: Instant,
}

/// A lane's place wherever something is kept by lane.
pub(super) fn index(lane: Lane) -> usize {
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
        Self {
            slots,
            in_use: Default::default(),
            waiting: Default::default(),
            passed_over: 0,
            rate: None,
            paid_until: now,
        }
    }

    /// From now on at most so many requests a second.
    pub(super) fn set_rate(&mut self, rate: Option<f64>) {
        self.rate = rate;
    }

    /// Most requests a second.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Someone who will make `call`.
    pub(super) fn wait(&mut self, call: Call, who: W) {
        self.waiting[index(call.lane)].wait(usize::from(call.wide), call.party, call.requests, (call, who));
    }

    /// Takes everyone who waits with a wide call, or with one for a token.
    pub(super) fn dismiss(&mut self, wide: bool) -> Vec<W> {
        self.waiting.iter_mut().flat_map(|lane| lane.dismiss(usize::from(wide))).map(|(_, who)| who).collect()
    }

    /// Forgets those at the front who are gone, so that none of them gets a slot or costs anything.
    pub(super) fn forget(&mut self, is_gone: impl Fn(&W) -> bool) {
        for lane in &mut self.waiting {
            lane.forget(|(_, who)| is_gone(who));
        }
    }

    /// A call has ended.
    pub(super) fn release(&mut self, call: Call) {
        self.in_use[index(call.lane)][usize::from(call.wide)] -= 1;
    }

    /// What is to be done; a call counts as under way from here on. `open`: so many slots are open, of those
    /// that there are, for tokens and for wide calls.
    pub(super) fn next(&mut self, open: [usize; 2], now: Instant) -> Next<W> {
        let Some((lane, wide)) = self.choose(open.map(|open| open.min(self.slots))) else {
            return Next::Idle;
        };
        if let Some(at) = self.allowed_at(now) {
            return Next::At(at);
        }
        let (lane_index, width) = (index(lane), usize::from(wide));
        let Some((call, who)) = self.waiting[lane_index].take(width) else { return Next::Idle };
        self.pay(call.requests, now);
        self.in_use[lane_index][width] += 1;
        self.passed_over = match lane {
            Lane::Interactive if !self.waiting[1].is_empty() => self.passed_over + 1,
            _ => 0,
        };
        Next::Call(call, who)
    }

    fn choose(&self, open: [usize; 2]) -> Option<(Lane, bool)> {
        if self.in_use.iter().flatten().sum::<usize>() >= self.slots {
            return None;
        }
        let first = |lane: Lane| self.first(lane, open).map(|wide| (lane, wide));
        match (first(Lane::Interactive), first(Lane::Mass)) {
            (Some(_), Some(mass)) if self.passed_over >= PASSED_OVER => Some(mass),
            (Some(interactive), _) => Some(interactive),
            (None, mass) => mass,
        }
    }

    /// Whether a wide call is next in a lane, of those for which a slot is open.
    fn first(&self, lane: Lane, open: [usize; 2]) -> Option<bool> {
        let open = [0, 1].map(|width| self.has_slot(lane, width, open));
        self.waiting[index(lane)].next(open).map(|width| width == 1)
    }

    fn has_slot(&self, lane: Lane, width: usize, open: [usize; 2]) -> bool {
        let (mass, open) = (self.in_use[1], open[width]);
        let has_mass = || mass[width] < most_mass(open) && mass[0] + mass[1] < most_mass(self.slots);
        self.in_use[0][width] + mass[width] < open && (lane == Lane::Interactive || has_mass())
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
