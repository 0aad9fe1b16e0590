//! Reads the feed, applies what it says, and starts afresh whatever happens. What workers need of it to fold
//! the log is public.

mod beats;
mod begin;
mod failure;
mod incoming;
mod log;
mod named;
mod snapshot;
mod start;
mod stream;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use lapin::Connection;
use lapin::message::Delivery;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use self::beats::Beats;
use self::failure::LONGEST_SILENCE;
use self::named::Named;
use crate::amqp::{Address, close};
use crate::denylist::{Position, Shared, count};
use crate::message::{Entry, Progress, TokenTypeHint};

pub use self::begin::{Begin, Ends, From, Mark};
pub use self::failure::FeedError;
pub use self::incoming::{Incoming, entry, sequence};
pub use self::log::{Log, Place};
pub use self::snapshot::{Latest, Parts, Snapshot, latest};
pub use self::stream::{Offset, Subscription, ends};

/// Most messages that the broker sends ahead of their acknowledgement. One of a mass revocation has about 100
/// kB, and all may lie in memory.
const PREFETCH: u16 = 300;
/// Heartbeats vouch only while the log itself says something: workers mark it every 15 s. It bounds how long
/// a subscription that is stuck goes unnoticed, whatever heartbeats say.
const LOG_HEARD_WITHIN: Duration = Duration::from_secs(20);

/// How long until a log is looked for again that is not there: the first worker may be about to declare it.
const UNDECLARED: Duration = Duration::from_secs(1);

/// The one writer of the denylist.
pub(crate) struct Feed {
    shared: Arc<Shared>,
    address: Address,
    name: String,
    lifetime: Duration,
    place: Place,
    named: Named,
    /// When the log was last heard, or read to its end.
    log_heard: Instant,
}

impl Feed {
    pub(crate) fn new(shared: Arc<Shared>, address: Address, name: String, lifetime: Duration) -> Self {
        Self {
            shared,
            address,
            name,
            lifetime,
            place: Place::default(),
            named: Named::new(),
            log_heard: Instant::now(),
        }
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
            self.place.ended(&error);
            tracing::warn!(%error, broker = %self.address, "the denylist is stale: the feed is lost; trying \
                again");
            let wait = wait.next().unwrap_or_default();
            tokio::time::sleep(if error.code() == Some(404) { wait.min(UNDECLARED) } else { wait }).await;
        }
    }

    /// One connection's life. `began` is called once it reads.
    async fn session(&mut self, began: &mut impl FnMut()) -> Result<Infallible, FeedError> {
        let connection = Arc::new(self.address.connect(self.name.clone()).await?);
        let ended = self.read(&connection, began).await;
        close(&connection).await;
        ended
    }

    async fn read(
        &mut self,
        connection: &Arc<Connection>,
        began: &mut impl FnMut(),
    ) -> Result<Infallible, FeedError> {
        self.named.begin(OffsetDateTime::now_utc());
        let mut beats = Beats::follow(connection.clone());
        let ends = self.look(connection).await?;
        let mut log = Log::open(connection, &self.place, ends, self.lifetime, PREFETCH).await?;
        began();
        self.announce(log.begin());
        let mut is_behind = true;
        loop {
            if is_behind && log.has_caught_up() {
                is_behind = false;
                self.caught_up();
            }
            self.vouch(is_behind)?;
            tokio::select! {
                next = log.next() => {
                    let (offset, delivery) = next?;
                    let tag = delivery.delivery_tag;
                    if sequence(&delivery).is_some() {
                        beats.expect();
                    }
                    self.apply(offset, delivery);
                    log.acknowledge(tag).await?;
                }
                beat = beats.next() => self.hear(&beat),
                () = tokio::time::sleep_until((self.log_heard + LONGEST_SILENCE).into()) => {
                    return Err(FeedError::Silence);
                }
            }
        }
    }

    fn announce(&mut self, begin: &Begin) {
        self.shared.freshness.connected();
        tracing::info!(broker = %self.address, from = %begin.from, up_to = begin.catch_up_to, "reading the \
            feed");
        self.named.settle(OffsetDateTime::now_utc() - self.lifetime);
        if let Some(until) = begin.incomplete_until {
            self.doubt(until);
        }
    }

    fn doubt(&mut self, until: OffsetDateTime) {
        count(&self.shared.counters.truncations);
        self.shared.freshness.incomplete(until);
        self.named.settle(until - self.lifetime);
        tracing::error!(%until, "the stream no longer holds everything that this verifier needs: the \
            denylist is stale until then; \
            make invalidation.stream_max_age at least the longest token lifetime");
    }

    fn caught_up(&mut self) {
        self.log_heard = Instant::now();
        self.shared.freshness.caught_up();
        self.shared.caught_up.send_replace(true);
        tracing::info!(
            entries = self.shared.entries.len(),
            offset = self.place.offset(),
            "caught up with the feed"
        );
    }

    fn apply(&mut self, offset: u64, delivery: Delivery) {
        let (now, instant) = (OffsetDateTime::now_utc(), Instant::now());
        self.log_heard = instant;
        if let Some((publisher, number)) = sequence(&delivery)
            && !self.named.read(publisher, number, instant)
        {
            self.lacks(publisher, number);
        }
        let (incoming, time) = Incoming::parse(&delivery.data);
        match incoming {
            Incoming::Heartbeat(sent, progress) => {
                self.shared.freshness.beat_at(sent, now);
                self.take_beat(progress, |named, progress| named.beat_in_log(sent, progress, instant));
            }
            Incoming::Denials(targets) => {
                self.unreadable(
                    targets.iter().filter(|target| !self.deny(target, now)).count() as u64,
                    offset,
                );
            }
            Incoming::Snapshot(_) | Incoming::Other => {}
            Incoming::Unreadable => self.unreadable(1, offset),
        }
        count(&self.shared.counters.applied);
        self.place.passed(offset, time, delivery.data);
        self.shared.position.send_replace(Some(Position { offset, time }));
    }

    /// Returns false for what this release cannot read.
    fn deny(&self, target: &RawValue, now: OffsetDateTime) -> bool {
        entry(target).is_some_and(|entry| self.is_skipped(&entry) || self.shared.entries.apply(&entry, now))
    }

    fn is_skipped(&self, entry: &Entry) -> bool {
        let is_refresh_token =
            matches!(entry, Entry::Token { token_type_hint: Some(TokenTypeHint::RefreshToken), .. });
        let is_skipped = self.shared.skips_refresh_tokens && is_refresh_token;
        if is_skipped {
            count(&self.shared.counters.skipped_refresh);
        }
        is_skipped
    }

    /// A heartbeat from beside the log. One that does not say what was published vouches for nothing: older
    /// workers' do so in the log.
    fn hear(&mut self, delivery: &Delivery) {
        if let (Incoming::Heartbeat(sent, Some(progress)), _) = Incoming::parse(&delivery.data) {
            let now = OffsetDateTime::now_utc();
            self.shared.freshness.beat_at(sent, now);
            self.named.is_ahead(sent - now);
            self.take_beat(Some(progress), |named, progress| named.beat(sent, progress, Instant::now()));
        }
    }

    fn take_beat(
        &mut self,
        progress: Option<Progress>,
        take: impl FnOnce(&mut Named, Option<Progress>) -> bool,
    ) {
        let named = progress.clone();
        if !take(&mut self.named, progress)
            && let Some(Progress { publisher, sequence, .. }) = named
        {
            self.lacks(&publisher, sequence);
        }
    }

    /// A message is missing for certain: this one, or one before it.
    fn lacks(&mut self, publisher: &str, number: u64) {
        tracing::error!(
            publisher,
            number,
            "the log lacks this message or one before it, which the broker had confirmed: was it unbound?"
        );
        self.doubt(OffsetDateTime::now_utc() + self.lifetime);
    }

    /// Lets the heartbeats vouch that may.
    fn vouch(&mut self, is_behind: bool) -> Result<(), FeedError> {
        let now = Instant::now();
        while let Some(beat) = self.named.vouching() {
            let age = beat.age(OffsetDateTime::now_utc(), now);
            if now.duration_since(self.log_heard) < LOG_HEARD_WITHIN {
                self.shared.freshness.heartbeat(now, age);
            } else {
                self.shared.freshness.behind(now);
            }
        }
        if let Some(since) = self.named.waiting_since() {
            self.shared.freshness.behind(now);
            let is_stuck = !is_behind && now.duration_since(since) > LONGEST_SILENCE;
            return if is_stuck || self.named.is_overrun() { Err(FeedError::Missing) } else { Ok(()) };
        }
        Ok(())
    }

    fn unreadable(&self, number: u64, offset: u64) {
        if number > 0 {
            self.shared.counters.unreadable.fetch_add(number, Ordering::Relaxed);
            tracing::error!(
                number,
                offset,
                "denials that this release cannot read were skipped; is it older than the workers?"
            );
        }
    }
}
