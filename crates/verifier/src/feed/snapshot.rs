//! Snapshots: what the log held of live entries up to one of its messages, folded by a worker, so that a
//! start is as long as what is live.
//!
//! A snapshot is a run of parts and an end, possibly between the parts of another one that is made at the
//! same time. Its end says how many parts and entries it has: a reader who finds fewer, or a gap, does not
//! rely on it. Nor on one that was made later than now: it left out what will only expire. Every part names
//! the complete snapshot before its own, so that whoever finds an unfinished one goes back to that.

use lapin::Connection;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::FeedError;
use super::begin::{Mark, SKEW};
use super::incoming::Incoming;
use super::stream::{Offset, Subscription, last_chunk};
use crate::amqp::DEADLINE;
use crate::message::{SNAPSHOTS_STREAM, SnapshotEnd};

/// A part has up to 500 entries, which may lie in memory together with so many others.
const PREFETCH: u16 = 60;

/// A complete snapshot, not yet read.
pub struct Snapshot {
    /// Its id.
    pub id: String,
    /// Offset of its end.
    pub offset: u64,
    /// What its end says.
    pub end: SnapshotEnd,
    /// The last message of the log that is folded in.
    pub mark: Mark,
    /// When its end was made, by its folder's clock.
    pub made_at: OffsetDateTime,
}

/// What the stream of snapshots ends with.
#[derive(Default)]
pub struct Latest {
    /// The latest complete one.
    pub complete: Option<Snapshot>,
    /// When the last part of one was published that is not complete.
    pub unfinished: Option<OffsetDateTime>,
    /// The last message.
    pub offset: Option<u64>,
}

/// Finds the latest complete snapshot.
///
/// # Errors
/// The stream cannot be read.
pub async fn latest(connection: &Connection) -> Result<Latest, FeedError> {
    let (mut latest, mut previous) = (Latest::default(), None);
    last_chunk(connection, SNAPSHOTS_STREAM, |offset, body| {
        latest.offset = Some(offset);
        let (Incoming::Snapshot(part), Some(time)) = Incoming::parse(&body) else { return };
        if let Some(snapshot) = complete(part.snapshot, part.end, offset, time) {
            latest.complete = Some(snapshot);
            latest.unfinished = None;
        } else {
            previous = part.previous;
            latest.unfinished = Some(time);
        }
    })
    .await?;
    if let (None, Some(offset)) = (&latest.complete, previous) {
        latest.complete = at(connection, offset).await?;
    }
    Ok(latest)
}

fn complete(id: String, end: Option<SnapshotEnd>, offset: u64, made_at: OffsetDateTime) -> Option<Snapshot> {
    let end = end?;
    let mark = Mark::from_wire(&end.mark)?;
    Some(Snapshot { id, offset, end, mark, made_at })
}

/// The snapshot whose end lies there.
async fn at(connection: &Connection, offset: u64) -> Result<Option<Snapshot>, FeedError> {
    let mut subscription = Subscription::start(connection, SNAPSHOTS_STREAM, Offset::At(offset), 1).await?;
    let next = tokio::time::timeout(DEADLINE, subscription.next()).await;
    subscription.end().await;
    let (found, delivery) = next.map_err(|_| FeedError::NoAnswer)??;
    match Incoming::parse(&delivery.data) {
        (Incoming::Snapshot(part), Some(time)) if found == offset => {
            Ok(complete(part.snapshot, part.end, offset, time))
        }
        _ => Ok(None),
    }
}

impl Snapshot {
    /// Begins to read its entries. They are true denials even where this fails later; only that nothing is
    /// missing is then not known.
    ///
    /// # Errors
    /// The stream cannot be read.
    pub async fn open(&self, connection: &Connection) -> Result<Parts<'_>, FeedError> {
        let from = self.end.after.map_or(Offset::First, |after| Offset::At(after + 1));
        let subscription = Subscription::start(connection, SNAPSHOTS_STREAM, from, PREFETCH).await?;
        Ok(Parts { snapshot: self, subscription, parts: 0, entries: 0 })
    }

    /// Whether all that it left out has expired by now.
    fn is_of_the_past(&self, now: OffsetDateTime) -> bool {
        self.made_at <= now + SKEW
    }

    fn unusable(&self) -> FeedError {
        FeedError::Unusable(self.id.clone())
    }
}

/// The parts of one snapshot.
pub struct Parts<'a> {
    snapshot: &'a Snapshot,
    subscription: Subscription,
    parts: u64,
    entries: u64,
}

impl Parts<'_> {
    /// The entries of the next part; `None` once all were there.
    ///
    /// # Errors
    /// The stream cannot be read, parts are missing, or its clock was ahead.
    pub async fn next(&mut self) -> Result<Option<Vec<Box<RawValue>>>, FeedError> {
        loop {
            let next = tokio::time::timeout(DEADLINE, self.subscription.next()).await;
            let (offset, delivery) = next.map_err(|_| self.snapshot.unusable())??;
            if offset >= self.snapshot.offset {
                let is_whole =
                    (self.parts, self.entries) == (self.snapshot.end.parts, self.snapshot.end.entries);
                let is_usable = is_whole && self.snapshot.is_of_the_past(OffsetDateTime::now_utc());
                return if is_usable { Ok(None) } else { Err(self.snapshot.unusable()) };
            }
            self.subscription.acknowledge(delivery.delivery_tag).await?;
            if let (Incoming::Snapshot(part), _) = Incoming::parse(&delivery.data)
                && part.snapshot == self.snapshot.id
            {
                if part.part != self.parts {
                    return Err(self.snapshot.unusable());
                }
                self.parts += 1;
                self.entries += part.targets.len() as u64;
                return Ok(Some(part.targets.into_iter().map(ToOwned::to_owned).collect()));
            }
        }
    }

    /// Unsubscribes.
    pub async fn end(self) {
        self.subscription.end().await;
    }
}
