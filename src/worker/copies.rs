//! Tells what the broker delivers twice, because it is in two queues, from what a publisher sent twice.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::broker::MASS_QUEUE;
use crate::event::{CUTOFF_ROUTING_KEY, Origin};

/// How long after the faster copy of a cutoff the other one is no news.
const TWIN: Duration = Duration::from_secs(60);

/// Whether the broker made this delivery, and no publisher: what has the cutoffs' routing key is in two
/// queues, from each of which it comes once. The copy in the mass queue is the second one, whatever waits
/// before it; where it was the faster of the two, the other one follows at once.
pub(super) fn is_second_copy(origin: &Origin, age: Option<Duration>) -> bool {
    origin.routing_key == CUTOFF_ROUTING_KEY
        && (*origin.queue == *MASS_QUEUE || age.is_some_and(|age| age < TWIN))
}

/// How long before `now`, by the clock that row ids are made by, a row id was made.
pub(super) fn age(row: Uuid, now: OffsetDateTime) -> Option<Duration> {
    let (seconds, nanoseconds) = row.get_timestamp()?.to_unix();
    let made = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?
        + Duration::from_nanos(nanoseconds.into());
    // One by a clock that is ahead was made just now.
    Some((now - made).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use uuid::{NoContext, Timestamp};

    use super::*;
    use crate::broker::{CUTOFF_QUEUE, LOGOUT_QUEUE};

    #[test]
    fn only_what_a_publisher_sent_again_is_a_duplicate() {
        let (young, old) = (Some(Duration::from_secs(1)), Some(Duration::from_secs(3600)));
        for (queue, key, age, is_copy) in [
            (MASS_QUEUE, CUTOFF_ROUTING_KEY, young, true),
            (MASS_QUEUE, CUTOFF_ROUTING_KEY, old, true),
            (CUTOFF_QUEUE, CUTOFF_ROUTING_KEY, young, true),
            (CUTOFF_QUEUE, CUTOFF_ROUTING_KEY, old, false),
            (CUTOFF_QUEUE, CUTOFF_ROUTING_KEY, None, false),
            (MASS_QUEUE, "auth.mass_revocation", young, false),
            (MASS_QUEUE, "auth.mass_revocation", old, false),
            (LOGOUT_QUEUE, "auth.logout", young, false),
        ] {
            let origin = Origin { queue: queue.into(), routing_key: key.to_owned(), ..Origin::default() };
            assert_eq!(is_second_copy(&origin, age), is_copy, "{queue} {key} {age:?}");
        }
    }

    #[test]
    fn a_row_tells_its_age_by_the_clock_that_made_it() {
        let now = time::macros::datetime!(2026-11-30 12:00 UTC);
        let made = |at: OffsetDateTime| {
            Uuid::new_v7(Timestamp::from_unix(
                NoContext,
                u64::try_from(at.unix_timestamp()).expect("after 1970"),
                at.nanosecond(),
            ))
        };
        for (by, before, seconds) in [
            (now, 0, 0),
            (now, 90, 90),
            (now, -90, 0),
            (now - Duration::from_secs(600), 5, 5),
            (now + Duration::from_secs(600), 90, 90),
        ] {
            let age = age(made(by - time::Duration::seconds(before)), by).expect("a version with a time");
            assert!(
                age.abs_diff(Duration::from_secs(seconds)) < Duration::from_millis(2),
                "{age:?} for {before}"
            );
        }
        assert_eq!(age(Uuid::nil(), now), None);
    }
}
