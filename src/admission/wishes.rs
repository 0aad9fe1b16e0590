//! Whose `Retry-After` it is. One that comes with an answer holds the whole provider back; but a provider
//! that asks again with the answer to the same target, and has answered others in between, means that target
//! alone.

use std::collections::HashMap;
use std::time::Instant;

use crate::target::TargetId;

/// Most targets that are remembered.
const MOST: usize = 1024;

/// The targets whose answers asked for a wait, and when each last did.
#[derive(Default)]
pub(super) struct Wishes(HashMap<TargetId, Instant>);

impl Wishes {
    /// Whether a wish that comes with the answer to `target` is the provider's, which last answered anybody
    /// at `last_success_at`. The target itself waits as it was told in any case.
    pub(super) fn is_for_all(
        &mut self,
        target: TargetId,
        last_success_at: Option<Instant>,
        now: Instant,
    ) -> bool {
        if self.0.len() >= MOST && !self.0.contains_key(&target) {
            // The oldest is forgotten: its next wish counts as a first one.
            let oldest = self.0.iter().min_by_key(|(_, at)| **at).map(|(target, _)| *target);
            oldest.map(|target| self.0.remove(&target));
        }
        let is_its_own = match (self.0.insert(target, now), last_success_at) {
            (Some(before), Some(success)) => success > before,
            _ => false,
        };
        !is_its_own
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    fn target(number: u128) -> TargetId {
        TargetId { event: Uuid::from_u128(number), ordinal: 0 }
    }

    #[test]
    fn a_wish_that_comes_again_after_others_were_answered_is_the_targets_own() {
        let (mut wishes, begin) = (Wishes::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut is_for_all =
            |who, success: Option<u64>, now| wishes.is_for_all(target(who), success.map(at), at(now));
        assert!(is_for_all(1, None, 1), "the first");
        assert!(is_for_all(1, Some(0), 2), "nobody was answered since");
        assert!(is_for_all(2, Some(3), 4), "another's first");
        assert!(!is_for_all(1, Some(3), 5), "others were answered since");
        assert!(is_for_all(1, Some(3), 6), "nobody since");
    }

    #[test]
    fn the_memory_is_bounded() {
        let (mut wishes, now) = (Wishes::default(), Instant::now());
        for number in 0..MOST as u128 + 10 {
            wishes.is_for_all(target(number), None, now + Duration::from_millis(number as u64));
        }
        assert!(
            wishes.0.len() == MOST
                && !wishes.0.contains_key(&target(9))
                && wishes.0.contains_key(&target(10))
        );
    }
}
