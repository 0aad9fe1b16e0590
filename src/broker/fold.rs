//! Folding the log into a snapshot, on a connection of its own and a part at a time: it reads the snapshot
//! before and the log behind that, and needs neither Postgres nor the rest of the worker. Two that fold at
//! once make two snapshots, each whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::{Channel, Connection};
use revocation_verifier::amqp::close;
use revocation_verifier::feed::{self, FeedError, Incoming, Latest, Log, Place, Snapshot};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use super::publisher::{CONFIRM_TIMEOUT, properties_of, publish_once, verdict};
use super::{Broker, BrokerError, PublishError};
use crate::invalidation::{Composer, Folder, Reached, SNAPSHOTS_STREAM, SnapshotEnd, SnapshotPart, is_due};

/// Few, so that little memory is taken: a message of a mass revocation has about 100 kB.
const PREFETCH: u16 = 90;
/// What is read of a log without a snapshot: all of it.
const ALL: Duration = Duration::from_secs(10 * 365 * 86_400);
/// How often one that folds says so, where it has no part to publish.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);
/// How long a log that was caught up with may take to send one of the messages that are known to be in it.
const NEXT: Duration = Duration::from_secs(30);
/// Most publishers that a snapshot lists, the latest.
const PUBLISHERS: usize = 1000;
/// How often to begin again where the log turns out to be another one, or jumps.
const ATTEMPTS: usize = 3;

/// Why the log was not folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Log or snapshot cannot be read.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A part was not published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// A snapshot that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folded {
    /// Its entries.
    pub entries: u64,
    /// Its parts.
    pub parts: u64,
    /// Messages of the log that were read for it.
    pub messages: u64,
}

/// Makes snapshots.
pub struct Snapshots {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Makes the messages.
    pub composer: Composer,
}

impl Snapshots {
    /// Folds the log if it has grown enough since the last time, more where the worker is busy.
    ///
    /// # Errors
    /// Something could not be read or published. What was published then is an unfinished snapshot, which
    /// nobody relies on.
    pub async fn fold_if_due(&self, is_busy: bool) -> Result<Option<Folded>, FoldError> {
        self.fold_when(|log, latest| is_due(log, latest, is_busy, self.composer.now())).await
    }

    /// The same where `due` says so.
    ///
    /// # Errors
    /// See [`fold_if_due`](Self::fold_if_due).
    pub async fn fold_when(
        &self,
        due: impl Fn(&feed::Ends, &Latest) -> bool,
    ) -> Result<Option<Folded>, FoldError> {
        let connection = self.broker.connect("fold").await?;
        let folded = self.fold(&connection, due).await;
        close(&connection).await;
        folded
    }

    async fn fold(
        &self,
        connection: &Connection,
        due: impl Fn(&feed::Ends, &Latest) -> bool,
    ) -> Result<Option<Folded>, FoldError> {
        // The bindings too: an older worker may have bound the log to everything again.
        self.broker.ensure_topology(connection).await?;
        let (latest, log) = tokio::try_join!(feed::latest(connection), feed::ends(connection))?;
        if log.last.is_none() || !due(&log, &latest) {
            return Ok(None);
        }
        let mut place =
            latest.complete.as_ref().map_or_else(Place::default, |snapshot| Place::at(snapshot.mark));
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.attempt(connection, &latest, &place).await {
                Err(FoldError::Feed(error @ (FeedError::Jumped(..) | FeedError::Rewritten))) => {
                    place.ended(&error);
                    last = Some(error);
                }
                done => return done.map(Some),
            }
        }
        Err(last.unwrap_or(FeedError::NoAnswer).into())
    }

    async fn attempt(
        &self,
        connection: &Connection,
        latest: &Latest,
        place: &Place,
    ) -> Result<Folded, FoldError> {
        let channel = Broker::confirming_channel(connection).await?;
        let mut fold = Fold {
            composer: &self.composer,
            channel,
            id: Uuid::now_v7().to_string(),
            previous: latest.complete.as_ref().map(|snapshot| snapshot.offset),
            after: latest.offset,
            folder: Folder::new(self.composer.now()),
            publishers: latest
                .complete
                .as_ref()
                .map(|snapshot| snapshot.end.publishers.clone())
                .unwrap_or_default(),
            parts: 0,
            published: Instant::now(),
        };
        // Says at once that somebody folds.
        fold.publish(Vec::new(), None).await?;
        let usable = match &latest.complete {
            Some(snapshot) => fold.add_snapshot(connection, snapshot).await?,
            None => false,
        };
        let (nothing, previous) = (Place::default(), latest.complete.as_ref().filter(|_| usable));
        let place = if usable || latest.complete.is_none() { place } else { &nothing };
        let log = feed::ends(connection).await?;
        let log = Log::open(connection, place, log, ALL, PREFETCH).await?;
        let since = log.begin().incomplete_until.map(|until| until - ALL);
        let since = since.max(previous.and_then(|snapshot| snapshot.end.complete_since));
        let (mut reached, mut messages) = (Place::default(), 0);
        fold.add_log(log, &mut reached, &mut messages).await?;
        let mark = reached.mark().or(place.mark()).ok_or(FeedError::NoAnswer)?;
        fold.finish(mark, since, previous.and_then(|snapshot| snapshot.end.publishers_since), messages).await
    }
}

/// A snapshot in the making.
struct Fold<'a> {
    composer: &'a Composer,
    channel: Channel,
    id: String,
    previous: Option<u64>,
    after: Option<u64>,
    folder: Folder,
    publishers: BTreeMap<String, Reached>,
    parts: u64,
    published: Instant,
}

impl Fold<'_> {
    /// Adds what the snapshot before holds; returns whether that can be relied on.
    async fn add_snapshot(
        &mut self,
        connection: &Connection,
        snapshot: &Snapshot,
    ) -> Result<bool, FoldError> {
        let mut parts = snapshot.open(connection).await?;
        loop {
            match parts.next().await {
                Ok(Some(targets)) => {
                    for target in &targets {
                        self.add(target).await?;
                    }
                }
                Ok(None) => break,
                Err(error @ FeedError::Unusable(_)) => {
                    tracing::warn!(%error, "folding the log from its beginning");
                    self.publishers.clear();
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        parts.end().await;
        Ok(true)
    }

    /// Adds what lies in the log now.
    async fn add_log(
        &mut self,
        mut log: Log,
        reached: &mut Place,
        messages: &mut u64,
    ) -> Result<(), FoldError> {
        while !log.has_caught_up() {
            let next = tokio::time::timeout(NEXT, log.next()).await;
            let (offset, delivery) = next.map_err(|_| FeedError::NoAnswer)??;
            *messages += 1;
            let (incoming, time) = Incoming::parse(&delivery.data);
            if let Some((publisher, sequence)) = feed::sequence(&delivery) {
                self.note(publisher, Reached { sequence, at: time.unwrap_or_else(|| self.composer.now()) });
            }
            if let Incoming::Denials(targets) = incoming {
                for target in targets {
                    self.add(target).await?;
                }
            }
            if self.published.elapsed() >= SIGN_OF_LIFE {
                self.publish(Vec::new(), None).await?;
            }
            let tag = delivery.delivery_tag;
            reached.passed(offset, time, delivery.data);
            log.acknowledge(tag).await?;
        }
        log.end().await;
        Ok(())
    }

    fn note(&mut self, publisher: &str, new: Reached) {
        match self.publishers.get_mut(publisher) {
            Some(reached) if reached.sequence >= new.sequence => {}
            Some(reached) => *reached = new,
            None => drop(self.publishers.insert(publisher.to_owned(), new)),
        }
    }

    async fn add(&mut self, target: &RawValue) -> Result<(), FoldError> {
        match self.folder.add(target) {
            Some(part) => self.publish(part, None).await,
            None => Ok(()),
        }
    }

    /// Publishes the last entries, and then the end.
    async fn finish(
        mut self,
        mark: feed::Mark,
        complete_since: Option<OffsetDateTime>,
        left_out_since: Option<OffsetDateTime>,
        messages: u64,
    ) -> Result<Folded, FoldError> {
        let rest = self.folder.rest();
        if !rest.is_empty() {
            self.publish(rest, None).await?;
        }
        let publishers_since = forget_oldest(&mut self.publishers).max(left_out_since);
        let (parts, entries, publishers) =
            (self.parts, self.folder.entries(), std::mem::take(&mut self.publishers));
        let end = SnapshotEnd {
            parts,
            entries,
            after: self.after,
            mark: mark.to_wire(),
            complete_since,
            publishers,
            publishers_since,
        };
        self.publish(Vec::new(), Some(end)).await?;
        Ok(Folded { entries, parts, messages })
    }

    async fn publish(
        &mut self,
        targets: Vec<Box<RawValue>>,
        end: Option<SnapshotEnd>,
    ) -> Result<(), FoldError> {
        let part = SnapshotPart {
            snapshot: self.id.clone(),
            previous: self.previous,
            part: self.parts,
            targets,
            end,
        };
        let message = self.composer.snapshot(part);
        let published =
            publish_once(&self.channel, SNAPSHOTS_STREAM, "", &message.body, properties_of(&message));
        let what = || format!("publish to {SNAPSHOTS_STREAM}");
        let confirmation = tokio::time::timeout(CONFIRM_TIMEOUT, published).await;
        let confirmation = confirmation.map_err(|_| BrokerError::timeout(what(), CONFIRM_TIMEOUT))?;
        verdict(&confirmation.map_err(|error| BrokerError::new(what(), error))?, SNAPSHOTS_STREAM)?;
        (self.parts, self.published) = (self.parts + 1, Instant::now());
        Ok(())
    }
}

/// Keeps the publishers that published last; returns when the last of the others did.
fn forget_oldest(publishers: &mut BTreeMap<String, Reached>) -> Option<OffsetDateTime> {
    let mut times: Vec<_> = publishers.values().map(|reached| reached.at).collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    let since = times.get(PUBLISHERS).copied()?;
    publishers.retain(|_, reached| reached.at > since);
    Some(since)
}
