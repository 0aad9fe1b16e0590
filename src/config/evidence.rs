//! The key that signs archives of incidents and what `purge` leaves, and the keys that archives are checked
//! against.

use std::path::Path;
use std::time::Duration;

use revocation_evidence::{PublicKey, SigningKey};

use super::Environment;
use super::findings::ConfigError;
use super::load::{load, load_if_read, part};
use super::section::Section;
use super::signing::derived;
use super::table::{AmqpConfig, Config, DatabaseConfig, EvidenceConfig, InvalidationConfig, Sealing};

const REMEDY: &str = "and sealing.keys, from whose first key one would be derived, is not set either; run \
    `revocation-worker keygen --signing` and put \
    its output into evidence.signing_key or EVIDENCE_SIGNING_KEY";

/// What `incident export` needs.
pub struct ExportSettings {
    /// `[database]`
    pub database: DatabaseConfig,
    /// `evidence.signing_key`, else derived from the first of `sealing.keys`.
    pub signing_key: SigningKey,
}

/// What `purge` needs.
pub struct PurgeSettings {
    /// `[database]`
    pub database: DatabaseConfig,
    /// As of [`ExportSettings`].
    pub signing_key: SigningKey,
    /// `invalidation.stream_max_age`: what is younger is not purged.
    pub stream_max_age: Duration,
}

/// What `incident verify` can make use of: all of it may be absent.
pub struct VerifySettings {
    /// The key of `evidence.signing_key`, else those derived from all `sealing.keys`.
    pub trusted: Vec<PublicKey>,
}

/// What `audit verify` needs, and what it can make use of.
pub struct AuditVerifySettings {
    /// `[database]`
    pub database: DatabaseConfig,
    /// `[amqp]`, where it says which broker.
    pub amqp: Option<AmqpConfig>,
    /// The key of `evidence.signing_key`, and those derived from all `sealing.keys`: workers may have no
    /// other.
    pub trusted: Vec<PublicKey>,
}

impl Config {
    /// The key that signs checkpoints: `evidence.signing_key`, else derived from the first of `sealing.keys`.
    pub fn take_signing_key(&mut self) -> Option<SigningKey> {
        let first = || self.sealing_keys.first().and_then(|entry| derived(entry).ok());
        self.evidence.signing_key.take().or_else(first)
    }
}

impl AuditVerifySettings {
    /// Reads `[database]`, `[amqp]` where it is set, `[evidence]` and `[sealing]`, from the same places as
    /// [`super::Config::load`].
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        load(path, environment, |top| {
            let own = part::<EvidenceConfig>("evidence", top).signing_key;
            let has_sealing_keys = top.within("sealing").has("keys");
            let sealing = if has_sealing_keys { part::<Sealing>("sealing", top).keys } else { Vec::new() };
            let derived = sealing.iter().filter_map(|entry| derived(entry).ok());
            Self {
                database: part("database", top),
                amqp: top.within("amqp").has("url").then(|| part("amqp", top)),
                trusted: own.into_iter().chain(derived).map(|key| key.public()).collect(),
            }
        })
    }
}

impl ExportSettings {
    /// Reads `[database]`, `[evidence]` and, without a signing key, `[sealing]`, from the same places as
    /// [`super::Config::load`].
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        load_if_read(path, environment, |top| {
            let (database, signing_key) = (part("database", top), required_key(top));
            Some(Self { database, signing_key: signing_key? })
        })
    }
}

impl PurgeSettings {
    /// Reads what [`ExportSettings::load`] reads, and `[invalidation]`.
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        load_if_read(path, environment, |top| {
            let (database, signing_key) = (part("database", top), required_key(top));
            let stream_max_age = part::<InvalidationConfig>("invalidation", top).stream_max_age;
            Some(Self { database, signing_key: signing_key?, stream_max_age })
        })
    }
}

impl VerifySettings {
    /// Reads `[evidence]` and, without a signing key, `[sealing]`, from the same places as
    /// [`super::Config::load`].
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        load(path, environment, |top| Self {
            trusted: signing_keys(top).iter().map(SigningKey::public).collect(),
        })
    }
}

/// The key that signs; without one, a finding that says how to get it.
fn required_key(top: &mut Section<'_>) -> Option<SigningKey> {
    let keys = signing_keys(top);
    if keys.is_empty() && !top.has_refused("sealing.keys") {
        top.missing("evidence.signing_key", REMEDY);
    }
    keys.into_iter().next()
}

/// The key of its own alone where there is one; else those of all sealing keys, the first key's first.
fn signing_keys(top: &mut Section<'_>) -> Vec<SigningKey> {
    if top.within("evidence").has("signing_key") {
        return part::<EvidenceConfig>("evidence", top).signing_key.into_iter().collect();
    }
    let keys = part::<Sealing>("sealing", top).keys;
    keys.iter().filter_map(|entry| derived(entry).ok()).collect()
}

#[cfg(test)]
mod tests;
