//! Reading the log from its plan on: for verifiers, and for workers that fold it.

use std::time::Duration;

use lapin::Connection;
use lapin::message::Delivery;
use time::OffsetDateTime;

use super::FeedError;
use super::begin::{self, Begin, Ends, From, Mark};
use super::incoming::Incoming;
use super::stream::{Offset, Subscription};
use crate::message::STREAM;

/// Streams number more than messages: a few offsets are RabbitMQ's own. A jump of more may be a reader that
/// retention has overtaken.
const OWN_OFFSETS: u64 = 16;

/// How far a reader has come, from one session to the next.
#[derive(Default)]
pub struct Place {
    known: Option<Mark>,
    /// The last message applied; its digest is taken when it is needed.
    latest: Option<(u64, Option<OffsetDateTime>, Vec<u8>)>,
    is_rewritten: bool,
    /// The offset before a jump: if nothing lies between when it is read again, there was nothing.
    jumped_from: Option<u64>,
    /// The broker cannot tell what was written since a time.
    reads_all: bool,
}

impl Place {
    /// Behind this message.
    pub fn at(mark: Mark) -> Self {
        Self { known: Some(mark), ..Self::default() }
    }

    /// The last message applied.
    pub fn mark(&self) -> Option<Mark> {
        let latest = self.latest.as_ref().map(|(offset, time, body)| Mark::new(*offset, *time, body));
        latest.or(self.known)
    }

    /// Its offset.
    pub fn offset(&self) -> Option<u64> {
        self.latest.as_ref().map(|(offset, ..)| *offset).or(self.known.map(|mark| mark.offset))
    }

    /// This message is applied.
    pub fn passed(&mut self, offset: u64, time: Option<OffsetDateTime>, body: Vec<u8>) {
        self.latest = Some((offset, time, body));
    }

    /// A session ended so.
    pub fn ended(&mut self, error: &FeedError) {
        self.is_rewritten = matches!(error, FeedError::Rewritten);
        if let FeedError::Jumped(before, _) = error {
            self.jumped_from = Some(*before);
        }
        self.reads_all |= matches!(error, FeedError::Late);
    }
}

/// A subscription to the log that notices when it is not the log that it was.
pub struct Log {
    subscription: Subscription,
    begin: Begin,
    ends: Ends,
    again: Option<Mark>,
    reached: Option<u64>,
    seems_empty: bool,
    jumped_from: Option<u64>,
}

impl Log {
    /// Plans, and subscribes. `lifetime`: how far back the log matters to a reader that knows nothing of it.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn open(
        connection: &Connection,
        place: &Place,
        ends: Ends,
        lifetime: Duration,
        prefetch: u16,
    ) -> Result<Self, FeedError> {
        let (seems_empty, applied) = (ends.first.is_none() || ends.last.is_none(), place.mark());
        if seems_empty && applied.is_some() {
            // It was not empty before, and a broker that is slow to answer is no reason to doubt all that is
            // known.
            return Err(FeedError::NoAnswer);
        }
        let mut begin = begin::plan(applied, place.is_rewritten, ends, lifetime, OffsetDateTime::now_utc());
        if place.reads_all && matches!(begin.from, From::Time(_)) {
            begin.from = From::First;
        }
        let again = match begin.from {
            From::Again(mark) => Some(mark),
            From::Time(_) | From::First => None,
        };
        let subscription =
            Subscription::start(connection, STREAM, Offset::from(begin.from), prefetch).await?;
        Ok(Self {
            subscription,
            begin,
            ends,
            again,
            reached: again.map(|mark| mark.offset),
            seems_empty,
            jumped_from: place.jumped_from,
        })
    }

    /// The plan.
    pub fn begin(&self) -> &Begin {
        &self.begin
    }

    /// Whether all is read that was there when it was opened.
    pub fn has_caught_up(&self) -> bool {
        self.begin.catch_up_to.is_none_or(|end| self.reached >= Some(end))
    }

    /// The next message; the first may be the last one applied, once more. Nothing is lost where this is
    /// given up before it has one.
    ///
    /// # Errors
    /// The subscription has ended, or does not go on where it should.
    pub async fn next(&mut self) -> Result<(u64, Delivery), FeedError> {
        let (offset, delivery) = self.subscription.next().await?;
        let is_another = |applied: Mark| {
            applied.offset != offset || applied.body != Mark::new(offset, None, &delivery.data).body
        };
        if self.again.take().is_some_and(is_another) {
            return Err(FeedError::Rewritten);
        }
        if self.seems_empty && self.reached.is_none() && offset > 0 {
            // It was not empty at all: plan again, with its ends.
            return Err(FeedError::NoAnswer);
        }
        if self.reached.is_none()
            && self.begin.leaves_out(self.ends, offset, Incoming::parse(&delivery.data).1)
        {
            return Err(FeedError::Late);
        }
        if let Some(before) = self.reached
            && offset > before + OWN_OFFSETS
            && self.jumped_from != Some(before)
        {
            return Err(FeedError::Jumped(before, offset));
        }
        self.reached = Some(offset);
        Ok((offset, delivery))
    }

    /// Lets the broker send more.
    ///
    /// # Errors
    /// The subscription has ended.
    pub async fn acknowledge(&mut self, delivery_tag: u64) -> Result<(), FeedError> {
        self.subscription.acknowledge(delivery_tag).await
    }

    /// Unsubscribes.
    pub async fn end(self) {
        self.subscription.end().await;
    }
}
