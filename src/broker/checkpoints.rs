//! The checkpoints of the record that lie in the log of the invalidations.

use time::OffsetDateTime;

use super::log::Log;
use super::{Broker, BrokerError};
use crate::invalidation::{CHECKPOINT_KEY, CHECKPOINT_TYPE, Checkpointing, Envelope};

impl Broker {
    /// The checkpoints that were published since then, in the order of the log, as far as the log goes back.
    ///
    /// # Errors
    /// The broker cannot be reached, or has no such stream.
    pub async fn checkpoints(&self, since: OffsetDateTime) -> Result<Vec<Checkpointing>, BrokerError> {
        let mut log = self.log(Some(since)).await?;
        let found = read(&mut log).await;
        log.close().await;
        found
    }
}

async fn read(log: &mut Log) -> Result<Vec<Checkpointing>, BrokerError> {
    let mut found = Vec::new();
    while let Some(delivery) = log.next().await? {
        if delivery.routing_key.as_str() == CHECKPOINT_KEY {
            found.extend(parse(&delivery.data));
        }
    }
    Ok(found)
}

fn parse(body: &[u8]) -> Option<Checkpointing> {
    let envelope: Envelope<Checkpointing> = serde_json::from_slice(body).ok()?;
    (envelope.kind == CHECKPOINT_TYPE).then_some(envelope.data)
}
