//! The checkpoints of the record that lie in the log of the invalidations.

use std::time::Duration;

use revocation_verifier::amqp::close;
use revocation_verifier::feed::{self, Offset, Subscription};
use time::OffsetDateTime;

use super::{Broker, BrokerError};
use crate::invalidation::{CHECKPOINT_KEY, CHECKPOINT_TYPE, Checkpointing, Envelope, STREAM};

const WHAT: &str = "read checkpoints from stream auth.invalidations.log";
/// Messages that come ahead of their acknowledgement.
const PREFETCH: u16 = 300;
/// Longest silence before what is known to be in the log.
const NEXT: Duration = Duration::from_secs(5);

impl Broker {
    /// The checkpoints that were published since then, in the order of the log, as far as the log goes back.
    ///
    /// # Errors
    /// The broker cannot be reached, or has no such stream.
    pub async fn checkpoints(&self, since: OffsetDateTime) -> Result<Vec<Checkpointing>, BrokerError> {
        let connection = self.connect("audit verify").await?;
        let read = async {
            let Some(last) = feed::ends(&connection).await?.last else { return Ok(Vec::new()) };
            let mut log = Subscription::start(&connection, STREAM, Offset::Time(since), PREFETCH).await?;
            let mut found = Vec::new();
            // Where nothing was written since then, nothing comes.
            while let Ok(next) = tokio::time::timeout(NEXT, log.next()).await {
                let (offset, delivery) = next?;
                if delivery.routing_key.as_str() == CHECKPOINT_KEY {
                    found.extend(parse(&delivery.data));
                }
                if offset >= last.offset {
                    break;
                }
                log.acknowledge(delivery.delivery_tag).await?;
            }
            log.end().await;
            Ok(found)
        };
        let found = read.await;
        close(&connection).await;
        found.map_err(|error| BrokerError::feed(WHAT, error))
    }
}

fn parse(body: &[u8]) -> Option<Checkpointing> {
    let envelope: Envelope<Checkpointing> = serde_json::from_slice(body).ok()?;
    (envelope.kind == CHECKPOINT_TYPE).then_some(envelope.data)
}
