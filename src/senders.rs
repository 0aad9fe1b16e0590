//! The senders whose signatures count, each with its keys and its rate: one table for `receive`, to which
//! they send by HTTP, and for workers, which take their tokens by queue.

mod failed;
mod key_cache;
mod known;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use failed::Failed;
pub use known::Known;

use crate::config::SenderConfig;
use crate::event::ProviderRule;
use crate::provider::ProviderSetupError;

/// The senders by name. Touches no network.
///
/// # Errors
/// Names the setting of a sender that cannot be used.
pub fn known(
    configs: &BTreeMap<String, SenderConfig>,
    default_provider: Option<&Arc<str>>,
    providers: &[ProviderRule],
) -> Result<BTreeMap<String, Known>, ProviderSetupError> {
    let known = configs
        .iter()
        .map(|(name, config)| Ok((name.clone(), Known::new(name, config, default_provider, providers)?)));
    known.collect()
}
