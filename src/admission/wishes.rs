//! Whose `Retry-After` it is. One that comes with an answer holds the whole provider back; but a provider
//! that asks again with the answer to the same target, and has answered others in between, means that target
//! alone.

use std::collections::HashMap;
use std::time::Instant;

use crate::outcome::Answer;
use crate::target::TargetId;

/// Most targets that are remembered.
const MOST: usize = 1024;

/// The targets whose answers asked for a wait, and when each last did.
#[derive(Default)]
pub(super) struct Wishes(HashMap<TargetId, Instant>);

impl Wishes {
    /// What an answer to `target` says of its provider, which last answered anybody at `last_success_at`.
    /// The target itself waits as it was told in any case.
    pub(super) fn of_provider(
        &mut self,
        target: TargetId,
        answer: &Answer,
        last_success_at: Option<Instant>,
        now: Instant,
    ) -> Answer {
        let Some(_) = answer.retry_after else { return answer.clone() };
        if self.0.len() >= MOST && !self.0.contains_key(&target) {
            // The oldest are forgotten: their next wish counts as a first one.
            let oldest = self.0.iter().min_by_key(|(_, at)| **at).map(|(target, _)| *target);
            oldest.map(|target| self.0.remove(&target));
        }
        let before = self.0.insert(target, now);
        let is_its_own = before.is_some_and(|before| last_success_at.is_some_and(|success| success > before));
        let retry_after = answer.retry_after.filter(|_| !is_its_own);
        Answer { retry_after, ..answer.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::admission::tests::failed;
    use crate::outcome::Verdict;

    fn target(number: u128) -> TargetId {
        TargetId { event: Uuid::from_u128(number), ordinal: 0 }
    }

    #[test]
    fn a_wish_that_comes_again_after_others_were_answered_is_the_targets_own() {
        let (mut wishes, begin) = (Wishes::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let answer = failed(Verdict::Transient, Some(60));
        let mut is_for_all = |who, success: Option<u64>, now| {
            wishes.of_provider(target(who), &answer, success.map(at), at(now)).retry_after.is_some()
        };
        assert!(is_for_all(1, None, 1), "the first");
        assert!(is_for_all(1, Some(0), 2), "nobody was answered since");
        assert!(is_for_all(2, Some(3), 4), "another's first");
        assert!(!is_for_all(1, Some(3), 5), "others were answered since");
        assert!(is_for_all(1, Some(3), 6), "nobody since");
    }

    #[test]
    fn an_answer_without_one_stays_and_the_memory_is_bounded() {
        let (mut wishes, now) = (Wishes::default(), Instant::now());
        let plain = wishes.of_provider(target(0), &failed(Verdict::Transient, None), None, now);
        assert!(plain.retry_after.is_none() && wishes.0.is_empty());
        for number in 0..MOST as u128 + 10 {
            let answer = failed(Verdict::Transient, Some(1));
            wishes.of_provider(target(number), &answer, None, now + Duration::from_millis(number as u64));
        }
        assert!(
            wishes.0.len() == MOST
                && !wishes.0.contains_key(&target(9))
                && wishes.0.contains_key(&target(10))
        );
    }
}
