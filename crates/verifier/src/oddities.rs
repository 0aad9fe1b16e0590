//! Tokens that a check could not take at their word: counted, and said once in a while, because only their
//! issuer can mend them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most issuers that are counted by name. Names come from tokens that nobody has verified.
const MOST_ISSUERS: usize = 100;
/// What the others are counted as.
const OTHER: &str = "other";
/// What tokens without `iss` are counted as.
const NONE: &str = "none";
/// Most characters of an issuer's name.
const LONGEST_ISSUER: usize = 200;
/// How often a line about unreadable tokens is written at most.
const QUIET: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Oddities {
    unreadable: AtomicU64,
    said_unreadable: Mutex<Option<Instant>>,
    future_iat: Mutex<BTreeMap<String, u64>>,
}

impl Oddities {
    /// A signed JWT whose claims could not be read to their end.
    pub(crate) fn unreadable_token(&self) {
        let tokens = self.unreadable.fetch_add(1, Ordering::Relaxed) + 1;
        let now = Instant::now();
        let mut said = self.said_unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| now.duration_since(said) >= QUIET) {
            *said = Some(now);
            drop(said);
            tracing::warn!(
                tokens,
                "tokens with claims that cannot be read: any cutoff that may mean such a token denies it"
            );
        }
    }

    /// A token that says that it was issued later than now.
    pub(crate) fn issued_in_the_future(&self, iss: Option<&str>) {
        let issuer = iss.map_or_else(|| NONE.to_owned(), shown);
        let mut counted = self.future_iat.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = counted.len() < MOST_ISSUERS || counted.contains_key(&issuer);
        let issuer = if has_room { issuer } else { OTHER.to_owned() };
        let tokens = counted.entry(issuer.clone()).or_default();
        *tokens += 1;
        if *tokens == 1 {
            drop(counted);
            tracing::warn!(
                issuer,
                "tokens issued in the future: their iat says nothing, so any cutoff that names such a token \
                    denies it; \
                is the issuer's clock wrong, or this one's?"
            );
        }
    }

    pub(crate) fn unreadable_tokens(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Checks of tokens that were issued in the future, by issuer.
    pub(crate) fn future_iat(&self) -> Vec<(String, u64)> {
        let counted = self.future_iat.lock().unwrap_or_else(PoisonError::into_inner);
        counted.iter().map(|(issuer, tokens)| (issuer.clone(), *tokens)).collect()
    }
}

/// An issuer's name as a label and in a log: short, and without characters that do something.
fn shown(iss: &str) -> String {
    iss.chars()
        .take(LONGEST_ISSUER)
        .map(|character| if character.is_control() { '\u{fffd}' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_bounded_in_number_and_length_and_hold_no_control_characters() {
        let oddities = Oddities::default();
        oddities.issued_in_the_future(None);
        oddities.issued_in_the_future(Some("a\nb\u{1b}"));
        oddities.issued_in_the_future(Some(&"é".repeat(1000)));
        for number in 0..1000 {
            oddities.issued_in_the_future(Some(&format!("https://{number}")));
        }
        oddities.issued_in_the_future(Some("https://0"));
        let counted = BTreeMap::from_iter(oddities.future_iat());
        assert_eq!(counted.len(), MOST_ISSUERS + 1);
        assert_eq!(counted.values().sum::<u64>(), 1004);
        assert_eq!([counted[NONE], counted["a\u{fffd}b\u{fffd}"], counted["https://0"]], [1, 1, 2]);
        assert_eq!(counted[OTHER], 1000 - (MOST_ISSUERS as u64 - 3));
        assert!(counted.keys().all(|issuer| issuer.chars().count() <= LONGEST_ISSUER));
    }
}
