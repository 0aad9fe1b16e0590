//! What this worker has in memory of all that is leased to it. What is leased and not here was lost on the
//! way: a commit whose answer never came.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::target::TargetId;

/// The targets in memory; clones share them. Counted, because a target may be claimed again before all of its
/// last hold is dropped.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashMap<TargetId, u32>>>);

/// As long as this lives, its target counts as held.
pub(super) struct InFlightGuard {
    id: TargetId,
    held: InFlight,
}

impl InFlight {
    /// Holds a target.
    pub(super) fn hold(&self, id: TargetId) -> InFlightGuard {
        *self.lock().entry(id).or_default() += 1;
        InFlightGuard { id, held: self.clone() }
    }

    /// Whether the target is in memory.
    pub(super) fn contains(&self, id: TargetId) -> bool {
        self.lock().contains_key(&id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TargetId, u32>> {
        // Nothing under this lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlightGuard {
    /// The target that it holds.
    pub(super) fn id(&self) -> TargetId {
        self.id
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        if let Some(count) = held.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_target_is_held_until_its_last_hold_is_dropped() {
        let (held, id) = (InFlight::default(), TargetId { event: Uuid::nil(), ordinal: 1 });
        let (first, second) = (held.hold(id), held.hold(id));
        drop(first);
        assert!(held.contains(id));
        drop(second);
        assert!(!held.contains(id));
    }
}
