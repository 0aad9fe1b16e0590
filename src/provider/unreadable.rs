//! Targets whose calls are answered by what is no HTTP, time after time: waiting mends that seldom, so a
//! person is told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fault::UNREADABLE;
use crate::outcome::{Answer, Verdict};
use crate::target::Target;

/// Attempts in a row, at one worker, after which a person is told.
const ENOUGH: u32 = 5;
/// Most targets that are remembered; at more, counting begins anew.
const MOST: usize = 10_000;

/// How many attempts in a row ended so, by target. Kept in memory: a restart at worst tells the person later.
#[derive(Default)]
pub(super) struct Unreadable {
    /// Whether there are any: most attempts need no more than that, and no lock.
    any: AtomicBool,
    counts: Mutex<HashMap<String, u32>>,
}

impl Unreadable {
    /// Counts the attempt that `answer` ended. For everybody else an unreadable answer is a transient one.
    pub(super) fn count(&self, target: &Target, answer: Answer) -> Answer {
        if answer.verdict != Verdict::Unreadable {
            self.forget(target);
            return answer;
        }
        let mut counts = self.lock();
        self.any.store(true, Ordering::Release);
        if counts.len() >= MOST {
            counts.clear();
        }
        let count = counts.entry(key(target)).or_default();
        *count += 1;
        let told = format!(
            "{ENOUGH} answers in a row were no readable HTTP, the call may have worked: a person must look"
        );
        let error =
            answer.error.map(|error| if *count < ENOUGH { error } else { error.replace(UNREADABLE, &told) });
        Answer { verdict: Verdict::Transient, error, ..answer }
    }

    /// Whether a person has to look at this target.
    pub(super) fn is_enough(&self, target: &Target) -> bool {
        self.any.load(Ordering::Acquire)
            && self.lock().get(&key(target)).is_some_and(|count| *count >= ENOUGH)
    }

    fn forget(&self, target: &Target) {
        if self.any.load(Ordering::Acquire) {
            let mut counts = self.lock();
            counts.remove(&key(target));
            self.any.store(!counts.is_empty(), Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(target: &Target) -> String {
    match target.token() {
        Some(token) => token.fingerprint.to_string(),
        None => format!("{} {:?} {:?}", target.selector.kind().as_str(), target.sub, target.sid),
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::target::Selector;

    fn user(sub: &str) -> Target {
        let (sub, deny_until) = (Some(sub.to_owned()), OffsetDateTime::UNIX_EPOCH);
        Target {
            provider: "main".into(),
            selector: Selector::Subject,
            sub,
            sid: None,
            client_id: None,
            iss: None,
            deny_until,
        }
    }

    #[test]
    fn a_handful_in_a_row_is_enough_and_another_outcome_begins_anew() {
        let (unreadable, odd, other) = (Unreadable::default(), user("odd"), user("other"));
        let fail = |verdict| {
            unreadable.count(&odd, Answer::failed(verdict, None, format!("POST x failed: y; {UNREADABLE}")))
        };
        for verdict in [Verdict::Transient, Verdict::Unreadable, Verdict::Unreadable, Verdict::Transient] {
            assert_eq!(fail(verdict).verdict, Verdict::Transient);
        }
        for attempt in 1..=ENOUGH {
            assert!(!unreadable.is_enough(&odd), "{attempt}");
            let error = fail(Verdict::Unreadable).error.unwrap();
            assert!(
                error.contains("may have worked")
                    && error.contains("a person must look") == (attempt == ENOUGH),
                "{error}"
            );
        }
        assert!(unreadable.is_enough(&odd) && !unreadable.is_enough(&other));
        fail(Verdict::Transient);
        assert!(!unreadable.is_enough(&odd));
    }
}
