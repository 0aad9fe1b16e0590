//! How a verifier that knows nothing starts: from the latest snapshot, where there is one that can be relied
//! on.

use std::pin::pin;
use std::time::{Duration, Instant};

use lapin::Connection;
use time::OffsetDateTime;

use super::{Ends, Feed, FeedError, Latest, Place, Snapshot, begin, ends, latest};

/// How long a snapshot is looked for in any case, beside a short log, too: where there is one, the log was
/// made anew, and is not all that was published.
const LOOKED_FOR: Duration = Duration::from_millis(500);
/// For each message of the log it is looked for so much longer: that there is none takes seconds to see, in
/// which 100,000 are read.
const LOOKED_FOR_BY_MESSAGE: Duration = Duration::from_micros(500);

impl Feed {
    /// The ends of the log. A verifier that knows nothing of it yet looks for a snapshot at the same time,
    /// and starts from that.
    pub(super) async fn look(&mut self, connection: &Connection) -> Result<Ends, FeedError> {
        self.log_heard = Instant::now();
        if self.place.offset().is_some() {
            return ends(connection).await;
        }
        let (mut latest, mut found) = (pin!(latest(connection)), None);
        let ends = {
            let mut ends = pin!(ends(connection));
            loop {
                tokio::select! {
                    ends = &mut ends => break ends?,
                    latest = &mut latest, if found.is_none() => found = Some(latest),
                }
            }
        };
        // Of a log that was cut, only a snapshot can hold the rest.
        let is_whole = begin::plan(None, false, ends, self.lifetime, OffsetDateTime::now_utc())
            .incomplete_until
            .is_none();
        let messages = ends.messages_since(None);
        let by_message = LOOKED_FOR_BY_MESSAGE.saturating_mul(u32::try_from(messages).unwrap_or(u32::MAX));
        let patience = LOOKED_FOR.max(by_message);
        let latest = match found {
            Some(latest) => latest,
            None if is_whole => {
                tokio::time::timeout(patience, latest).await.unwrap_or_else(|_| Ok(Latest::default()))
            }
            None => latest.await,
        };
        match latest {
            Ok(Latest { complete: Some(snapshot), .. }) => {
                self.start_from(connection, &snapshot, ends).await?
            }
            Ok(_) => tracing::info!(
                "no snapshot is found: reading the log back to the longest lifetime of a token"
            ),
            Err(error) => {
                tracing::warn!(%error, "no snapshot can be found: reading the log back to the longest \
                    lifetime of a token takes longer")
            }
        }
        Ok(ends)
    }

    /// Reads a snapshot; where that fails, what it held is true all the same, and the log is read as if there
    /// were none.
    async fn start_from(
        &mut self,
        connection: &Connection,
        snapshot: &Snapshot,
        ends: Ends,
    ) -> Result<(), FeedError> {
        let now = OffsetDateTime::now_utc();
        match self.read_parts(connection, snapshot, now).await {
            Ok(()) => {
                tracing::info!(
                    snapshot = snapshot.id,
                    entries = snapshot.end.entries,
                    offset = snapshot.mark.offset,
                    "read a snapshot"
                );
                self.place = Place::at(snapshot.mark);
                self.named.folded(&snapshot.end, Instant::now());
                self.lacks_before(snapshot.end.complete_since, now);
                Ok(())
            }
            Err(error @ FeedError::Unusable(_)) => {
                tracing::warn!(%error, "reading the log back to the longest lifetime of a token instead, \
                    which takes longer");
                self.lacks_before(ends.made_anew(snapshot.mark, now), now);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// What was published before `since` may be missing.
    fn lacks_before(&mut self, since: Option<OffsetDateTime>, now: OffsetDateTime) {
        if let Some(since) = since.filter(|since| *since > now - self.lifetime) {
            self.doubt(since.min(now) + self.lifetime);
        }
    }

    async fn read_parts(
        &self,
        connection: &Connection,
        snapshot: &Snapshot,
        now: OffsetDateTime,
    ) -> Result<(), FeedError> {
        let mut parts = snapshot.open(connection).await?;
        while let Some(targets) = parts.next().await? {
            self.unreadable(
                targets.iter().filter(|target| !self.deny(target, now)).count() as u64,
                snapshot.mark.offset,
            );
        }
        parts.end().await;
        Ok(())
    }
}
