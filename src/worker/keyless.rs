//! How many signed events may wait for keys: so few that nobody else's wait behind them, and no sender's so
//! many that another's find no place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Those that wait, by sender.
pub(super) struct Keyless {
    most: usize,
    of: Mutex<HashMap<Arc<str>, usize>>,
}

/// The place of one of them.
pub(super) struct KeylessPlace<'w> {
    keyless: &'w Keyless,
    sender: Arc<str>,
}

impl Keyless {
    /// Has room for so many.
    pub(super) fn new(most: usize) -> Self {
        Self { most, of: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more of this sender's: it may have as many as are free, so half of all where it is
    /// alone. `None`: it has them.
    pub(super) fn place(&self, sender: &Arc<str>) -> Option<KeylessPlace<'_>> {
        let mut of = self.lock();
        let taken: usize = of.values().sum();
        let own = of.entry(sender.clone()).or_default();
        if *own >= self.most.saturating_sub(taken) {
            return None;
        }
        *own += 1;
        Some(KeylessPlace { keyless: self, sender: sender.clone() })
    }

    /// How many wait, all together.
    pub(super) fn count(&self) -> usize {
        self.lock().values().sum()
    }
}

impl KeylessPlace<'_> {
    /// Whether it is the only one of its sender's.
    pub(super) fn is_first(&self) -> bool {
        self.keyless.lock().get(&self.sender) == Some(&1)
    }
}

impl Drop for KeylessPlace<'_> {
    fn drop(&mut self) {
        if let Some(own) = self.keyless.lock().get_mut(&self.sender) {
            *own = own.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sender_leaves_places_to_others() {
        let waiting = Keyless::new(8);
        let [one, other]: [Arc<str>; 2] = ["one", "other"].map(Arc::from);
        let mut places: Vec<_> = std::iter::from_fn(|| waiting.place(&one)).collect();
        assert_eq!(places.len(), 4);
        let others: Vec<_> = std::iter::from_fn(|| waiting.place(&other)).collect();
        assert_eq!((others.len(), waiting.count()), (2, 6));
        drop(others);
        places.truncate(1);
        assert!(places[0].is_first() && waiting.count() == 1);
        assert!(waiting.place(&one).is_some_and(|place| !place.is_first()));
    }
}
