//! A snapshot in the making: it takes entries from an older snapshot and the log, and publishes its parts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lapin::{Channel, Connection};
use revocation_verifier::feed::{self, FeedError, Incoming, Log, Place, Snapshot};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::{FoldError, Folded};
use crate::broker::BrokerError;
use crate::broker::confirm::{CONFIRM_TIMEOUT, properties_of, publish_once, verdict};
use crate::invalidation::{Composer, Folder, Reached, SNAPSHOTS_STREAM, SnapshotEnd, SnapshotPart};

/// How often one that folds says so, where it has no part to publish.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);
/// How long a log that was caught up with may take to send one of the messages that are known to be in it.
const NEXT: Duration = Duration::from_secs(30);
/// Most publishers that a snapshot lists, the latest.
const PUBLISHERS: usize = 1000;

/// A snapshot in the making.
pub(super) struct Fold<'a> {
    pub(super) composer: &'a Composer,
    pub(super) channel: Channel,
    pub(super) id: String,
    pub(super) previous: Option<u64>,
    pub(super) after: Option<u64>,
    pub(super) folder: Folder,
    pub(super) publishers: BTreeMap<String, Reached>,
    pub(super) parts: u64,
    pub(super) published: Instant,
}

impl Fold<'_> {
    /// Adds what the snapshot before holds; returns whether that can be relied on.
    pub(super) async fn add_snapshot(
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
    pub(super) async fn add_log(
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
    pub(super) async fn finish(
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

    pub(super) async fn publish(
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
