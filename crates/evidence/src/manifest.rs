//! `manifest.json`, which pins every member, and `signature.json`, which pins the manifest.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::chain::Seen;
use super::signer::Signer;
use super::{FORMAT, Hash, MANIFEST, MEMBERS, SIGNATURE, tar};

/// What `manifest.json` says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`]
    pub format: String,
    /// The incident's name.
    pub incident: String,
    /// The moment whose state the archive shows, in whole seconds; also the `mtime` of every member.
    #[serde(with = "time::serde::rfc3339")]
    pub exported_at: OffsetDateTime,
    /// Who signed.
    pub signer: Signer,
    /// One for each of [`MEMBERS`], in that order.
    pub members: Vec<Entry>,
}

/// What the manifest says of a member.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its lines.
    pub rows: u64,
    /// SHA-256 of its bytes.
    pub sha256: Hash,
    /// The last hash of the chain over its lines.
    pub head: Hash,
    /// The chain's hash after every 1000th line.
    pub checkpoints: Vec<Hash>,
}

/// What `signature.json` says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureFile {
    signed: String,
    algorithm: String,
    public_key: String,
    fingerprint: Hash,
    signature: String,
}

impl Entry {
    pub(super) fn new(name: &str, seen: Seen) -> Self {
        let Seen { bytes, rows, sha256, head, checkpoints } = seen;
        Self { name: name.to_owned(), bytes, rows, sha256, head, checkpoints }
    }

    pub(super) fn seen(&self) -> Seen {
        let Self { bytes, rows, sha256, head, checkpoints, .. } = self.clone();
        Seen { bytes, rows, sha256, head, checkpoints }
    }
}

impl Manifest {
    /// Reads the bytes of `manifest.json`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if manifest.format != FORMAT {
            return Err(format!("its format is {:?}; this program knows {FORMAT:?}", manifest.format));
        }
        if !manifest.members.iter().map(|member| member.name.as_str()).eq(MEMBERS) {
            return Err(format!("its members are not {}", MEMBERS.join(", ")));
        }
        if manifest.members.iter().any(|member| member.bytes > tar::LARGEST) {
            return Err("a member is larger than ustar allows".to_owned());
        }
        Ok(manifest)
    }

    /// The bytes of `manifest.json`.
    pub(super) fn render(&self) -> Vec<u8> {
        json(self)
    }

    /// Seconds since 1970, as headers have it.
    pub(super) fn mtime(&self) -> u64 {
        self.exported_at.unix_timestamp().try_into().unwrap_or(0)
    }

    /// Where the manifest's own header starts.
    pub(super) fn place(&self) -> u64 {
        self.members.iter().map(|member| tar::footprint(member.bytes)).sum()
    }

    /// The bytes of `signature.json`: all but the signature itself follows from the manifest.
    pub(super) fn render_signature(&self, signature: &[u8]) -> Vec<u8> {
        json(&SignatureFile {
            signed: MANIFEST.to_owned(),
            algorithm: "Ed25519".to_owned(),
            public_key: self.signer.public_key.to_string(),
            fingerprint: self.signer.fingerprint,
            signature: STANDARD.encode(signature),
        })
    }

    /// The whole of the archive from the manifest's header on.
    pub(super) fn render_tail(&self, manifest: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
        let mut tail = Vec::new();
        for (name, content) in [(MANIFEST, manifest), (SIGNATURE, &self.render_signature(signature))] {
            let size = content.len() as u64;
            tail.extend(tar::header(name, size, self.mtime())?);
            tail.extend(content);
            tail.resize(tail.len() + tar::padding(size), 0);
        }
        tail.extend(tar::END);
        Some(tail)
    }
}

/// The signature in the bytes of a `signature.json`.
pub(super) fn read_signature(bytes: &[u8]) -> Option<Vec<u8>> {
    let file: SignatureFile = serde_json::from_slice(bytes).ok()?;
    STANDARD.decode(file.signature).ok()
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Neither has a map with keys other than text, which is all that could fail.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
