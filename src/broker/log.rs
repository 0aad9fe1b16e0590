//! The log of the invalidations, read once, up to where it ended when the reading began.

use std::time::Duration;

use lapin::Connection;
use lapin::message::Delivery;
use revocation_verifier::amqp::close;
use revocation_verifier::feed::{self, Ends, FeedError, Offset, Subscription};
use time::OffsetDateTime;

use super::{Broker, BrokerError};
use crate::invalidation::STREAM;

const WHAT: &str = "read stream auth.invalidations.log";
/// Messages that come ahead of their acknowledgement.
const PREFETCH: u16 = 300;
/// Longest silence before what is known to be in the log.
const NEXT: Duration = Duration::from_secs(5);

/// A reading of the log.
pub(super) struct Log {
    connection: Connection,
    /// `None`: all was read.
    subscription: Option<Subscription>,
    /// The offset of the last message.
    last: u64,
    /// When the oldest message was made, by its maker's word; `None`: there is none, or it does not say.
    pub(super) oldest: Option<OffsetDateTime>,
    /// Whether something has to come: where nothing was written since a time, nothing does.
    must_come: bool,
}

impl Broker {
    /// Begins with what was written since then, some older messages too, or with the oldest.
    pub(super) async fn log(&self, since: Option<OffsetDateTime>) -> Result<Log, BrokerError> {
        let connection = self.connect("log").await?;
        let start = since.map_or(Offset::First, Offset::Time);
        match begin(&connection, start).await {
            Ok((subscription, ends)) => {
                let last = ends.last.map_or(0, |last| last.offset);
                let oldest = ends.first.and_then(|first| first.time);
                Ok(Log { connection, subscription, last, oldest, must_come: since.is_none() })
            }
            Err(error) => {
                close(&connection).await;
                Err(BrokerError::feed(WHAT, error))
            }
        }
    }
}

async fn begin(connection: &Connection, start: Offset) -> Result<(Option<Subscription>, Ends), FeedError> {
    let ends = feed::ends(connection).await?;
    let subscription = match ends.last {
        None => None,
        Some(_) => Some(Subscription::start(connection, STREAM, start, PREFETCH).await?),
    };
    Ok((subscription, ends))
}

impl Log {
    /// The next message; `None`: that was all.
    pub(super) async fn next(&mut self) -> Result<Option<Delivery>, BrokerError> {
        let Some(subscription) = &mut self.subscription else { return Ok(None) };
        let next = match tokio::time::timeout(NEXT, subscription.next()).await {
            Ok(next) => next,
            Err(_) if self.must_come => return Err(BrokerError::timeout(WHAT, NEXT)),
            Err(_) => return Ok(None),
        };
        let (offset, delivery) = next.map_err(|error| BrokerError::feed(WHAT, error))?;
        self.must_come = true;
        if offset < self.last {
            let told = subscription.acknowledge(delivery.delivery_tag).await;
            told.map_err(|error| BrokerError::feed(WHAT, error))?;
        } else if let Some(subscription) = self.subscription.take() {
            subscription.end().await;
        }
        Ok(Some(delivery))
    }

    pub(super) async fn close(self) {
        close(&self.connection).await;
    }
}
