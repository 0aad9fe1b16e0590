//! What was published in the last minute for events that are older than that: a broker that lost power may
//! have lost it, and the look for what to publish again goes by the events' age.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::target::TargetId;

/// What the broker confirmed this long before it was lost is published again: streams are not fsynced.
pub(super) const OVERLAP: Duration = Duration::from_secs(60);

/// Something that was published late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Late {
    /// The denial of this event, after its incident's approval.
    Denial(Uuid),
    /// The later cutoff of this target, with its confirmation.
    Cutoff(TargetId),
}

impl Late {
    /// The event that it belongs to.
    pub fn event(self) -> Uuid {
        match self {
            Self::Denial(event) => event,
            Self::Cutoff(target) => target.event,
        }
    }
}

/// The last minute's.
#[derive(Default)]
pub struct Recent(Mutex<VecDeque<(Instant, Late)>>);

impl Recent {
    /// It was published just now.
    pub fn note(&self, late: Late) {
        self.note_at(late, Instant::now());
    }

    fn note_at(&self, late: Late, now: Instant) {
        // Nothing under this lock can panic half-way.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((now, late));
        while kept.front().is_some_and(|(at, _)| now.duration_since(*at) > OVERLAP) {
            kept.pop_front();
        }
    }

    /// Everything that is kept, oldest first.
    pub fn all(&self) -> Vec<Late> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, late)| *late).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_minute_is_dropped() {
        let (recent, start) = (Recent::default(), Instant::now());
        let late = |number| Late::Denial(Uuid::from_u128(number));
        recent.note_at(late(1), start);
        recent.note_at(late(2), start + OVERLAP);
        assert_eq!(recent.all(), [late(1), late(2)]);
        recent.note_at(late(3), start + OVERLAP + Duration::from_millis(1));
        assert_eq!(recent.all(), [late(2), late(3)]);
    }
}
