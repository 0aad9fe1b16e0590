//! Tells what the broker delivers twice, because it is in two queues, from what a publisher sent twice.

use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::broker::MASS_QUEUE;
use crate::event::{CUTOFF_ROUTING_KEY, Origin};

/// How long after the faster copy of a cutoff the other one is no news.
const TWIN: Duration = Duration::from_secs(60);

/// Whether the broker made this delivery, and no publisher: what has the cutoffs' routing key is in two queues, from each of which it comes once. The copy in
/// the mass queue is the second one, whatever waits before it; where it was the faster of the two, the other one follows at once.
pub(super) fn is_second_copy(origin: &Origin, age: Option<Duration>) -> bool {
    origin.routing_key == CUTOFF_ROUTING_KEY && (*origin.queue == *MASS_QUEUE || age.is_some_and(|age| age < TWIN))
}

/// How long ago a row id was made.
pub(super) fn age(row: Uuid) -> Option<Duration> {
    let (seconds, nanoseconds) = row.get_timestamp()?.to_unix();
    let made = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    // One from a clock that is ahead was made just now.
    Some(made.elapsed().unwrap_or_default())
}

#[cfg(test)]
mod tests {
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
    fn a_row_tells_its_age() {
        assert!(age(Uuid::now_v7()).is_some_and(|age| age < Duration::from_secs(5)));
        assert_eq!(age(Uuid::nil()), None);
    }
}
