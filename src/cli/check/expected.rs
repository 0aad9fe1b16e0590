//! How much a verifier will have to hold, from what logouts brought of late. Little's law: what is there on
//! average is what comes in a second times how long it stays.

use serde::Serialize;

use crate::store::{Arrivals, Arrived};
use crate::visible::times::span;

const MIB: f64 = 1024.0 * 1024.0;

/// What an entry takes in a verifier's memory, bytes, where a million are held (docs/performance.md).
const OPAQUE_TOKEN: f64 = 60.0;
/// Known by two digests and its `jti`.
const SIGNED_TOKEN: f64 = 160.0;
/// A session's or subject's: an estimate.
const CUTOFF: f64 = 240.0;

/// What each verifier comes to hold, if logouts go on as they were.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Expected {
    /// How long the sample lasted, seconds.
    sampled_seconds: u64,
    /// Targets of logouts in it.
    sampled_targets: i64,
    #[serde(flatten)]
    all: Held,
    /// The same for a verifier that is told to skip refresh tokens.
    without_refresh_tokens: Held,
}

/// What is held at a time.
#[derive(Debug, PartialEq, Serialize)]
struct Held {
    entries: u64,
    mib: u64,
}

impl Expected {
    /// `None` where there was no logout to go by.
    pub(super) fn of(arrivals: &Arrivals) -> Option<Self> {
        let sampled_targets: i64 = arrivals.sorts.iter().map(|sort| sort.targets).sum();
        (sampled_targets > 0).then(|| Self {
            sampled_seconds: whole(arrivals.seconds),
            sampled_targets,
            all: Held::of(arrivals, |_| true),
            without_refresh_tokens: Held::of(arrivals, |sort| !sort.is_refresh_token),
        })
    }

    /// In a sentence.
    pub(super) fn sentence(&self) -> String {
        let period = span(self.sampled_seconds);
        let (all, rest) = (&self.all, &self.without_refresh_tokens);
        format!(
            "at the rate and lifetimes of the last {period} of logouts, each holds about {} entries in {} \
             MiB, or {} in {} MiB where it is told to skip refresh tokens",
            all.entries, all.mib, rest.entries, rest.mib
        )
    }
}

impl Held {
    fn of(arrivals: &Arrivals, is_held: impl Fn(&Arrived) -> bool) -> Self {
        let held = arrivals.sorts.iter().filter(|sort| is_held(sort));
        let (entries, bytes) = held.fold((0.0, 0.0), |(entries, bytes), sort| {
            let of_sort = sort.denied_seconds / arrivals.seconds;
            (entries + of_sort, bytes + of_sort * bytes_of(sort))
        });
        Self { entries: whole(entries), mib: whole((bytes / MIB).ceil()) }
    }
}

fn bytes_of(sort: &Arrived) -> f64 {
    match (sort.is_token, sort.is_signed) {
        (false, _) => CUTOFF,
        (true, true) => SIGNED_TOKEN,
        (true, false) => OPAQUE_TOKEN,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "such casts saturate, and nothing here is negative"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(is_refresh_token: bool, is_signed: bool, lifetime: f64) -> Arrived {
        Arrived {
            is_token: true,
            is_refresh_token,
            is_signed,
            targets: 86_400,
            denied_seconds: 86_400.0 * lifetime,
        }
    }

    #[test]
    fn what_comes_in_a_second_stays_for_its_lifetime() {
        let (hour, month) = (3600.0, 30.0 * 86_400.0);
        let sorts = vec![arrived(false, true, hour), arrived(true, false, month)];
        let expected = Expected::of(&Arrivals { seconds: 86_400.0, sorts }).expect("there were logouts");
        assert_eq!(expected.all.entries, 3600 + 2_592_000);
        assert_eq!(expected.without_refresh_tokens, Held { entries: 3600, mib: 1 });
        assert!((140..160).contains(&expected.all.mib), "{expected:?}");
        let sentence = expected.sentence();
        assert!(sentence.contains("the last 24 h of logouts") && sentence.contains("2595600 entries"));
    }

    #[test]
    fn without_logouts_nothing_is_said() {
        assert_eq!(Expected::of(&Arrivals { seconds: 86_400.0, sorts: Vec::new() }), None);
    }
}
