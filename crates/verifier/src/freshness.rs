//! Whether the denylist may vouch for being up to date. Readers look at one atomic number; the feed tells
//! what happens.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::message::Staleness;

/// How long a heartbeat vouches for what was published before it (docs/contract.md, section 4). Workers send
/// one a second.
const VOUCHED_FOR: Duration = Duration::from_secs(3);

/// Shared between the feed, which writes, and every check, which reads.
pub(crate) struct Freshness {
    /// Moments are counted from here.
    start: Instant,
    /// Fresh until this many milliseconds after `start`; 0: stale.
    fresh_until: AtomicU64,
    /// How far the last heartbeat's time was ahead of the own clock when it arrived, in milliseconds.
    ahead: AtomicI64,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    connected: bool,
    caught_up: bool,
    /// Until when the heartbeats vouch.
    vouched_until: Option<Instant>,
    /// When the last heartbeat arrived that vouched for nothing any more, or not yet.
    late: Option<Instant>,
    /// What was published before the stream's present beginning may be missing until then.
    incomplete_until: Option<OffsetDateTime>,
}

impl Freshness {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            fresh_until: AtomicU64::new(0),
            ahead: AtomicI64::new(0),
            known: Mutex::default(),
        }
    }

    /// Why the denylist is stale at `now`, or `None`.
    pub(crate) fn staleness(&self, now: Instant) -> Option<Staleness> {
        if self.millis(now) < self.fresh_until.load(Ordering::Acquire) {
            None
        } else {
            Some(self.reason(now))
        }
    }

    /// The most telling reason first.
    fn reason(&self, now: Instant) -> Staleness {
        let known = self.known();
        match known.late {
            _ if !known.connected => Staleness::Disconnected,
            _ if !known.caught_up => Staleness::CatchingUp,
            _ if known.incomplete_until.is_some() => Staleness::Truncated,
            Some(late) if now.duration_since(late) < VOUCHED_FOR => Staleness::Behind,
            _ => Staleness::Silent,
        }
    }

    pub(crate) fn connected(&self) {
        self.change(|known| {
            *known = Known { connected: true, incomplete_until: known.incomplete_until, ..Known::default() }
        });
    }

    pub(crate) fn disconnected(&self) {
        self.change(|known| known.connected = false);
    }

    pub(crate) fn caught_up(&self) {
        self.change(|known| known.caught_up = true);
    }

    /// Denials may be missing until `until`, when all that they could have named has expired. A longer doubt
    /// is not shortened.
    pub(crate) fn incomplete(&self, until: OffsetDateTime) {
        self.change(|known| known.incomplete_until = known.incomplete_until.max(Some(until)));
    }

    /// Ends a doubt whose time has come.
    pub(crate) fn doubt_ends(&self, now: OffsetDateTime) {
        if self.known().incomplete_until.is_some_and(|until| until <= now) {
            self.change(|known| known.incomplete_until = None);
        }
    }

    /// A heartbeat that was sent `age` before `now`. It vouches for [`VOUCHED_FOR`] from its sending, not
    /// from its arrival.
    pub(crate) fn heartbeat(&self, now: Instant, age: Duration) {
        self.change(|known| match VOUCHED_FOR.checked_sub(age) {
            // The latest of all workers: one with a slow clock does not spoil what another vouches for.
            Some(left) if !left.is_zero() => known.vouched_until = known.vouched_until.max(Some(now + left)),
            _ => known.late = Some(now),
        });
    }

    /// Heartbeats arrive that vouch for nothing: they name what was not read, or the log says nothing.
    pub(crate) fn behind(&self, now: Instant) {
        self.known().late = Some(now);
    }

    /// A heartbeat's own time, whatever it vouches for, and the own clock's when it arrived.
    pub(crate) fn beat_at(&self, time: OffsetDateTime, now: OffsetDateTime) {
        let ahead = (time - now).whole_milliseconds();
        // The last one's, not the latest: a clock that was wrong once would be believed for ever.
        self.ahead.store(i64::try_from(ahead).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// How far the feed's clock is ahead of the own one, in milliseconds; 0 where it is behind.
    pub(crate) fn feed_is_ahead(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed).max(0)
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known();
        change(&mut known);
        let vouched = match known.vouched_until {
            Some(until) if known.connected && known.caught_up && known.incomplete_until.is_none() => {
                self.millis(until)
            }
            _ => 0,
        };
        self.fresh_until.store(vouched, Ordering::Release);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn up_to_date() -> (Freshness, Instant) {
        let (freshness, now) = (Freshness::new(), Instant::now());
        freshness.connected();
        freshness.caught_up();
        freshness.heartbeat(now, NOW);
        (freshness, now)
    }

    #[test]
    fn fresh_needs_connection_end_of_stream_and_heartbeat() {
        let (freshness, now) = (Freshness::new(), Instant::now());
        assert_eq!(freshness.staleness(now), Some(Staleness::Disconnected));
        freshness.connected();
        assert_eq!(freshness.staleness(now), Some(Staleness::CatchingUp));
        freshness.heartbeat(now, NOW);
        assert_eq!(freshness.staleness(now), Some(Staleness::CatchingUp));
        freshness.caught_up();
        assert_eq!(freshness.staleness(now), None);
        freshness.disconnected();
        assert_eq!(freshness.staleness(now), Some(Staleness::Disconnected));
    }

    #[test]
    fn a_heartbeat_vouches_for_three_seconds_from_its_sending() {
        let (freshness, now) = up_to_date();
        assert_eq!(freshness.staleness(now + Duration::from_millis(2990)), None);
        assert_eq!(freshness.staleness(now + Duration::from_millis(3001)), Some(Staleness::Silent));
        let later = now + Duration::from_secs(2);
        freshness.heartbeat(later, Duration::from_secs(4));
        assert_eq!(
            freshness.staleness(now + Duration::from_millis(2990)),
            None,
            "another worker's heartbeat still vouches"
        );
        assert_eq!(
            freshness.staleness(now + Duration::from_millis(3001)),
            Some(Staleness::Behind),
            "it was sent too long ago"
        );
    }

    #[test]
    fn an_old_connections_heartbeat_vouches_for_nothing() {
        let (freshness, now) = up_to_date();
        freshness.disconnected();
        freshness.connected();
        freshness.caught_up();
        assert_eq!(freshness.staleness(now), Some(Staleness::Silent));
    }

    #[test]
    fn the_last_heartbeats_clock_counts_and_no_earlier_one() {
        let (freshness, now) = (Freshness::new(), OffsetDateTime::UNIX_EPOCH + Duration::from_secs(86_400));
        let year_9999 = time::Date::MAX.midnight().assume_utc();
        for wrong in [now + Duration::from_secs(3600), now + 1000 * Duration::from_secs(86_400), year_9999] {
            freshness.beat_at(wrong, now);
            assert!(freshness.feed_is_ahead() >= 3_600_000);
            for (right, ahead) in [(now, 0), (now - Duration::from_secs(7), 0), (now + VOUCHED_FOR, 3000)] {
                freshness.beat_at(right, now);
                assert_eq!(freshness.feed_is_ahead(), ahead, "after one of {wrong}");
            }
        }
    }

    #[test]
    fn a_doubt_lasts_until_all_that_could_be_missing_has_expired() {
        let (freshness, now) = up_to_date();
        let end = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(60);
        freshness.incomplete(end);
        freshness.incomplete(end - Duration::from_secs(30));
        freshness.doubt_ends(end - Duration::from_secs(1));
        assert_eq!(freshness.staleness(now), Some(Staleness::Truncated));
        freshness.doubt_ends(end);
        assert_eq!(freshness.staleness(now), None);
    }
}
