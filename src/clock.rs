//! The time of day. Every worker takes it from the database's clock, so that cutoffs, lifetimes and budgets
//! mean the same on all machines.
//!
//! The database's clock is read at registration and at each renewal of the lease, and carried on by the
//! monotonic clock, which no step of this machine's own clock moves. Before the first reading, this machine's
//! clock is all there is.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use uuid::{ContextV7, Timestamp, Uuid};

/// A clock that is off by more is an error in the log: cutoffs have whole seconds.
pub const TOLERATED: time::Duration = time::Duration::seconds(2);
/// What the monotonic clock may drift since an estimate, as a part of the time since: 100 ppm, more than NTP
/// slews by in good order.
const DRIFT: u32 = 10_000;
/// In place of the base as long as nothing is known.
const UNKNOWN: i64 = i64::MIN;

/// Reading the database's clock: the answer was made at some moment between the two.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Just before the question was sent.
    pub sent: Instant,
    /// What the database said.
    pub database: OffsetDateTime,
    /// Just after the answer arrived.
    pub received: Instant,
}

/// How this machine's own clock stands to the database's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Own clock minus the database's: positive where this machine is ahead.
    pub ahead: time::Duration,
    /// By how much that may be wrong, either way.
    pub error: Duration,
}

/// Whether the log has something to say after a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swing {
    /// The own clock was right and is off now.
    WentOff,
    /// It was off and is right again.
    CameBack,
}

/// The time that the database had when the monotonic clock was at its origin, and by how much that may be
/// wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Estimate {
    /// Nanoseconds since 1970.
    base: i64,
    error: Duration,
    /// When it was made, since the origin.
    at: Duration,
}

/// The time of day; cheap to read and to clone. Clones share what is known.
#[derive(Clone)]
pub struct Clock(Arc<Shared>);

struct Shared {
    origin: Instant,
    /// The estimate's base for readers, who take no lock.
    base: AtomicI64,
    known: Mutex<Known>,
    rows: Mutex<ContextV7>,
}

#[derive(Default)]
struct Known {
    estimate: Option<Estimate>,
    offset: Option<Offset>,
    is_off: bool,
}

impl Default for Clock {
    fn default() -> Self {
        let (base, known, rows) = (AtomicI64::new(UNKNOWN), Mutex::default(), Mutex::new(ContextV7::new()));
        Self(Arc::new(Shared { origin: Instant::now(), base, known, rows }))
    }
}

impl Clock {
    /// The time by the database's clock, as far as it is known.
    pub fn now(&self) -> OffsetDateTime {
        match self.0.base.load(Ordering::Relaxed) {
            UNKNOWN => OffsetDateTime::now_utc(),
            base => time_at(base, self.0.origin.elapsed()),
        }
    }

    /// Whether it is the database's clock.
    pub fn is_known(&self) -> bool {
        self.0.base.load(Ordering::Relaxed) != UNKNOWN
    }

    /// The time that it was at `past`.
    pub fn at(&self, past: Instant) -> OffsetDateTime {
        match self.0.base.load(Ordering::Relaxed) {
            UNKNOWN => OffsetDateTime::now_utc() - past.elapsed(),
            base => time_at(base, past.saturating_duration_since(self.0.origin)),
        }
    }

    /// The id of a row made now: UUID version 7, ascending within this process.
    pub fn row_id(&self) -> Uuid {
        let now = self.now();
        let seconds = u64::try_from(now.unix_timestamp()).unwrap_or(0);
        Uuid::new_v7(Timestamp::from_unix(&self.0.rows, seconds, now.nanosecond()))
    }

    /// Learns from a reading, and how this machine's own clock stands to it.
    pub fn learn(&self, reading: Reading) -> Option<Swing> {
        self.learn_beside(reading, OffsetDateTime::now_utc(), Instant::now())
    }

    /// The same for what the own clock says at `now`.
    fn learn_beside(&self, reading: Reading, own: OffsetDateTime, now: Instant) -> Option<Swing> {
        let since = |at: Instant| at.saturating_duration_since(self.0.origin);
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (sent, received) = (since(reading.sent), since(reading.received));
        let estimate = Estimate::after(known.estimate, sent, reading.database, received);
        self.0.base.store(estimate.base, Ordering::Relaxed);
        let offset = Offset { ahead: own - time_at(estimate.base, since(now)), error: estimate.error };
        known.estimate = Some(estimate);
        known.offset = Some(offset);
        let was_off = known.is_off;
        known.is_off = offset.is_off(was_off);
        match (was_off, known.is_off) {
            (false, true) => Some(Swing::WentOff),
            (true, false) => Some(Swing::CameBack),
            _ => None,
        }
    }

    /// Whether what this machine's own clock told must be told anew.
    pub fn is_far_off(&self) -> bool {
        self.offset().as_ref().is_some_and(Offset::is_far)
    }

    /// How this machine's own clock stood to the database's at the last reading.
    pub fn offset(&self) -> Option<Offset> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner).offset
    }
}

impl Offset {
    /// In milliseconds, as `audit.workers` has it.
    pub fn millis(&self) -> i64 {
        i64::try_from(self.ahead.whole_milliseconds()).unwrap_or(if self.ahead.is_negative() {
            i64::MIN
        } else {
            i64::MAX
        })
    }

    /// Whether it is off by more than is [`TOLERATED`].
    pub fn is_far(&self) -> bool {
        self.ahead.abs() > TOLERATED
    }

    /// Whether it is off for sure. One that was off is so until it is well within what is tolerated, so that
    /// an episode is told once.
    fn is_off(&self, was_off: bool) -> bool {
        let tolerated = if was_off { TOLERATED / 2 } else { TOLERATED };
        self.ahead.abs().saturating_sub(self.error.try_into().unwrap_or(time::Duration::MAX)) > tolerated
    }
}

impl Estimate {
    /// The estimate after a reading that was asked for and answered at these times since the origin.
    ///
    /// An answer says no more than that the base lies between two bounds, a round trip apart. A quick answer
    /// is worth more than a slow one: where it tells more than is known, the middle of the bounds is the new
    /// estimate; else the old one stays, moved into the bounds if it lies outside.
    fn after(before: Option<Self>, sent: Duration, database: OffsetDateTime, received: Duration) -> Self {
        let database = nanos(database);
        let (low, high) = (database.saturating_sub(whole(received)), database.saturating_sub(whole(sent)));
        let half = Duration::from_nanos((high.saturating_sub(low) / 2).unsigned_abs());
        let middle = Self { base: low.saturating_add(whole(half)), error: half, at: received };
        match before.map(|before| before.aged(received)) {
            Some(before) if before.error < half => {
                let base = before.base.clamp(low, high);
                // Moved: a clock was stepped, and of the new time no more is known than the bounds.
                let error = if base == before.base { before.error } else { half * 2 };
                Self { base, error, at: received }
            }
            _ => middle,
        }
    }

    /// The same, as far as it can be trusted at a later time.
    fn aged(self, at: Duration) -> Self {
        Self { error: self.error + at.saturating_sub(self.at) / DRIFT, at, ..self }
    }
}

fn nanos(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos()).unwrap_or(i64::MAX)
}

fn whole(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn time_at(base: i64, since: Duration) -> OffsetDateTime {
    let nanos = i128::from(base) + i128::from(whole(since));
    // 64 bits of nanoseconds end in 2262.
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
