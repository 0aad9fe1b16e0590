//! Whether the keys of those who may send to `receive` can be had.

use futures::future::join_all;

use super::{Finding, Problem};
use crate::config::{ReceiveConfig, SenderConfig};
use crate::provider::KeySource;
use crate::receive::KeySet;

/// What is found of each sender.
pub(super) async fn examine(config: Option<&ReceiveConfig>) -> Vec<Finding> {
    let senders = config.into_iter().flat_map(|config| &config.senders);
    join_all(
        senders.map(async |(name, config)| Finding::new(format!("sender {name}"), keys(name, config).await)),
    )
    .await
}

async fn keys(name: &str, config: &SenderConfig) -> Result<String, Problem> {
    let source = KeySource::new(name, config).map_err(|error| Problem::Setting(error.to_string()))?;
    let set = source.fetch().await.map_err(Problem::Other)?;
    KeySet::read(&set).map_err(|why| Problem::Other(format!("what its issuer publishes as keys {why}")))?;
    Ok(format!("has keys that signatures of {} can be verified with", config.issuer))
}
