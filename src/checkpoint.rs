//! Checkpoints of the record: what one says, and whether the next follows it. Pure; `store/checkpoints.rs`
//! reads the rows, `docs/audit.md` tells auditors.

mod chain;

use revocation_evidence::Hash;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use chain::{Chain, Finding, Stored};

/// The format's name and version, first in every document.
pub const FORMAT: &str = "revocation-worker checkpoint 1";

/// The parts of a document in their order: the table, and whether of its rows those that were written late.
pub const PARTS: [(&str, bool); 8] = [
    ("attempts", false),
    ("targets", false),
    ("rejected_events", false),
    ("operations", false),
    ("attempts", true),
    ("targets", true),
    ("rejected_events", true),
    ("operations", true),
];

/// What is signed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`FORMAT`]
    pub format: String,
    /// Its number: one more than that of the checkpoint before.
    pub checkpoint: i64,
    /// The worker's instance, or who purged.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    /// Rows of this moment or later belong to it; `None`: whatever is older, too.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none", default)]
    pub after: Option<OffsetDateTime>,
    /// Rows of before this moment do.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
    /// The same for late rows, by the moment of their writing.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none", default)]
    pub noted_after: Option<OffsetDateTime>,
    /// See `noted_after`.
    #[serde(with = "time::serde::rfc3339")]
    pub noted_until: OffsetDateTime,
    /// SHA-256 of the document before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub follows: Option<Hash>,
    /// What belongs to it, in the order of [`PARTS`], where it is anything.
    pub parts: Vec<Part>,
    /// Set where it stands for itself and all before it, whose rows may be purged.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base: Option<Base>,
}

/// Rows of one table.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The table.
    pub table: String,
    /// Whether these were written late.
    pub late: bool,
    /// How many they are.
    pub rows: u64,
    /// SHA-256 over the rows, each as `COPY … (FORMAT binary)` writes it.
    pub sha256: Hash,
}

/// What a purge left.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// SHA-256 of the document of the same number that stood here: the next one follows that.
    pub replaces: Hash,
    /// The last purge, as in `audit.purges`.
    pub purge: i64,
    /// Whether all that it stands for was found unchanged before anything was purged.
    pub was_intact: bool,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if document.format == FORMAT {
            Ok(document)
        } else {
            Err(format!("its format is {:?}; this program knows {FORMAT:?}", document.format))
        }
    }

    /// The text that is signed.
    pub fn render(&self) -> String {
        // No map with keys other than text, which is all that could fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// How many rows belong to it.
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).fold(0, u64::saturating_add)
    }

    /// What it says of a part: how many rows, and their digest, if they are any.
    pub fn part(&self, (table, late): (&str, bool)) -> Option<&Part> {
        self.parts.iter().find(|part| part.table == table && part.late == late)
    }
}

#[cfg(test)]
mod tests;
