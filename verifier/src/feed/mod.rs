//! Reads the stream, applies what it says, and starts afresh whatever happens.

mod begin;
mod incoming;
mod stream;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use lapin::Connection;
use time::OffsetDateTime;

use self::begin::{Begin, From, Mark};
use self::incoming::Incoming;
use self::stream::Subscription;
use crate::amqp::{Address, ConnectError, close, words};
use crate::denylist::{Position, Shared, count};

/// Workers send a heartbeat a second. After this long without any message the subscription itself is in doubt.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// Streams number more than messages: a few offsets are RabbitMQ's own. A jump of more may be a reader that retention has overtaken.
const OWN_OFFSETS: u64 = 16;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error("connect: {0}")]
    Connect(#[from] ConnectError),
    #[error("read the stream: {}", words(.0))]
    Lapin(lapin::Error),
    #[error("read the stream: the broker did not answer")]
    NoAnswer,
    #[error("read the stream: the broker ended it (stream deleted, leader lost or connection closed)")]
    Ended,
    #[error("a message without x-stream-offset: auth.invalidations.log is not a stream")]
    NoOffset,
    #[error("nothing was read for {} s", LONGEST_SILENCE.as_secs())]
    Silence,
    #[error("the stream jumped from offset {0} to {1}; looking again at what lies between")]
    Jumped(u64, u64),
    #[error("the stream holds another message in the place of the last one applied; reading it anew")]
    Rewritten,
}

/// The one writer of the denylist.
pub(crate) struct Feed {
    shared: Arc<Shared>,
    address: Address,
    name: String,
    lifetime: Duration,
    applied: Option<Mark>,
    is_rewritten: bool,
    /// The offset before a jump: if nothing lies between when it is read again, there was nothing.
    jumped_from: Option<u64>,
}

impl Feed {
    pub(crate) fn new(shared: Arc<Shared>, address: Address, name: String, lifetime: Duration) -> Self {
        Self { shared, address, name, lifetime, applied: None, is_rewritten: false, jumped_from: None }
    }

    pub(crate) async fn run(mut self) {
        let delays = || {
            let delays = backon::ExponentialBuilder::default().with_min_delay(Duration::from_millis(100));
            delays.with_max_delay(Duration::from_secs(5)).with_jitter().without_max_times().build()
        };
        let mut wait = delays();
        loop {
            let error = match self.session(&mut || wait = delays()).await {
                Ok(never) => match never {},
                Err(error) => error,
            };
            self.shared.freshness.disconnected();
            count(&self.shared.counters.disconnects);
            self.is_rewritten = matches!(error, FeedError::Rewritten);
            tracing::warn!(%error, broker = %self.address, "the denylist is stale: the feed is lost; trying again");
            tokio::time::sleep(wait.next().unwrap_or_default()).await;
        }
    }

    /// One connection's life. `began` is called once it reads.
    async fn session(&mut self, began: &mut impl FnMut()) -> Result<Infallible, FeedError> {
        let connection = self.address.connect(self.name.clone()).await?;
        let ended = self.read(&connection, began).await;
        close(&connection).await;
        ended
    }

    async fn read(&mut self, connection: &Connection, began: &mut impl FnMut()) -> Result<Infallible, FeedError> {
        let ends = stream::ends(connection).await?;
        let seems_empty = ends.first.is_none() || ends.last.is_none();
        if seems_empty && self.applied.is_some() {
            // It was not empty before, and a broker that is slow to answer is no reason to doubt all that is known.
            return Err(FeedError::NoAnswer);
        }
        let begin = begin::plan(self.applied, self.is_rewritten, ends, self.lifetime, OffsetDateTime::now_utc());
        let mut subscription = Subscription::from(connection, begin.from).await?;
        began();
        self.announce(&begin);
        let mut again = match begin.from {
            From::Again(mark) => Some(mark),
            From::Time(_) | From::First => None,
        };
        let (mut is_behind, mut reached) = (true, again.map(|mark| mark.offset));
        loop {
            if is_behind && begin.catch_up_to.is_none_or(|end| reached >= Some(end)) {
                is_behind = false;
                self.caught_up();
            }
            let next = tokio::time::timeout(LONGEST_SILENCE, subscription.next()).await;
            let (offset, delivery) = next.map_err(|_| FeedError::Silence)??;
            let (incoming, time) = Incoming::parse(&delivery.data);
            let mark = Mark::new(offset, time, &delivery.data);
            if again.take().is_some_and(|applied| applied != mark) {
                return Err(FeedError::Rewritten);
            }
            if seems_empty && reached.is_none() && offset > 0 {
                // It was not empty at all: plan again, with its ends.
                return Err(FeedError::NoAnswer);
            }
            if let Some(before) = reached
                && offset > before + OWN_OFFSETS
                && self.jumped_from.replace(before) != Some(before)
            {
                return Err(FeedError::Jumped(before, offset));
            }
            self.apply(incoming, mark);
            reached = Some(offset);
            subscription.acknowledge(&delivery).await?;
        }
    }

    fn announce(&self, begin: &Begin) {
        self.shared.freshness.connected();
        tracing::info!(broker = %self.address, from = %begin.from, up_to = begin.catch_up_to, "reading the feed");
        if let Some(until) = begin.incomplete_until {
            count(&self.shared.counters.truncations);
            self.shared.freshness.incomplete(until);
            tracing::error!(%until, "the stream no longer holds everything that this verifier needs: the denylist is stale until then; \
                make invalidation.stream_max_age at least the longest token lifetime");
        }
    }

    fn caught_up(&self) {
        self.shared.freshness.caught_up();
        self.shared.caught_up.send_replace(true);
        tracing::info!(entries = self.shared.entries.len(), offset = self.applied.map(|mark| mark.offset), "caught up with the feed");
    }

    fn apply(&mut self, incoming: Incoming, mark: Mark) {
        let now = OffsetDateTime::now_utc();
        match incoming {
            Incoming::Heartbeat(sent) => {
                self.shared.freshness.beat_at(sent);
                self.shared.freshness.heartbeat(Instant::now(), (now - sent).try_into().unwrap_or(Duration::ZERO));
            }
            Incoming::Denials { entries, mut unreadable } => {
                unreadable += entries.iter().filter(|entry| !self.shared.entries.apply(entry, now)).count() as u64;
                if unreadable > 0 {
                    self.unreadable(unreadable, mark);
                }
            }
            Incoming::Other => {}
            Incoming::Unreadable => self.unreadable(1, mark),
        }
        count(&self.shared.counters.applied);
        self.applied = Some(mark);
        self.shared.position.send_replace(Some(Position { offset: mark.offset, time: mark.time }));
    }

    fn unreadable(&self, number: u64, mark: Mark) {
        self.shared.counters.unreadable.fetch_add(number, Ordering::Relaxed);
        tracing::error!(number, offset = mark.offset, "denials that this release cannot read were skipped; is it older than the workers?");
    }
}
