//! What came of a verification, as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;

use super::{Manifest, Signer, Verified};

/// The result of [`verify`](super::verify), for programs to read.
#[derive(Serialize)]
pub struct Report<'a> {
    /// The signer of the manifest signed exactly this file.
    pub intact: bool,
    /// The signer is trusted.
    pub signer_known: bool,
    #[serde(flatten)]
    manifest: Option<Said<'a>>,
    findings: &'a [String],
}

/// What the file says of itself.
#[derive(Serialize)]
struct Said<'a> {
    incident: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    exported_at: OffsetDateTime,
    signer: &'a Signer,
    rows: BTreeMap<&'a str, u64>,
}

impl<'a> Report<'a> {
    /// The report about what was verified.
    pub fn of(verified: &'a Verified) -> Self {
        Self {
            intact: verified.findings.is_empty(),
            signer_known: verified.is_known,
            manifest: verified.manifest.as_ref().map(Said::new),
            findings: &verified.findings,
        }
    }
}

impl<'a> Said<'a> {
    fn new(manifest: &'a Manifest) -> Self {
        Self {
            incident: &manifest.incident,
            exported_at: manifest.exported_at,
            signer: &manifest.signer,
            rows: manifest.members.iter().map(|member| (member.name.as_str(), member.rows)).collect(),
        }
    }
}
