//! Places for targets in memory, of which no broker user takes all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::Party;

/// A user has at most so many times the places that are left free: three quarters of them where nobody else
/// has any, and there is room for whoever comes next, however many users have all that they may (dynamic
/// thresholds: Choudhury, Hahne, 1998).
const TIMES_FREE: usize = 3;

/// The places of one provider and lane.
pub(super) struct Window {
    size: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    places: usize,
    /// Users who have any.
    by: HashMap<Party, usize>,
}

/// Places that were taken; free again on drop.
pub struct Room {
    window: Arc<Window>,
    /// `None`: nobody's yet.
    party: Option<Party>,
    places: usize,
}

impl Window {
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
    pub(super) fn take_for(self: &Arc<Self>, party: Party, places: usize) -> Option<Room> {
        let mut taken = self.lock();
        let free = self.size.checked_sub(taken.places + places)?;
        let theirs = taken.by.get(&party).copied().unwrap_or(0) + places;
        (theirs <= free.saturating_mul(TIMES_FREE)).then(|| {
            taken.places += places;
            taken.by.insert(party, theirs);
            Room { window: self.clone(), party: Some(party), places }
        })
    }

    /// Room for targets of whoever is shared it out to.
    pub(super) fn take(self: &Arc<Self>, places: usize) -> Option<Room> {
        let mut taken = self.lock();
        taken.places = Some(taken.places + places).filter(|places| *places <= self.size)?;
        Some(Room { window: self.clone(), party: None, places })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing under this lock can panic half-way.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn give_back(&mut self, party: Party, places: usize) {
        if let Some(theirs) = self.by.get_mut(&party) {
            *theirs -= places;
            if *theirs == 0 {
                self.by.remove(&party);
            }
        }
    }
}

impl Room {
    /// One of these places, for a target of `party`.
    pub(crate) fn split(&mut self, party: Party) -> Option<Self> {
        self.places = self.places.checked_sub(1)?;
        if self.party != Some(party) {
            let mut taken = self.window.lock();
            *taken.by.entry(party).or_default() += 1;
            if let Some(before) = self.party {
                taken.give_back(before, 1);
            }
        }
        Some(Self { window: self.window.clone(), party: Some(party), places: 1 })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = self.window.lock();
        taken.places -= self.places;
        if let Some(party) = self.party {
            taken.give_back(party, self.places);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Party {
        Party::of(Some(name))
    }

    #[test]
    fn one_user_alone_takes_three_quarters_and_whoever_comes_finds_room() {
        let window = Window::new(8192);
        let flood: Vec<_> = std::iter::from_fn(|| window.take_for(user("flood"), 1)).collect();
        assert_eq!((flood.len(), window.free()), (6144, 2048));
        for (name, places) in [("one", 1), ("large", 1000), ("none", 0)] {
            assert!(window.take_for(user(name), places).is_some(), "{name}");
        }
        assert!(window.take_for(Party::UNNAMED, 1).is_some(), "without a name");
        assert!(window.take_for(user("flood"), 1).is_none());
    }

    #[test]
    fn hundreds_of_users_who_take_what_they_can_leave_room_for_the_next() {
        let window = Window::new(8192);
        let mut rooms = Vec::new();
        for number in 0..200 {
            let party = user(&format!("user-{number}"));
            let taken: Vec<_> = std::iter::from_fn(|| window.take_for(party, 1)).collect();
            assert!(number > 3 || !taken.is_empty(), "{number}");
            rooms.extend(taken);
        }
        assert!(window.free() > 0);
    }

    #[test]
    fn an_event_of_a_thousand_targets_has_room_for_all_or_none() {
        let window = Window::new(1024);
        assert!(window.take_for(user("a"), 1000).is_none(), "more than three quarters");
        let room = window.take_for(user("a"), 700).expect("room");
        assert!(window.take_for(user("a"), 100).is_none());
        assert_eq!(window.taken(), 700);
        drop(room);
        assert_eq!((window.taken(), window.lock().by.len()), (0, 0));
    }

    #[test]
    fn what_is_claimed_counts_as_its_users_once_that_is_known() {
        let window = Window::new(100);
        let mut claimed = window.take(60).expect("room");
        assert!(window.take(41).is_none());
        assert!(claimed.split(user("c")).is_some_and(|room| room.places == 1));
        let jobs: Vec<_> = (0..59).map_while(|_| claimed.split(user("a"))).collect();
        assert!(claimed.split(user("a")).is_none(), "there were sixty");
        assert_eq!((jobs.len(), window.taken()), (59, 59));
        assert!(window.take_for(user("a"), 17).is_none(), "76 are more than three times 24");
        assert!(window.take_for(user("b"), 17).is_some());
        drop((claimed, jobs));
        assert_eq!((window.taken(), window.lock().by.len()), (0, 0), "nothing is kept of who has none");
    }

    #[test]
    fn places_change_hands_with_their_counts() {
        let window = Window::new(10);
        let mut room = window.take_for(user("a"), 2).expect("room");
        let split = room.split(user("b")).expect("a place");
        assert_eq!(window.lock().by, HashMap::from([(user("a"), 1), (user("b"), 1)]));
        drop(room);
        assert_eq!(window.lock().by, HashMap::from([(user("b"), 1)]));
        drop(split);
        assert_eq!(window.free(), 10);
    }
}
