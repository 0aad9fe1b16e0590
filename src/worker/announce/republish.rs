//! What was published in the last minute for events that are older than that. A broker that lost power may
//! have lost it, and the query for what to publish again goes by the age of events.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::target::TargetId;

/// What the broker confirmed this long before it was lost is published again: streams are not fsynced.
pub(in crate::worker) const OVERLAP: Duration = Duration::from_secs(60);

/// Something that was published long after its event had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::worker) enum Late {
    /// The denial of this event, after its incident's approval.
    Denial(Uuid),
    /// The later cutoff of this target, with its confirmation.
    Cutoff(TargetId),
}

impl Late {
    /// The event that it belongs to.
    pub(in crate::worker) fn event(self) -> Uuid {
        match self {
            Self::Denial(event) => event,
            Self::Cutoff(target) => target.event,
        }
    }
}

/// The republish log: what was published late within the last minute.
#[derive(Default)]
pub(in crate::worker) struct RepublishLog(Mutex<VecDeque<(Instant, Late)>>);

impl RepublishLog {
    /// It was published just now.
    pub(in crate::worker) fn note(&self, late: Late) {
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
    pub(in crate::worker) fn all(&self) -> Vec<Late> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, late)| *late).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_minute_is_dropped() {
        let (log, start) = (RepublishLog::default(), Instant::now());
        let late = |number| Late::Denial(Uuid::from_u128(number));
        log.note_at(late(1), start);
        log.note_at(late(2), start + OVERLAP);
        assert_eq!(log.all(), [late(1), late(2)]);
        log.note_at(late(3), start + OVERLAP + Duration::from_millis(1));
        assert_eq!(log.all(), [late(2), late(3)]);
    }
}
