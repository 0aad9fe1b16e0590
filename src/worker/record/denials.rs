//! Denials on their way into the record. The row of a target says that its event is denied at no cost, where
//! it is written anyway; a denial waits for that a little, and is then written with its event.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use uuid::Uuid;

/// How long a denial waits for a result of its event.
const COMPANY_WITHIN: Duration = Duration::from_millis(100);

/// And how long in a crowd, whose results come later.
const COMPANY_IN_A_CROWD: Duration = Duration::from_secs(4);
/// So many are one.
const CROWD: usize = 512;

/// Those that wait: when the broker confirmed each, and until when it waits.
#[derive(Default)]
pub(super) struct Denials(HashMap<Uuid, (OffsetDateTime, Instant)>);

impl Denials {
    /// Has one wait.
    pub(super) fn note(&mut self, event: Uuid, at: OffsetDateTime, now: Instant) {
        let patience = if self.0.len() < CROWD { COMPANY_WITHIN } else { COMPANY_IN_A_CROWD };
        self.0.entry(event).or_insert((at, now + patience));
    }

    /// Those of these events, and those that have waited long enough.
    pub(super) fn take(&mut self, events: &HashSet<Uuid>, now: Instant) -> Vec<(Uuid, OffsetDateTime)> {
        let taken = self.0.extract_if(|event, (_, until)| *until <= now || events.contains(event));
        taken.map(|(event, (at, _))| (event, at)).collect()
    }

    /// All of them.
    pub(super) fn take_all(&mut self) -> Vec<(Uuid, OffsetDateTime)> {
        self.0.drain().map(|(event, (at, _))| (event, at)).collect()
    }

    /// Returns when one has waited long enough.
    pub(super) async fn overdue(&self) {
        match self.0.values().map(|(_, until)| *until).min() {
            Some(until) => tokio::time::sleep_until(until.into()).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_goes_with_its_event_or_when_it_has_waited() {
        let (mut denials, at, now) = (Denials::default(), OffsetDateTime::UNIX_EPOCH, Instant::now());
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        denials.note(a, at, now);
        denials.note(b, at, now);
        assert!(denials.take(&HashSet::from([c]), now).is_empty());
        assert_eq!(denials.take(&HashSet::from([b, c]), now), [(b, at)]);
        assert_eq!(denials.take(&HashSet::new(), now + COMPANY_WITHIN), [(a, at)]);
        (1..=CROWD as u128).for_each(|event| denials.note(Uuid::from_u128(event << 8), at, now));
        denials.note(a, at, now);
        assert_eq!(denials.take(&HashSet::new(), now + COMPANY_WITHIN).len(), CROWD, "but one in a crowd");
        assert_eq!(denials.take(&HashSet::new(), now + COMPANY_IN_A_CROWD), [(a, at)]);
        denials.note(c, at, now);
        assert_eq!((denials.take_all(), denials.take_all()), (vec![(c, at)], vec![]));
    }
}
