//! From file and environment to a valid configuration: all of it for `run`, or the part that a command needs.
//!
//! Every loader refuses unknown keys and wrong types anywhere; rules, ranges and secret files are checked
//! only in the parts it returns.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::authorization::AuthorizationConfig;
use super::findings::{ConfigError, Findings};
use super::people::{People, people};
use super::providers::provider_rules;
use super::receive::{ReceiveConfig, SenderConfig};
use super::section::Section;
use super::setting::Settings;
use super::table::{AmqpConfig, Config, DatabaseConfig, LimitsConfig, LogConfig, RetryConfig};
use super::{Environment, checks, tree};
use crate::approval::ApprovalRules;
use crate::event::ProviderRule;

/// What commands on the database alone need, such as `migrate`.
pub struct DatabaseSettings {
    /// `[database]`
    pub database: DatabaseConfig,
    /// `[people]`
    pub people: Option<People>,
    /// `[log]`
    pub log: LogConfig,
}

/// What `retry` needs: the database, and the budget that it gives.
pub struct RetrySettings {
    /// `[database]`
    pub database: DatabaseConfig,
    /// `[retry]`
    pub retry: RetryConfig,
}

/// What commands on the broker alone need, such as `submit`.
pub struct BrokerSettings {
    /// `[amqp]`
    pub amqp: AmqpConfig,
    /// `[limits]`
    pub limits: LimitsConfig,
    /// Provider of events that name none.
    pub default_provider: Option<Arc<str>>,
    /// The providers' names and issuers; empty where none is configured, and then names cannot be checked
    /// here.
    pub providers: Vec<ProviderRule>,
    /// When a mass revocation waits for a second person, as far as it is set here: the worker's own settings
    /// decide.
    pub approval: ApprovalRules,
    /// `[log]`
    pub log: LogConfig,
}

/// What `receive` needs.
pub struct ReceiveSettings {
    /// `[amqp]`
    pub amqp: AmqpConfig,
    /// Provider of senders that name none.
    pub default_provider: Option<Arc<str>>,
    /// The providers' names and issuers; empty where none is configured here.
    pub providers: Vec<ProviderRule>,
    /// `[receive]`
    pub receive: ReceiveConfig,
    /// `[log]`
    pub log: LogConfig,
}

/// What `stream` needs.
pub struct StreamSettings {
    /// `[receive.senders]`
    pub senders: BTreeMap<String, SenderConfig>,
}

impl StreamSettings {
    /// Reads `[receive]`, from the same places as [`Config::load`].
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        load(path, environment, |top| Self { senders: part::<ReceiveConfig>("receive", top).senders })
    }
}

impl Config {
    /// Reads everything: the file at `path` (else `revocation-worker.toml` where it is present), then the
    /// environment over it.
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        load(path, environment, Self::read)
    }
}

impl DatabaseSettings {
    /// Reads `[database]`, `[people]` and `[log]`, from the same places as [`Config::load`].
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        load(path, environment, Self::of)
    }

    /// The same for commands that work without a database: `None` where neither `database.url` nor its file
    /// is set.
    pub fn load_if_set(path: Option<&Path>, environment: &Environment) -> Result<Option<Self>, ConfigError> {
        load(path, environment, |top| top.within("database").has("url").then(|| Self::of(top)))
    }

    fn of(top: &mut Section<'_>) -> Self {
        Self { database: part("database", top), people: people().read("people", top), log: part("log", top) }
    }
}

impl RetrySettings {
    /// Reads `[database]` and `[retry]`, from the same places as [`Config::load`].
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        load(path, environment, |top| Self { database: part("database", top), retry: part("retry", top) })
    }
}

impl BrokerSettings {
    /// Reads `[amqp]`, `[limits]`, `[authorization]`, `[log]` and what is said of providers' names, from the
    /// same places as [`Config::load`].
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        load(path, environment, |top| Self {
            amqp: part("amqp", top),
            limits: part("limits", top),
            log: part("log", top),
            default_provider: checks::default_provider().read("default_provider", top),
            providers: provider_rules(top),
            approval: part::<AuthorizationConfig>("authorization", top).approval(),
        })
    }
}

impl ReceiveSettings {
    /// Reads `[amqp]`, `[receive]`, `[log]` and what is said of providers' names, from the same places as
    /// [`Config::load`].
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        load(path, environment, |top| {
            let receive: ReceiveConfig = part("receive", top);
            if receive.senders.is_empty() {
                top.missing("receive.senders", "add a section [receive.senders.<name>] for who may send");
            }
            Self {
                amqp: part("amqp", top),
                default_provider: checks::default_provider().read("default_provider", top),
                providers: provider_rules(top),
                receive,
                log: part("log", top),
            }
        })
    }
}

/// What `read` makes of the configuration, where it refuses nothing.
pub(super) fn load<T>(
    path: Option<&Path>,
    environment: &Environment,
    read: impl FnOnce(&mut Section<'_>) -> T,
) -> Result<T, ConfigError> {
    load_if_read(path, environment, |top| Some(read(top)))
}

/// The same where `read` has no stand-in for what it refuses.
pub(super) fn load_if_read<T>(
    path: Option<&Path>,
    environment: &Environment,
    read: impl FnOnce(&mut Section<'_>) -> Option<T>,
) -> Result<T, ConfigError> {
    let mut findings = Findings::default();
    let tree = tree::read(path, environment, &mut findings);
    let value = read(&mut Section::top_of(&tree, environment, &mut findings));
    findings.finish(value)
}

/// One section.
pub(super) fn part<T: Settings>(key: &str, top: &mut Section<'_>) -> T {
    T::read(&mut top.within(key))
}

#[cfg(test)]
mod tests;
