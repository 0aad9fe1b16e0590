//! What must have been read before a heartbeat vouches.
//!
//! Heartbeats lie beside the log, so that one that was read does not show that the log was read, too. Hence
//! each worker numbers what it publishes to the log, in the order in which it lies there, and its heartbeats
//! name the highest number that the broker has confirmed. A heartbeat vouches once this verifier has read as
//! far, of its sender and of all whose heartbeats came before it. Then:
//!
//! - Of a worker that lives, everything is read that it had confirmed when it last sent a heartbeat. It sends
//!   one when it has confirmed something that its last one did not name, at most one period (1 s) later, and
//!   one every 30 s in any case.
//! - Of a worker that died before it could name its last messages, everything is read, too: the first
//!   heartbeat that another sends because all are silent names a message in the log that its sender published
//!   after the dead one was last heard of, and the log is read in order.
//!
//! A message that is named and does not come keeps every later heartbeat from vouching; where a later one of
//! its publisher comes, before the heartbeat or after it, it is missing for certain, and the verifier is in
//! doubt until all that it could have named has expired. A publisher of which nothing was read is no
//! exception, unless its last message was published before the moment from which this verifier has read, or
//! at which it already doubts to be complete.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::message::{Progress, SnapshotEnd};

/// More heartbeats than this wait only where something is badly wrong.
const LONGEST_QUEUE: usize = 5000;
/// So many publishers are remembered in any case, more only while they are heard of: each run of a worker's
/// process is one.
const REMEMBERED: usize = 1000;
/// A publisher that is not heard of for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(86_400);
/// So many gaps are remembered, the latest: heartbeats come a second behind the log, or are late.
const GAPS: usize = 1000;
/// Clocks are those of so many heartbeats, the latest: one that was wrong for a moment is not remembered.
const CLOCKS: usize = 30;

pub(super) struct Named {
    read: HashMap<String, Read>,
    /// In the order of their arrival.
    waiting: VecDeque<Beat>,
    /// What was published before is read, matters no more, or is in doubt already.
    settled: OffsetDateTime,
    /// When this session began, by the heartbeats' clocks. What was named before may have been lost with the
    /// broker, and is published again with other numbers.
    began: OffsetDateTime,
    /// How far those are ahead of this one's, as the last session with heartbeats saw it, and as this one
    /// does.
    ahead: time::Duration,
    seen_ahead: VecDeque<time::Duration>,
    /// Numbers of this session that were not read between two that were.
    gaps: VecDeque<Gap>,
}

/// What a publisher numbered between these two.
struct Gap {
    publisher: String,
    before: u64,
    behind: u64,
}

struct Read {
    sequence: u64,
    heard: Instant,
}

/// A heartbeat, and what it asks for.
pub(super) struct Beat {
    sent: OffsetDateTime,
    arrived: Instant,
    progress: Option<Progress>,
}

impl Named {
    pub(super) fn new() -> Self {
        Self {
            read: HashMap::new(),
            waiting: VecDeque::new(),
            settled: OffsetDateTime::UNIX_EPOCH,
            began: OffsetDateTime::UNIX_EPOCH,
            ahead: time::Duration::ZERO,
            seen_ahead: VecDeque::new(),
            gaps: VecDeque::new(),
        }
    }

    /// A new session begins. It reads the last heartbeats again.
    pub(super) fn begin(&mut self, now: OffsetDateTime) {
        self.waiting.clear();
        self.gaps.clear();
        self.ahead = self.seen_ahead.drain(..).max().unwrap_or(self.ahead).max(time::Duration::ZERO);
        self.began = now.saturating_add(self.ahead);
    }

    /// A heartbeat's time was so far ahead of this clock when it arrived.
    pub(super) fn is_ahead(&mut self, ahead: time::Duration) {
        self.seen_ahead.push_back(ahead);
        if self.seen_ahead.len() > CLOCKS {
            self.seen_ahead.pop_front();
        }
    }

    /// What was published before `at` need not be asked for.
    pub(super) fn settle(&mut self, at: OffsetDateTime) {
        self.settled = self.settled.max(at);
    }

    /// All that a snapshot holds is read.
    pub(super) fn folded(&mut self, end: &SnapshotEnd, now: Instant) {
        for (publisher, reached) in &end.publishers {
            self.remember(publisher, reached.sequence, now);
        }
        [end.publishers_since, end.complete_since].into_iter().flatten().for_each(|at| self.settle(at));
    }

    /// A message of the log was read. Returns false where one before it is missing for certain: a heartbeat
    /// named it, so the broker had confirmed it, and it does not lie where it should. Other gaps are attempts
    /// that failed.
    pub(super) fn read(&mut self, publisher: &str, sequence: u64, now: Instant) -> bool {
        let before = match self.read.get_mut(publisher) {
            Some(read) => {
                let before = read.sequence;
                *read = Read { sequence: sequence.max(before), heard: now };
                before
            }
            None => {
                self.remember(publisher, sequence, now);
                0
            }
        };
        if sequence <= before.saturating_add(1) {
            return true;
        }
        let gap = Gap { publisher: publisher.to_owned(), before, behind: sequence };
        let is_whole = !self.waiting.iter().any(|beat| self.is_missing(&gap, beat));
        self.gaps.push_back(gap);
        if self.gaps.len() > GAPS {
            self.gaps.pop_front();
        }
        is_whole
    }

    /// Whether a heartbeat of this session names a message in the gap.
    fn is_missing(&self, gap: &Gap, Beat { sent, progress, .. }: &Beat) -> bool {
        progress.as_ref().is_some_and(|named| {
            *sent >= self.began
                && gap.before < named.sequence
                && named.sequence < gap.behind
                && named.publisher == gap.publisher
                && named.published_at.is_none_or(|at| at > self.settled)
        })
    }

    fn remember(&mut self, publisher: &str, sequence: u64, now: Instant) {
        if self.read.len() >= REMEMBERED {
            self.read.retain(|_, read| now.duration_since(read.heard) < FORGOTTEN_AFTER);
        }
        let read = self.read.entry(publisher.to_owned()).or_insert(Read { sequence, heard: now });
        read.sequence = read.sequence.max(sequence);
    }

    /// A heartbeat arrived. Returns false where what it names is missing for certain, as
    /// [`read`](Self::read) does.
    pub(super) fn beat(
        &mut self,
        sent: OffsetDateTime,
        progress: Option<Progress>,
        arrived: Instant,
    ) -> bool {
        if let Some(read) = progress.as_ref().and_then(|progress| self.read.get_mut(&progress.publisher)) {
            read.heard = arrived;
        }
        let beat = Beat { sent, arrived, progress };
        let is_whole = !self.gaps.iter().any(|gap| self.is_missing(gap, &beat));
        self.waiting.push_back(beat);
        is_whole
    }

    /// The same of one that was read from the log itself, of which only those of the session may lie in a log
    /// that does not get all that is published.
    pub(super) fn beat_in_log(
        &mut self,
        sent: OffsetDateTime,
        progress: Option<Progress>,
        read: Instant,
    ) -> bool {
        let progress = progress.filter(|_| sent >= self.began);
        self.beat(sent, progress, read)
    }

    /// The next heartbeat that vouches, if there is one.
    pub(super) fn vouching(&mut self) -> Option<Beat> {
        let beat = self.waiting.front()?;
        let is_satisfied = beat.progress.as_ref().is_none_or(|progress| self.has_read(progress));
        if is_satisfied { self.waiting.pop_front() } else { None }
    }

    fn has_read(&self, Progress { publisher, sequence, published_at, .. }: &Progress) -> bool {
        let read = self.read.get(publisher).map_or(0, |read| read.sequence);
        read >= *sequence || published_at.is_some_and(|at| at <= self.settled)
    }

    /// Since when a heartbeat waits.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waiting.front().map(|beat| beat.arrived)
    }

    /// Whether more wait than can be meant.
    pub(super) fn is_overrun(&self) -> bool {
        self.waiting.len() > LONGEST_QUEUE
    }
}

impl Beat {
    /// How long ago it was sent, as far as is known: it arrived before it waited, whatever the clocks say.
    pub(super) fn age(&self, clock: OffsetDateTime, now: Instant) -> Duration {
        let by_clock = (clock - self.sent).try_into().unwrap_or(Duration::ZERO);
        now.duration_since(self.arrived).max(by_clock)
    }
}

#[cfg(test)]
mod tests;
