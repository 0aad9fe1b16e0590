//! Whose turn it is to call a provider: pure decisions over slots, a token bucket, and two lanes of waiting
//! calls.
//!
//! In each lane the broker users whose calls wait have equal shares, and of one user's calls the one that
//! came first goes first. Ordinary logouts come first, but every eighth call is a mass revocation's, so that
//! a busy day does not stop an incident. Mass revocations leave a quarter of the slots free, rounded up;
//! where that would leave them none, they have one, and share it with the logouts if it is the only one.

use std::time::{Duration, Instant};

use super::fair_queue::FairQueue;
use crate::event::{Lane, Party};
use crate::target::{PerScope, Scope};

/// The part of the slots that mass revocations leave free, as a divisor.
const RESERVED: usize = 4;
/// So many calls of ordinary logouts in a row may pass over a waiting mass revocation.
const PASSED_OVER: u32 = 7;
/// What the token bucket holds: so much of the rate may be caught up on after a moment without calls.
const BURST: Duration = Duration::from_millis(20);
/// How soon a worker that has no share of the rate asks again.
const WITHOUT_SHARE: Duration = Duration::from_millis(100);

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<W> {
    /// Let this one make its call.
    Call(Call, W),
    /// Ask again then.
    At(Instant),
    /// Wait for a call to end or for one to be asked for.
    Idle,
}

/// A call that somebody wants to make, and what it takes of the slots and the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The lane that it goes in.
    pub lane: Lane,
    /// Whose it is.
    pub party: Party,
    /// What it is for.
    pub scope: Scope,
    /// How many requests it makes.
    pub requests: u32,
}

/// The calls that wait for one provider, and what is left for them.
pub(super) struct Lanes<W> {
    slots: usize,
    interactive: CallsOfLane<W>,
    mass: CallsOfLane<W>,
    /// Calls of ordinary logouts since the last of a mass revocation, while one waits.
    passed_over: u32,
    rate: TokenBucket,
}

struct CallsOfLane<W> {
    waiting: FairQueue<(Call, W), 2>,
    under_way: PerScope<usize>,
}

struct TokenBucket {
    /// Requests a second; `None`: as many as the slots allow.
    rate: Option<f64>,
    /// The requests sent so far use up the rate until this instant.
    used_until: Instant,
}

impl<W> Lanes<W> {
    /// All slots free.
    pub(super) fn new(slots: usize, now: Instant) -> Self {
        let lane = || CallsOfLane { waiting: FairQueue::default(), under_way: PerScope::default() };
        let rate = TokenBucket { rate: None, used_until: now };
        Self { slots, interactive: lane(), mass: lane(), passed_over: 0, rate }
    }

    /// All slots, free or not.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// From now on at most so many requests a second.
    pub(super) fn set_rate(&mut self, rate: Option<f64>) {
        self.rate.rate = rate;
    }

    /// Most requests a second.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate.rate
    }

    /// Someone who will make `call`.
    pub(super) fn wait(&mut self, call: Call, who: W) {
        self.of_mut(call.lane).waiting.wait(class(call.scope), call.party, call.requests, (call, who));
    }

    /// Takes everyone whose call is for that.
    pub(super) fn dismiss(&mut self, scope: Scope) -> Vec<W> {
        let lanes = [&mut self.interactive, &mut self.mass].into_iter();
        lanes.flat_map(|lane| lane.waiting.dismiss(class(scope))).map(|(_, who)| who).collect()
    }

    /// Forgets those at the front who are gone, so that none of them gets a slot or costs anything.
    pub(super) fn forget(&mut self, is_gone: impl Fn(&W) -> bool) {
        for lane in [&mut self.interactive, &mut self.mass] {
            lane.waiting.forget(|(_, who)| is_gone(who));
        }
    }

    /// A call has ended.
    pub(super) fn release(&mut self, call: Call) {
        self.of_mut(call.lane).under_way[call.scope] -= 1;
    }

    /// Takes back what the requests of a call that was not made used up.
    pub(super) fn refund(&mut self, requests: u32) {
        self.rate.refund(requests);
    }

    /// What is to be done; a call counts as under way from here on. `open`: so many slots, of all, are open
    /// to either scope.
    pub(super) fn next(&mut self, open: PerScope<usize>, now: Instant) -> Next<W> {
        let open = PerScope::new(|scope| open[scope].min(self.slots));
        let Some((lane, scope)) = self.choose(open) else { return Next::Idle };
        if let Some(at) = self.rate.empty_until(now) {
            return Next::At(at);
        }
        let Some((call, who)) = self.of_mut(lane).waiting.take(class(scope)) else { return Next::Idle };
        self.rate.take(call.requests, now);
        self.of_mut(lane).under_way[scope] += 1;
        self.passed_over = match lane {
            Lane::Interactive if !self.mass.waiting.is_empty() => self.passed_over + 1,
            _ => 0,
        };
        Next::Call(call, who)
    }

    fn choose(&self, open: PerScope<usize>) -> Option<(Lane, Scope)> {
        if self.interactive.all_under_way() + self.mass.all_under_way() >= self.slots {
            return None;
        }
        match (self.first(Lane::Interactive, open), self.first(Lane::Mass, open)) {
            (Some(_), Some(mass)) if self.passed_over >= PASSED_OVER => Some(mass),
            (interactive, mass) => interactive.or(mass),
        }
    }

    /// The lane, and what its next call is for, of those for which a slot is open.
    fn first(&self, lane: Lane, open: PerScope<usize>) -> Option<(Lane, Scope)> {
        let has_slot = Scope::ALL.map(|scope| self.has_slot(lane, scope, open[scope]));
        let next = self.of(lane).waiting.next(has_slot)?;
        Scope::ALL.into_iter().find(|scope| class(*scope) == next).map(|scope| (lane, scope))
    }

    fn has_slot(&self, lane: Lane, scope: Scope, open: usize) -> bool {
        let (logouts, mass) = (self.interactive.under_way[scope], self.mass.under_way[scope]);
        let leaves_enough = || mass < most_mass(open) && self.mass.all_under_way() < most_mass(self.slots);
        logouts + mass < open && (lane == Lane::Interactive || leaves_enough())
    }

    fn of(&self, lane: Lane) -> &CallsOfLane<W> {
        match lane {
            Lane::Interactive => &self.interactive,
            Lane::Mass => &self.mass,
        }
    }

    fn of_mut(&mut self, lane: Lane) -> &mut CallsOfLane<W> {
        match lane {
            Lane::Interactive => &mut self.interactive,
            Lane::Mass => &mut self.mass,
        }
    }
}

impl<W> CallsOfLane<W> {
    fn all_under_way(&self) -> usize {
        self.under_way.iter().sum()
    }
}

/// A scope's class in the queue of a lane.
fn class(scope: Scope) -> usize {
    match scope {
        Scope::Token => 0,
        Scope::Wide => 1,
    }
}

/// How many of `slots` mass revocations may take.
fn most_mass(slots: usize) -> usize {
    slots.saturating_sub(slots.div_ceil(RESERVED)).max(1)
}

impl TokenBucket {
    /// Until when no request may be made; `None`: one may.
    fn empty_until(&self, now: Instant) -> Option<Instant> {
        let rate = self.rate?;
        if rate <= 0.0 {
            return Some(now + WITHOUT_SHARE);
        }
        let at = self.used_until.checked_sub(BURST).unwrap_or(self.used_until);
        (at > now).then_some(at)
    }

    fn take(&mut self, requests: u32, now: Instant) {
        if let Some(cost) = self.cost(requests) {
            self.used_until = self.used_until.max(now) + cost;
        }
    }

    fn refund(&mut self, requests: u32) {
        let refunded = self.cost(requests).and_then(|cost| self.used_until.checked_sub(cost));
        self.used_until = refunded.unwrap_or(self.used_until);
    }

    fn cost(&self, requests: u32) -> Option<Duration> {
        let rate = self.rate.filter(|rate| *rate > 0.0)?;
        Some(Duration::from_secs_f64((f64::from(requests) / rate).min(3600.0)))
    }
}

#[cfg(test)]
mod tests;
