//! The last of the provider's own probes, and how many came to what.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::Mutex;

use super::doubts::Finding;
use crate::target::PerScope;

/// What probes come to.
const RESULTS: [&str; 4] = ["accepted", "refused", "unanswered", "nothing"];

/// One probe at a time, with either credential.
#[derive(Default)]
pub(super) struct Probes {
    pub(super) last: PerScope<Mutex<Option<Made>>>,
    /// How many came to each of [`RESULTS`].
    counts: [AtomicU64; RESULTS.len()],
}

/// A probe, and what it meant.
pub(super) struct Made {
    pub(super) began: Instant,
    pub(super) finding: Finding,
}

impl Probes {
    pub(super) fn count(&self, finding: &Finding) {
        let place = match finding {
            Finding::Accepted => 0,
            Finding::Refused { .. } => 1,
            Finding::Unanswered(_) => 2,
            Finding::Nothing => 3,
        };
        self.counts[place].fetch_add(1, Ordering::Relaxed);
    }

    /// How many probes came to what.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RESULTS.into_iter().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}
