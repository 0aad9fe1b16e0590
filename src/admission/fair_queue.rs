//! Fair turns among broker users: pure bookkeeping over those who wait.
//!
//! Whoever has had least goes next (start-time fair queueing: Goyal, Vin, Cheng, 1996). A user who comes
//! starts level with the one whose turn it was last: nobody saves turns up, and nobody waits behind the
//! thousands that another has brought. One who has had more than others stays on account until they have
//! caught up, or until nobody waits; of those who have nothing there and owe nothing, nothing is kept.

use std::collections::{BTreeSet, HashMap, VecDeque};

use tokio::sync::mpsc;

use crate::event::Party;

/// Who waits, in classes that may be kept waiting apart from each other. Within a class a user's go in the
/// order in which they came.
pub(crate) struct FairQueue<T, const CLASSES: usize> {
    users: HashMap<Party, User<T, CLASSES>>,
    /// By class, the users of whom somebody waits in it, whose turn is next first.
    turns: [BTreeSet<Turn>; CLASSES],
    /// Users of whom nobody waits, by what they have had.
    owing: BTreeSet<(u64, Party)>,
    /// What the user had had whose turn it was last.
    level: u64,
    /// How many have come or gone.
    places: u64,
    waiting: usize,
}

/// What a user has had, since when, and who it is.
type Turn = (u64, u64, Party);

struct User<T, const CLASSES: usize> {
    had: u64,
    since: u64,
    waiting: [VecDeque<Waiting<T>>; CLASSES],
}

/// Someone who waits, and how many came before.
struct Waiting<T> {
    place: u64,
    cost: u64,
    who: T,
}

impl<T, const CLASSES: usize> User<T, CLASSES> {
    fn new(had: u64) -> Self {
        Self { had, since: 0, waiting: std::array::from_fn(|_| VecDeque::new()) }
    }

    fn is_away(&self) -> bool {
        self.waiting.iter().all(VecDeque::is_empty)
    }
}

impl<T, const CLASSES: usize> Default for FairQueue<T, CLASSES> {
    fn default() -> Self {
        let turns = std::array::from_fn(|_| BTreeSet::new());
        Self { users: HashMap::new(), turns, owing: BTreeSet::new(), level: 0, places: 0, waiting: 0 }
    }
}

impl<T, const CLASSES: usize> FairQueue<T, CLASSES> {
    /// Nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Someone of `party` waits for a turn that costs so much.
    pub(crate) fn wait(&mut self, class: usize, party: Party, cost: u32, who: T) {
        self.places += 1;
        self.waiting += 1;
        let user = self.users.entry(party).or_insert_with(|| User::new(self.level));
        if user.is_away() {
            self.owing.remove(&(user.had, party));
            user.since = self.places;
        }
        user.waiting[class].push_back(Waiting { place: self.places, cost: u64::from(cost), who });
        self.turns[class].insert((user.had, user.since, party));
    }

    /// Of the `open` classes the one whose turn is next.
    pub(crate) fn next(&self, open: [bool; CLASSES]) -> Option<usize> {
        let next = |class: usize| {
            let (had, since, _) = self.turns[class].first()?;
            Some((*had, *since, self.first(class)?.place, class))
        };
        (0..CLASSES).filter(|class| open[*class]).filter_map(next).min().map(|(.., class)| class)
    }

    /// Lets the next of a class have its turn.
    pub(crate) fn take(&mut self, class: usize) -> Option<T> {
        let (had, ..) = *self.turns[class].first()?;
        self.level = self.level.max(had);
        self.remove(class, true)
    }

    /// Takes everyone who waits in a class.
    pub(crate) fn dismiss(&mut self, class: usize) -> Vec<T> {
        std::iter::from_fn(|| self.remove(class, false)).collect()
    }

    /// Forgets those whose turn is next and who are gone; they have had nothing.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(&T) -> bool) {
        for class in 0..CLASSES {
            while self.first(class).is_some_and(|first| is_gone(&first.who)) {
                self.remove(class, false);
            }
        }
    }

    fn first(&self, class: usize) -> Option<&Waiting<T>> {
        let (.., party) = self.turns[class].first()?;
        self.users.get(party)?.waiting[class].front()
    }

    /// Takes the first of a class; its user pays for it, or not.
    fn remove(&mut self, class: usize, pays: bool) -> Option<T> {
        let turn @ (.., party) = *self.turns[class].first()?;
        let user = self.users.get_mut(&party)?;
        let Waiting { cost, who, .. } = user.waiting[class].pop_front()?;
        self.waiting -= 1;
        if pays {
            self.places += 1;
            // Whoever could not be let in while others were does not catch up on all of it.
            (user.had, user.since) = (user.had.max(self.level) + cost, self.places);
        }
        for (turns, waiting) in self.turns.iter_mut().zip(&user.waiting) {
            if turns.remove(&turn) && !waiting.is_empty() {
                turns.insert((user.had, user.since, party));
            }
        }
        if user.is_away() {
            self.owing.insert((user.had, party));
        }
        self.settle();
        Some(who)
    }

    /// Forgets the users who are away and have had no more than the others, or all of them once nobody waits.
    fn settle(&mut self) {
        while let Some((had, party)) = self.owing.first().copied()
            && (had <= self.level || self.is_empty())
        {
            self.owing.pop_first();
            self.users.remove(&party);
        }
    }
}

impl<T> FairQueue<T, 1> {
    /// Has everyone wait who has come; where nobody waits, comes back with the next. `of`: whose it is, and
    /// what its turn costs. `None`: nobody will come.
    pub(crate) async fn gather(
        &mut self,
        from: &mut mpsc::UnboundedReceiver<T>,
        of: impl Fn(&T) -> (Party, usize),
    ) -> Option<()> {
        let wait = |waiting: &mut Self, who: T| {
            let (party, cost) = of(&who);
            waiting.wait(0, party, u32::try_from(cost).unwrap_or(u32::MAX), who);
        };
        if self.is_empty() {
            wait(self, from.recv().await?);
        }
        while let Ok(who) = from.try_recv() {
            wait(self, who);
        }
        Some(())
    }

    /// At most so many whose turns are next, and no more than cost so much together, unless the first alone
    /// does.
    pub(crate) fn batch(&mut self, most: usize, most_cost: u64) -> Vec<T> {
        let (mut batch, mut cost) = (Vec::new(), 0);
        while batch.len() < most
            && let Some(next) = self.first(0)
            && (batch.is_empty() || cost + next.cost <= most_cost)
        {
            cost += next.cost;
            batch.extend(self.take(0));
        }
        batch
    }
}

#[cfg(test)]
mod tests;
