//! Folding the log into a snapshot, on a connection of its own and a part at a time: it reads the snapshot
//! before and the log behind that, and needs neither Postgres nor the rest of the worker. Two that fold at
//! once make two snapshots, each whole.

mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::Connection;
use revocation_verifier::amqp::close;
use revocation_verifier::feed::{self, FeedError, Latest, Log, Place};
use uuid::Uuid;

use super::{Broker, BrokerError, PublishError};
use crate::invalidation::{Composer, Folder, is_due};
use writer::Fold;

/// Few, so that little memory is taken: a message of a mass revocation has about 100 kB.
const PREFETCH: u16 = 90;
/// What is read of a log without a snapshot: all of it.
const ALL: Duration = Duration::from_secs(10 * 365 * 86_400);
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
        let ends = feed::ends(connection).await?;
        let log = Log::open(connection, place, ends, ALL, PREFETCH).await?;
        let since = log.begin().incomplete_until.map(|until| until - ALL);
        let unusable = latest.complete.as_ref().filter(|_| !usable);
        let since = since
            .max(previous.and_then(|snapshot| snapshot.end.complete_since))
            .max(unusable.and_then(|snapshot| ends.made_anew(snapshot.mark, self.composer.now())));
        let (mut reached, mut messages) = (Place::default(), 0);
        fold.add_log(log, &mut reached, &mut messages).await?;
        let mark = reached.mark().or(place.mark()).ok_or(FeedError::NoAnswer)?;
        fold.finish(mark, since, previous.and_then(|snapshot| snapshot.end.publishers_since), messages).await
    }
}
