//! Every setting, its unit, its default and its refusal (docs/contract.md, section 9): `table.rs`,
//! `authorization.rs`, `providers.rs` and a file a kind in `kinds/` list them, `docs/settings.md` shows them.
//!
//! [`Config::load`] reads a TOML file, then the environment over it, and answers with a valid value or with
//! everything that is wrong.

mod authorization;
mod checks;
mod environment;
mod evidence;
mod findings;
mod form;
mod keycloak_events;
mod kinds;
mod load;
mod machine;
mod people;
mod providers;
mod quantity;
mod receive;
mod reference;
mod rule;
mod secret_file;
mod section;
mod setting;
mod signing;
mod table;
mod telemetry;
mod tree;

pub use authorization::AuthorizationConfig;
pub use environment::Environment;
pub use evidence::{AuditVerifySettings, ExportSettings, PurgeSettings, VerifySettings};
pub use findings::ConfigError;
pub use kinds::*;
pub use load::{BrokerSettings, DatabaseSettings, ReceiveSettings, RetrySettings, StreamSettings};
pub use people::{People, Person};
pub use providers::{ClaimNames, DiscoveryConfig, IdentityConfig, ProviderConfig, Verify, is_entra};
pub use receive::{Orderable, ReceiveConfig, SenderConfig};
pub use reference::settings_reference;
#[cfg(test)]
pub(crate) use reference::wrap;
pub(crate) use signing::signing_key;
pub use table::{
    AmqpConfig, Config, DatabaseConfig, EvidenceConfig, InvalidationConfig, LimitsConfig, LogConfig,
    RetryConfig,
};
pub use telemetry::TelemetryConfig;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

/// A secret setting. It cannot be printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// Whether it is this, compared in a time that tells nothing of it.
    pub fn is(&self, given: &str) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), given.as_bytes()).is_ok()
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
