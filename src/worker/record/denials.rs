//! Denials on their way into the record. The row of a target says that its event is denied at no cost, where
//! it is written anyway; a denial waits for that a little, and is then written with its event.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

/// How long a denial waits for a result of its event.
const COMPANY_WITHIN: Duration = Duration::from_millis(100);

/// Those that wait: when the broker confirmed each, and until when it waits.
#[derive(Default)]
pub(super) struct Denials(HashMap<Uuid, (OffsetDateTime, Instant)>);

impl Denials {
    /// Has one wait.
    pub(super) fn note(&mut self, event: Uuid, at: OffsetDateTime) {
        self.0.insert(event, (at, Instant::now() + COMPANY_WITHIN));
    }

    /// Those of these events, and those that have waited long enough.
    pub(super) fn take(&mut self, events: &HashSet<Uuid>) -> Vec<(Uuid, OffsetDateTime)> {
        let now = Instant::now();
        let is_due = |event: &Uuid, until: Instant| until <= now || events.contains(event);
        self.0
            .extract_if(|event, (_, until)| is_due(event, *until))
            .map(|(event, (at, _))| (event, at))
            .collect()
    }

    /// All of them.
    pub(super) fn take_all(&mut self) -> Vec<(Uuid, OffsetDateTime)> {
        self.0.drain().map(|(event, (at, _))| (event, at)).collect()
    }

    /// Returns when one has waited long enough.
    pub(super) async fn overdue(&self) {
        match self.0.values().map(|(_, until)| *until).min() {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_denial_goes_with_its_event_or_when_it_has_waited() {
        let (mut denials, at) = (Denials::default(), OffsetDateTime::UNIX_EPOCH);
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        denials.note(a, at);
        denials.note(b, at);
        assert!(denials.take(&HashSet::from([c])).is_empty());
        assert_eq!(denials.take(&HashSet::from([b, c])), [(b, at)]);
        let began = Instant::now();
        denials.overdue().await;
        assert_eq!(began.elapsed(), COMPANY_WITHIN);
        assert_eq!(denials.take(&HashSet::new()), [(a, at)]);
        denials.note(c, at);
        assert_eq!((denials.take_all(), denials.take_all()), (vec![(c, at)], vec![]));
    }
}
