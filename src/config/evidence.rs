//! `[evidence]`: the key that signs archives of incidents, and the keys that they are checked against.

use std::path::Path;

use revocation_evidence::{PublicKey, SigningKey};

use super::environment::Environment;
use super::findings::{ConfigError, Findings};
use super::raw::{RawEvidence, RawSealing};
use super::{DatabaseConfig, EvidenceConfig, Secret, sections, tree};
use crate::seal;

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

/// What `incident verify` can make use of: all of it may be absent.
pub struct VerifySettings {
    /// The key of `evidence.signing_key`, else those derived from all `sealing.keys`.
    pub trusted: Vec<PublicKey>,
}

impl ExportSettings {
    /// Reads `[database]`, `[evidence]` and, without a signing key, `[sealing]`, from the same places as
    /// [`super::Config::load`].
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let mut findings = Findings::default();
        let raw = tree::read(path, environment, &mut findings);
        let database = sections::database(raw.database, &mut findings);
        match signing_keys(raw.evidence, raw.sealing, &mut findings).into_iter().next() {
            Some(signing_key) => findings.finish(Self { database, signing_key }),
            None => {
                if !findings.has_refused("sealing.keys") {
                    findings.missing("evidence.signing_key", REMEDY);
                }
                Err(findings.fail())
            }
        }
    }
}

impl VerifySettings {
    /// Reads `[evidence]` and, without a signing key, `[sealing]`, from the same places as
    /// [`super::Config::load`].
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
    let key = entry.map(|entry| signing_key(&entry)).transpose();
    let signing_key = key.unwrap_or_else(|problem| {
        findings.refuse(
            "evidence.signing_key",
            format_args!("{problem}; `revocation-worker keygen --signing` prints a valid one"),
        );
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
    sections::sealing_if_set(sealing, findings).iter().filter_map(|entry| derived(entry).ok()).collect()
}

/// The key of an entry of `evidence.signing_key`: `<id>:<base64 of 32 bytes>`.
///
/// # Errors
/// What is wrong with it. Never its value.
pub(crate) fn signing_key(entry: &Secret) -> Result<SigningKey, &'static str> {
    seal::read_entry(entry).and_then(|(id, seed)| SigningKey::new(id, &seed))
}

/// The key that derives from an entry of `sealing.keys`.
fn derived(entry: &Secret) -> Result<SigningKey, &'static str> {
    seal::read_entry(entry).and_then(|(id, key)| SigningKey::derived(id, &key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str =
        "new:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,old:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const SIGNING: &str = "audit:nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::new(variables.iter().copied())
    }

    fn signer(variables: &[(&str, &str)]) -> String {
        let variables = [&[("DATABASE_URL", "postgres://db/revocation")], variables].concat();
        let settings =
            ExportSettings::load(None, &environment(&variables)).unwrap_or_else(|error| panic!("{error}"));
        settings.signing_key.signer().key_id
    }

    fn trusted(variables: &[(&str, &str)]) -> Vec<String> {
        let settings =
            VerifySettings::load(None, &environment(variables)).unwrap_or_else(|error| panic!("{error}"));
        settings.trusted.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_first_sealing_key_signs_and_those_of_all_are_trusted() {
        assert_eq!(signer(&[("SEALING_KEYS", KEYS)]), "sealing:new");
        let [new, old] = &trusted(&[("SEALING_KEYS", KEYS)])[..] else { panic!("two keys") };
        assert!(new != old);
        assert_eq!(old, "MCowBQYDK2VwAyEAPy67kWnsXEa+DBlDm0ywtFaR4T3nUGfWjPOoU1pZMao=");
    }

    #[test]
    fn a_key_of_its_own_signs_and_is_trusted_alone() {
        let both = [("SEALING_KEYS", KEYS), ("EVIDENCE_SIGNING_KEY", SIGNING)];
        assert_eq!(signer(&both), "audit");
        assert_eq!(trusted(&both), ["MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]);
    }

    #[test]
    fn verifying_does_without_any_key_and_exporting_does_not() {
        assert!(trusted(&[]).is_empty());
        let error =
            ExportSettings::load(None, &environment(&[("DATABASE_URL", "postgres://db/revocation")])).err();
        let sentence = "evidence.signing_key: not set; and sealing.keys, from whose first key one would be \
            derived, is not set either";
        assert!(error.is_some_and(|error| error.to_string().starts_with(sentence)));
    }

    #[test]
    fn a_bad_entry_is_refused_without_its_value() {
        for (entry, why) in [
            ("AAAA", "has no colon between id and key"),
            ("a b:AAAA", "has a bad id: 1 to 32 of A-Z a-z 0-9 . _ - are allowed"),
            ("a:AAAA", "has a key that is not 32 bytes long"),
            ("a:????", "has a key that is not padded standard base64"),
        ] {
            for read in [signing_key, derived] {
                assert_eq!(read(&Secret::new(entry.to_owned())).err(), Some(why));
            }
        }
    }

    #[test]
    fn a_bad_key_is_refused_whoever_reads_it_and_is_not_quoted() {
        for (variable, value, sentence) in [
            (
                "EVIDENCE_SIGNING_KEY",
                "secret",
                "evidence.signing_key (from EVIDENCE_SIGNING_KEY): has no colon between id and key; ",
            ),
            ("REVOCATION__EVIDENCE__SIGNING_KEY", "a:secret", "has a key that is not padded standard base64"),
            ("EVIDENCE_SIGNING_KEY_FILE", "/no/such/file", "cannot read /no/such/file"),
            (
                "SEALING_KEYS",
                "a:c2VjcmV0",
                "sealing.keys (from SEALING_KEYS): entry 1 has a key that is not 32 bytes long",
            ),
        ] {
            let environment = environment(&[("DATABASE_URL", "postgres://db/revocation"), (variable, value)]);
            let errors = [
                ExportSettings::load(None, &environment).err(),
                VerifySettings::load(None, &environment).err(),
            ];
            for problems in errors
                .into_iter()
                .map(|error| error.map(|error| error.problems().to_vec()).unwrap_or_default())
            {
                let [problem] = &problems[..] else { panic!("one problem expected: {problems:?}") };
                assert!(problem.contains(sentence) && !problem.contains("secret"), "{problem}");
            }
        }
    }
}
