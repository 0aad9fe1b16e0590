//! Notices that the log of the invalidations has ended, though the connection has not: it was deleted,
//! perhaps to be declared anew at once, when nothing that is published is returned.
//!
//! A verifier that had not read all of it goes on in the new one, as far as nothing is missing but what
//! workers publish again (`crates/verifier/src/feed/begin.rs`). So each worker must know, also one that has
//! just nothing to publish.

use std::time::Duration;

use lapin::Connection;
use revocation_verifier::feed::{FeedError, Offset, Subscription};

use crate::invalidation::STREAM;

/// How often a message is taken: a subscription needs one only to be there. RabbitMQ gives up a channel that
/// acknowledges nothing for half an hour.
const TAKEN_EVERY: Duration = Duration::from_secs(30);

/// Of the log that is there now.
pub(super) struct LogEnd(Option<Subscription>);

impl LogEnd {
    /// Begins to watch. Where that is not possible, the end is not noticed.
    pub(super) async fn watch(connection: &Connection) -> Self {
        match Subscription::start(connection, STREAM, Offset::Next, 1).await {
            Ok(subscription) => Self(Some(subscription)),
            Err(error) => {
                tracing::warn!(%error, "the log of the invalidations cannot be read: that it is deleted \
                    would not be noticed");
                Self::unwatched()
            }
        }
    }

    pub(super) fn unwatched() -> Self {
        Self(None)
    }

    /// Waits for it, or for the connection's.
    pub(super) async fn comes(&mut self) {
        match &mut self.0 {
            Some(subscription) => while take(subscription).await.is_ok() {},
            None => std::future::pending().await,
        }
    }
}

/// Takes a message, and slowly: what it says does not matter.
async fn take(subscription: &mut Subscription) -> Result<(), FeedError> {
    let (_, delivery) = subscription.next().await?;
    tokio::select! {
        // None comes before this one is acknowledged, but the end does.
        next = subscription.next() => drop(next?),
        () = tokio::time::sleep(TAKEN_EVERY) => {}
    }
    subscription.acknowledge(delivery.delivery_tag).await
}
