//! How long denials and revocations took, for the page: counted in classes, drained by the worker every few
//! seconds into a row of its minute.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::store::Latencies;

/// The first class ends at half a millisecond, each further one at half as much again; the last takes
/// everything above 66 min.
pub const CLASSES: usize = 41;
const FIRST_MS: f64 = 0.5;
const GROWTH: f64 = 1.5;

/// The class of a duration.
pub fn class(took: Duration) -> usize {
    let steps = (took.as_secs_f64() * 1e3 / FIRST_MS).ln() / GROWTH.ln();
    (steps.ceil().max(0.0) as usize).min(CLASSES - 1)
}

/// The duration, ms, that a share did not exceed; exact to a half. `None`: there is nothing.
pub fn quantile_ms(classes: &[u64], share: f64) -> Option<f64> {
    let all: u64 = classes.iter().sum();
    let wanted = (all as f64 * share).ceil() as u64;
    let mut seen = 0;
    let reached = classes.iter().position(|count| {
        seen += count;
        *count > 0 && seen >= wanted
    });
    reached.map(|class| FIRST_MS * GROWTH.powi(class as i32))
}

/// Counts of one thing.
pub(super) struct Taken([AtomicU32; CLASSES]);

impl Default for Taken {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(0)))
    }
}

impl Taken {
    pub(super) fn note(&self, took: Duration) {
        self.0[class(took)].fetch_add(1, Ordering::Relaxed);
    }

    fn drain(&self) -> Vec<i32> {
        let drained = self.0.iter().map(|count| count.swap(0, Ordering::Relaxed));
        drained.map(|count| i32::try_from(count).unwrap_or(i32::MAX)).collect()
    }
}

/// What has gathered since the last time; `None`: nothing.
pub(super) fn drained(denial: &Taken, revocation: &Taken) -> Option<Latencies> {
    let drained = Latencies { denial: denial.drain(), revocation: revocation.drain() };
    let is_empty = drained.denial.iter().chain(&drained.revocation).all(|count| *count == 0);
    (!is_empty).then_some(drained)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_a_half() {
        for ms in [1, 4, 20, 300, 5000, 600_000] {
            let mut classes = [0; CLASSES];
            classes[class(Duration::from_millis(ms))] += 7;
            let told = quantile_ms(&classes, 0.5).expect("there are some");
            assert!(told >= ms as f64 && told <= ms as f64 * 1.51, "{ms}: {told}");
        }
        assert_eq!((quantile_ms(&[], 0.5), quantile_ms(&[0; CLASSES], 0.99)), (None, None));
        assert_eq!((class(Duration::ZERO), class(Duration::from_secs(1 << 40))), (0, CLASSES - 1));
    }

    #[test]
    fn what_has_gathered_is_told_once() {
        let (denial, revocation) = (Taken::default(), Taken::default());
        assert_eq!(drained(&denial, &revocation), None);
        denial.note(Duration::from_millis(3));
        let told = drained(&denial, &revocation).expect("one");
        assert_eq!((told.denial.iter().sum::<i32>(), told.revocation.iter().sum::<i32>()), (1, 0));
        assert_eq!(drained(&denial, &revocation), None);
    }
}
