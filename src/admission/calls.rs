//! The last five minutes of calls to one provider: counts and durations, in constant memory.

use std::iter::Sum;
use std::time::{Duration, Instant};

const SLOTS: usize = 30;
const SLOT: Duration = Duration::from_secs(10);
/// Bounds of the duration classes grow by a quarter each, from 0.1 ms; the last takes everything above 20
/// min.
const CLASSES: usize = 74;
const FIRST_MS: f64 = 0.1;
const GROWTH: f64 = 1.25;

#[derive(Clone, Copy)]
struct Slot {
    number: u64,
    calls: u64,
    failures: u64,
    took: Duration,
    durations: [u32; CLASSES],
}

const EMPTY: Slot = Slot { number: 0, calls: 0, failures: 0, took: Duration::ZERO, durations: [0; CLASSES] };

/// Counts over a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// All calls.
    pub(super) calls: u64,
    /// Those that failed.
    pub(super) failures: u64,
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, count| Self {
            calls: sum.calls + count.calls,
            failures: sum.failures + count.failures,
        })
    }
}

/// Ring of ten-second slots.
pub(super) struct Calls {
    start: Instant,
    slots: Box<[Slot; SLOTS]>,
}

impl Calls {
    /// The period that the breaker looks at.
    pub(super) const RECENT: Duration = Duration::from_secs(30);

    /// An empty record that begins at `start`.
    pub(super) fn new(start: Instant) -> Self {
        Self { start, slots: Box::new([EMPTY; SLOTS]) }
    }

    fn number(&self, now: Instant) -> u64 {
        // From 1: zero marks a slot that was never used.
        now.saturating_duration_since(self.start).as_secs() / SLOT.as_secs() + 1
    }

    /// Adds a call.
    pub(super) fn note(&mut self, now: Instant, took: Duration, succeeded: bool) {
        let number = self.number(now);
        let slot = &mut self.slots[(number % SLOTS as u64) as usize];
        if slot.number != number {
            *slot = Slot { number, ..EMPTY };
        }
        slot.calls += 1;
        slot.failures += u64::from(!succeeded);
        slot.took = slot.took.saturating_add(took);
        slot.durations[class(took)] += 1;
    }

    fn within(&self, now: Instant, slots: u64) -> impl Iterator<Item = &Slot> {
        let newest = self.number(now);
        self.slots.iter().filter(move |slot| slot.number > 0 && slot.number + slots > newest)
    }

    /// Counts of about the last [`Calls::RECENT`].
    pub(super) fn recent(&self, now: Instant) -> Count {
        self.count(now, Self::RECENT.as_secs() / SLOT.as_secs())
    }

    /// How long the calls of about the last [`Calls::RECENT`] took, all together.
    pub(super) fn busy(&self, now: Instant) -> Duration {
        self.within(now, Self::RECENT.as_secs() / SLOT.as_secs())
            .fold(Duration::ZERO, |sum, slot| sum.saturating_add(slot.took))
    }

    /// Counts of about the last five minutes.
    pub(super) fn all(&self, now: Instant) -> Count {
        self.count(now, SLOTS as u64)
    }

    /// Counts of each ten seconds of about the last five minutes, the oldest first.
    pub(super) fn by_slot(&self, now: Instant) -> [Count; SLOTS] {
        let (newest, mut counts) = (self.number(now), [Count::default(); SLOTS]);
        for slot in self.within(now, SLOTS as u64) {
            let back = newest.saturating_sub(slot.number) as usize;
            counts[SLOTS - 1 - back.min(SLOTS - 1)] = Count { calls: slot.calls, failures: slot.failures };
        }
        counts
    }

    fn count(&self, now: Instant, slots: u64) -> Count {
        self.within(now, slots).map(|slot| Count { calls: slot.calls, failures: slot.failures }).sum()
    }

    /// The duration, ms, that a share of all records' calls of the last five minutes did not exceed; exact to
    /// a quarter. `None` without calls.
    pub(super) fn quantile_ms<'a>(
        records: impl IntoIterator<Item = &'a Self>,
        now: Instant,
        share: f64,
    ) -> Option<f64> {
        let mut sum = [0_u64; CLASSES];
        for slot in records.into_iter().flat_map(|calls| calls.within(now, SLOTS as u64)) {
            sum.iter_mut().zip(slot.durations).for_each(|(sum, count)| *sum += u64::from(count));
        }
        let wanted = (sum.iter().sum::<u64>() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        sum.iter()
            .position(|count| {
                seen += count;
                seen >= wanted
            })
            .map(|class| FIRST_MS * GROWTH.powi(class as i32))
    }
}

fn class(took: Duration) -> usize {
    let steps = (took.as_secs_f64() * 1000.0 / FIRST_MS).ln() / GROWTH.ln();
    (steps.ceil().max(0.0) as usize).min(CLASSES - 1)
}

#[cfg(test)]
mod tests;
