//! `[evidence]`: the key that signs archives of incidents, and the keys that they are checked against.

use std::path::Path;

use super::environment::Environment;
use super::findings::{ConfigError, Findings};
use super::raw::{RawEvidence, RawSealing};
use super::{DatabaseConfig, EvidenceConfig, Secret, sections, tree};
use crate::evidence::{PublicKey, SigningKey};

const REMEDY: &str = "and sealing.keys, from whose first key one would be derived, is not set either; run `revocation-worker keygen --signing` and put \
                      its output into evidence.signing_key or EVIDENCE_SIGNING_KEY";

/// What `incident export` needs.
pub struct ExportSettings {
    /// `[database]`
    pub database: DatabaseConfig,
    /// `evidence.signing_key`, else derived from the first of `sealing.keys`.
    pub signing_key: SigningKey,
}

/// What `incident verify` can make use of: all of it may be absent.
pub struct VerifySettings {
    /// The key of `evidence.signing_key`, else those derived from all `sealing.keys`.
    pub trusted: Vec<PublicKey>,
}

impl ExportSettings {
    /// Reads `[database]`, `[evidence]` and, without a signing key, `[sealing]`, from the same places as [`super::Config::load`].
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let mut findings = Findings::default();
        let raw = tree::read(path, environment, &mut findings);
        let database = sections::database(raw.database, &mut findings);
        match signing_keys(raw.evidence, raw.sealing, &mut findings).into_iter().next() {
            Some(signing_key) => findings.finish(Self { database, signing_key }),
            None => {
                findings.missing("evidence.signing_key", REMEDY);
                Err(findings.fail())
            }
        }
    }
}

impl VerifySettings {
    /// Reads `[evidence]` and, without a signing key, `[sealing]`, from the same places as [`super::Config::load`].
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let mut findings = Findings::default();
        let raw = tree::read(path, environment, &mut findings);
        let keys = signing_keys(raw.evidence, raw.sealing, &mut findings);
        findings.finish(Self { trusted: keys.iter().map(SigningKey::public).collect() })
    }
}

/// `[evidence]`
pub(super) fn evidence(raw: RawEvidence, findings: &mut Findings) -> EvidenceConfig {
    let entry = findings.secret("evidence.signing_key", raw.signing_key, raw.signing_key_file);
    let key = entry.map(|entry| SigningKey::parse(&entry)).transpose();
    let signing_key = key.unwrap_or_else(|problem| {
        findings.refuse("evidence.signing_key", format_args!("{problem}; `revocation-worker keygen --signing` prints a valid one"));
        None
    });
    EvidenceConfig { signing_key }
}

/// The key of its own alone where there is one; else those of all sealing keys, the first key's first.
fn signing_keys(raw: RawEvidence, sealing: RawSealing, findings: &mut Findings) -> Vec<SigningKey> {
    let is_given = raw.signing_key.is_some() || raw.signing_key_file.is_some();
    if is_given {
        return evidence(raw, findings).signing_key.into_iter().collect();
    }
    let derived = |entry: &Secret| SigningKey::derived(entry).ok();
    sections::sealing_if_set(sealing, findings).iter().filter_map(derived).collect()
}
