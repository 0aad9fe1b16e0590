//! From file and environment to a valid configuration: all of it for `run`, or the part that a command needs.
//!
//! Every loader refuses unknown keys and wrong types anywhere; rules, ranges and secret files are checked
//! only in the parts it returns.

use std::path::Path;
use std::sync::Arc;

use super::environment::Environment;
use super::findings::{ConfigError, Findings};
use super::people::{self, People};
use super::raw::RawConfig;
use super::{
    AmqpConfig, Config, DatabaseConfig, LimitsConfig, LogConfig, RetryConfig, authorization, evidence,
    providers, sections, tree,
};
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

impl Config {
    /// Reads everything: the file at `path` (else `revocation-worker.toml` where it is present), then the
    /// environment over it.
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let mut findings = Findings::default();
        let mut raw = tree::read(path, environment, &mut findings);
        let max_message_bytes = raw.amqp.max_message_bytes.take();
        let retry = sections::retry(raw.retry, &mut findings);
        let config = Self {
            instance: sections::instance(raw.instance, environment, &mut findings),
            shutdown_grace: sections::shutdown_grace(raw.shutdown_grace, &mut findings),
            lease: sections::lease(raw.lease, &mut findings),
            amqp: sections::amqp(raw.amqp, &mut findings),
            database: sections::database(raw.database, &mut findings),
            sealing_keys: sections::sealing(raw.sealing, &mut findings),
            evidence: evidence::evidence(raw.evidence, &mut findings),
            invalidation: sections::invalidation(raw.invalidation, &mut findings),
            authorization: authorization::authorization(raw.authorization, &mut findings),
            verifier_owners: sections::verifier_owners(raw.verifiers, &mut findings),
            people: people::people(raw.people, &mut findings),
            limits: sections::limits(raw.limits, max_message_bytes, &mut findings),
            http_listen: sections::http_listen(raw.http, &mut findings),
            log: sections::log(raw.log, environment, &mut findings),
            default_provider: providers::default_provider(
                raw.default_provider,
                raw.providers.keys(),
                &mut findings,
            ),
            providers: providers::providers(raw.providers, retry.retry_after_max, &mut findings),
            retry,
            // After all that reads secrets.
            remarks: findings.remarks(),
        };
        people::refuse_nobodys_operators(
            config.people.as_ref(),
            &config.authorization.operators,
            &mut findings,
        );
        findings.finish(config)
    }
}

impl DatabaseSettings {
    /// Reads `[database]`, `[people]` and `[log]`, from the same places as [`Config::load`].
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let mut findings = Findings::default();
        let raw = tree::read(path, environment, &mut findings);
        let settings = Self::from_raw(raw, environment, &mut findings);
        findings.finish(settings)
    }

    /// The same for commands that work without a database: `None` where neither `database.url` nor its file
    /// is set.
    pub fn load_if_set(path: Option<&Path>, environment: &Environment) -> Result<Option<Self>, ConfigError> {
        let mut findings = Findings::default();
        let raw = tree::read(path, environment, &mut findings);
        let is_set = raw.database.url.is_some() || raw.database.url_file.is_some();
        let settings = is_set.then(|| Self::from_raw(raw, environment, &mut findings));
        findings.finish(settings)
    }

    fn from_raw(raw: RawConfig, environment: &Environment, findings: &mut Findings) -> Self {
        Self {
            database: sections::database(raw.database, findings),
            people: people::people(raw.people, findings),
            log: sections::log(raw.log, environment, findings),
        }
    }
}

impl RetrySettings {
    /// Reads `[database]` and `[retry]`, from the same places as [`Config::load`].
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let mut findings = Findings::default();
        let raw = tree::read(path, environment, &mut findings);
        let settings = Self {
            database: sections::database(raw.database, &mut findings),
            retry: sections::retry(raw.retry, &mut findings),
        };
        findings.finish(settings)
    }
}

impl BrokerSettings {
    /// Reads `[amqp]`, `[limits]`, `[authorization]`, `[log]` and what is said of providers' names, from the
    /// same places as [`Config::load`].
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let mut findings = Findings::default();
        let mut raw = tree::read(path, environment, &mut findings);
        let max_message_bytes = raw.amqp.max_message_bytes.take();
        let settings = Self {
            amqp: sections::amqp(raw.amqp, &mut findings),
            limits: sections::limits(raw.limits, max_message_bytes, &mut findings),
            log: sections::log(raw.log, environment, &mut findings),
            default_provider: providers::default_provider(
                raw.default_provider,
                raw.providers.keys(),
                &mut findings,
            ),
            providers: providers::rules(raw.providers, &mut findings),
            approval: authorization::authorization(raw.authorization, &mut findings).approval(),
        };
        findings.finish(settings)
    }
}

#[cfg(test)]
mod tests;
