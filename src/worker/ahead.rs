//! Ordinary logouts that are leased to this worker and wait, by their ids alone, until memory has room for
//! them; then they are read back from Postgres. Left there without a lease, each would cost a second write of
//! its row and entries in the indexes of what is due.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::in_flight::InFlightGuard;
use crate::admission::Room;
use crate::event::Party;
use crate::target::TargetId;

/// What has waited longer is handed back, for whichever worker has room.
const WAITS_FOR: Duration = Duration::from_secs(8);
/// Most targets of one event and provider: larger ones would wait for as much room at once.
pub(super) const MOST: usize = 64;

/// The targets of one event and provider, which stay together: its refresh tokens are revoked first.
pub(super) struct Group {
    targets: Vec<InFlightGuard>,
    since: Instant,
    _room: Room,
}

/// What waits, by provider and broker user; nothing more once the worker stops.
pub(super) struct Ahead(Mutex<Option<HashMap<Arc<str>, Users>>>);

type Users = BTreeMap<Party, VecDeque<Group>>;

impl Group {
    /// Of targets that were leased just now.
    pub(super) fn new(targets: Vec<InFlightGuard>, room: Room) -> Self {
        Self { targets, since: Instant::now(), _room: room }
    }

    /// Its targets' ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = TargetId> {
        self.targets.iter().map(InFlightGuard::id)
    }

    /// Its targets, and when they were leased.
    pub(super) fn into_targets(self) -> (Vec<InFlightGuard>, Instant) {
        (self.targets, self.since)
    }
}

impl Default for Ahead {
    fn default() -> Self {
        Self(Mutex::new(Some(HashMap::new())))
    }
}

impl Ahead {
    /// Has a group wait; it comes back where nothing does any more.
    pub(super) fn put(&self, provider: &Arc<str>, party: Party, group: Group) -> Option<Group> {
        let mut queues = self.lock();
        let Some(queues) = queues.as_mut() else { return Some(group) };
        queues.entry(provider.clone()).or_default().entry(party).or_default().push_back(group);
        None
    }

    /// Groups of a provider with some `most` targets together, of each broker user as many as of the others
    /// and of those the oldest first.
    pub(super) fn take(&self, provider: &str, most: usize) -> Vec<Group> {
        let (mut queues, mut taken) = (self.lock(), Vec::new());
        let Some(users) = queues.as_mut().and_then(|queues| queues.get_mut(provider)) else { return taken };
        let (share, mut left) = (most.div_ceil(users.len().max(1)), most);
        for groups in users.values_mut() {
            let mut theirs = share.min(left);
            while theirs > 0
                && let Some(group) = groups.pop_front()
            {
                theirs = theirs.saturating_sub(group.targets.len());
                left = left.saturating_sub(group.targets.len());
                taken.push(group);
            }
        }
        users.retain(|_, groups| !groups.is_empty());
        taken
    }

    /// Takes what has waited for too long.
    pub(super) fn take_overdue(&self, provider: &str, now: Instant) -> Vec<Group> {
        let (mut queues, mut taken) = (self.lock(), Vec::new());
        let Some(users) = queues.as_mut().and_then(|queues| queues.get_mut(provider)) else { return taken };
        for groups in users.values_mut() {
            while groups.front().is_some_and(|group| group.since + WAITS_FOR <= now) {
                taken.extend(groups.pop_front());
            }
        }
        users.retain(|_, groups| !groups.is_empty());
        taken
    }

    /// Takes all of a provider's.
    pub(super) fn take_all(&self, provider: &str) -> Vec<Group> {
        let users = self.lock().as_mut().and_then(|queues| queues.remove(provider));
        users.into_iter().flat_map(BTreeMap::into_values).flatten().collect()
    }

    /// Takes everything; from here on nothing waits.
    pub(super) fn close(&self) -> Vec<Group> {
        let queues = self.lock().take();
        let users = queues.into_iter().flat_map(HashMap::into_values);
        users.flat_map(BTreeMap::into_values).flatten().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<Arc<str>, Users>>> {
        // Nothing under this lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::admission::tests::admission;
    use crate::event::Lane;
    use crate::worker::in_flight::InFlight;

    fn group(event: u128, targets: i16) -> Group {
        let event = Uuid::from_u128(event);
        let held = (0..targets).map(|ordinal| InFlight::default().hold(TargetId { event, ordinal }));
        let room = admission(1, None).room(Lane::Interactive, 1).expect("room");
        Group::new(held.collect(), room)
    }

    fn events(groups: &[Group]) -> Vec<u128> {
        groups.iter().filter_map(|group| Some(group.ids().next()?.event.as_u128())).collect()
    }

    #[test]
    fn each_user_gets_as_much_as_the_others_and_the_oldest_first() {
        let (ahead, provider) = (Ahead::default(), Arc::from("main"));
        let [flood, other] = ["flood", "other"].map(|name| Party::of(Some(name)));
        for event in 1..=6 {
            assert!(ahead.put(&provider, flood, group(event, 2)).is_none());
        }
        assert!(ahead.put(&provider, other, group(7, 2)).is_none());
        assert!(ahead.take("other", 100).is_empty());
        let mut taken = events(&ahead.take("main", 4));
        taken.sort_unstable();
        assert_eq!(taken, [1, 7], "two targets each");
        assert_eq!(events(&ahead.take("main", 3)), [2, 3], "groups are whole");
        assert!(ahead.take("main", 0).is_empty());
        assert!(ahead.take_overdue("main", Instant::now()).is_empty());
        assert_eq!(events(&ahead.take_overdue("main", Instant::now() + WAITS_FOR)), [4, 5, 6]);
    }

    #[test]
    fn nothing_waits_at_a_provider_that_rejects_or_in_a_worker_that_stops() {
        let (ahead, [main, other]) = (Ahead::default(), ["main", "other"].map(Arc::from));
        for (event, provider) in [(1, &main), (2, &other), (3, &main)] {
            assert!(ahead.put(provider, Party::UNNAMED, group(event, 1)).is_none());
        }
        assert_eq!(events(&ahead.take_all("main")), [1, 3]);
        assert_eq!(events(&ahead.close()), [2]);
        assert!(ahead.put(&main, Party::UNNAMED, group(4, 1)).is_some(), "it is given back");
    }
}
