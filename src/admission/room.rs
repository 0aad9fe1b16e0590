//! Memory for targets: how many of a provider's a worker holds, by lane, so that what does not fit waits in
//! Postgres; and that no broker user takes all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::event::{Lane, Party};

/// Most targets of one provider in memory that ordinary logouts have.
pub(super) const INTERACTIVE: usize = 8192;
/// And mass revocations.
const MASS: usize = 1024;
/// Of the places of ordinary logouts a quarter is for those that arrive now, however much there is to claim
/// in Postgres.
pub(super) const KEPT: usize = INTERACTIVE / 4;
/// Mass revocations, which an operator may pause and which wait for each other, have no more targets in
/// memory than are revoked within this time,
const AHEAD: Duration = Duration::from_secs(2);
/// but at least so many where the provider's rate is limited,
const LEAST_AT_RATE: usize = 8;
/// and so many where it is not.
const LEAST_AT_PACE: usize = 64;
/// Ordinary logouts beyond that are leased ahead of their room in memory, as long as they are not more than
/// this
const LEASED_AHEAD: usize = 65_536;
/// nor than are revoked within this time.
const LEASED_AHEAD_WITHIN: Duration = Duration::from_secs(8);
/// A user has at most so many times the places that are left free: three quarters of them where nobody else
/// has any, and there is room for whoever comes next, however many users have all that they may (dynamic
/// thresholds: Choudhury, Hahne, 1998).
const TIMES_FREE: usize = 3;

/// The memory for one provider's targets.
pub(super) struct Memory {
    interactive: Arc<Places>,
    mass: Arc<Places>,
    ahead: Arc<Places>,
}

/// The places of one lane.
pub(super) struct Places {
    size: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    places: usize,
    /// Users who have any.
    by: HashMap<Party, usize>,
}

/// Places for targets in memory; free again on drop.
pub struct Room {
    places: Arc<Places>,
    count: usize,
    /// `None`: nobody's yet.
    party: Option<Party>,
}

impl Memory {
    /// All free.
    pub(super) fn new() -> Self {
        Self {
            interactive: Places::new(INTERACTIVE),
            mass: Places::new(MASS),
            ahead: Places::new(LEASED_AHEAD),
        }
    }

    /// The places of a lane.
    pub(super) fn places(&self, lane: Lane) -> &Arc<Places> {
        match lane {
            Lane::Interactive => &self.interactive,
            Lane::Mass => &self.mass,
        }
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        self.interactive.taken() + self.mass.taken()
    }

    /// A lease without room in memory for a user's ordinary logouts, if rate and pace are such that room will
    /// soon be there.
    pub(super) fn take_ahead(
        &self,
        party: Party,
        count: usize,
        rate: Option<f64>,
        pace: f64,
    ) -> Option<Room> {
        let per_s = rate.map_or(pace, |rate| rate.min(pace));
        let is_soon = (self.ahead.taken() + count) as f64 <= per_s * LEASED_AHEAD_WITHIN.as_secs_f64();
        is_soon.then(|| self.ahead.take_for(party, count)).flatten()
    }

    /// How many places a claim may fill. This worker's share of the provider's rate and the pace that its
    /// slots allow are calls a second, as far as they are limited and known.
    pub(super) fn wanted(&self, lane: Lane, rate: Option<f64>, pace: Option<f64>) -> usize {
        let free = self.places(lane).free();
        match lane {
            // However full it is, a retry of one user comes in beside the floods of others.
            Lane::Interactive => free.saturating_sub(KEPT).max(free / 4),
            Lane::Mass => free.saturating_sub(MASS - most_mass(rate, pace)),
        }
    }
}

/// Most targets of mass revocations in memory.
pub(super) fn most_mass(rate: Option<f64>, pace: Option<f64>) -> usize {
    let work = |per_s: f64, least| ((per_s * AHEAD.as_secs_f64()) as usize).clamp(least, MASS);
    let at_rate = rate.map(|rate| work(rate, LEAST_AT_RATE));
    let at_pace = pace.map(|pace| work(pace, LEAST_AT_PACE));
    at_rate.into_iter().chain(at_pace).min().unwrap_or(LEAST_AT_PACE)
}

impl Places {
    /// All free.
    pub(super) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self { size, taken: Mutex::default() })
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.lock().places
    }

    /// How many are free.
    pub(super) fn free(&self) -> usize {
        self.size - self.taken()
    }

    /// Room for targets of a user, if that leaves the others theirs.
    pub(super) fn take_for(self: &Arc<Self>, party: Party, count: usize) -> Option<Room> {
        let mut taken = self.lock();
        let free = self.size.checked_sub(taken.places + count)?;
        let theirs = taken.by.get(&party).copied().unwrap_or(0) + count;
        (theirs <= free.saturating_mul(TIMES_FREE)).then(|| {
            taken.places += count;
            taken.by.insert(party, theirs);
            Room { places: self.clone(), count, party: Some(party) }
        })
    }

    /// Room for targets of whoever is shared it out to.
    pub(super) fn take(self: &Arc<Self>, count: usize) -> Option<Room> {
        let mut taken = self.lock();
        taken.places = Some(taken.places + count).filter(|places| *places <= self.size)?;
        Some(Room { places: self.clone(), count, party: None })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing under this lock can panic half-way.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn give_back(&mut self, party: Party, count: usize) {
        if let Some(theirs) = self.by.get_mut(&party) {
            *theirs -= count;
            if *theirs == 0 {
                self.by.remove(&party);
            }
        }
    }
}

impl Room {
    /// One of these places, for a target of `party`.
    pub(crate) fn split(&mut self, party: Party) -> Option<Self> {
        self.count = self.count.checked_sub(1)?;
        if self.party != Some(party) {
            let mut taken = self.places.lock();
            *taken.by.entry(party).or_default() += 1;
            if let Some(before) = self.party {
                taken.give_back(before, 1);
            }
        }
        Some(Self { places: self.places.clone(), count: 1, party: Some(party) })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.places -= self.count;
        if let Some(party) = self.party {
            taken.give_back(party, self.count);
        }
    }
}

#[cfg(test)]
mod tests;
