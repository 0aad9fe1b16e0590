//! Whether checkpoints follow each other, who signed them, and whether the rows are theirs.

use revocation_evidence::{Hash, PublicKey};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Document, PARTS, Part};

/// A row of `audit.checkpoints`.
pub struct Stored {
    /// Its number.
    pub number: i64,
    /// What was signed.
    pub document: String,
    /// What the row says is the SHA-256 of it.
    pub sha256: String,
    /// What the row says of the times that the document has, too.
    pub after: Option<OffsetDateTime>,
    /// See `after`.
    pub until: OffsetDateTime,
    /// The key; none of the first row.
    pub public_key: Option<String>,
    /// The signature.
    pub signature: Option<Vec<u8>>,
}

/// What is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The checkpoint's number.
    pub checkpoint: i64,
    /// The table, where it is about rows.
    pub table: Option<&'static str>,
    /// A sentence.
    pub text: String,
}

/// The chain as far as it was read.
pub struct Chain {
    /// None: whoever signed is believed.
    trusted: Option<Vec<PublicKey>>,
    last: Option<Link>,
    /// Whether it began in the middle, so that what the first one follows is not known.
    begins_within: bool,
}

/// What the next checkpoint must follow.
struct Link {
    number: i64,
    sha256: Hash,
    until: OffsetDateTime,
    noted_until: OffsetDateTime,
}

impl Chain {
    /// A chain of which nothing was read, signed by one of these keys; `None`: by anybody.
    pub fn new(trusted: Option<Vec<PublicKey>>, begins_within: bool) -> Self {
        Self { trusted, last: None, begins_within }
    }

    /// Takes the next row. Returns its document, where that can be read, and what is wrong with it.
    pub fn take(&mut self, stored: &Stored) -> (Option<Document>, Vec<Finding>) {
        let digest = Hash::of(&[stored.document.as_bytes()]);
        let mut wrong = Vec::new();
        if Hash::parse(&stored.sha256) != Some(digest) {
            wrong.push("its sha256 is not that of its document".to_owned());
        }
        let document = Document::parse(&stored.document);
        match &document {
            Ok(document) => {
                self.check_signature(stored, document, &mut wrong);
                self.check_place(stored, document, &mut wrong);
                let replaced = document.base.as_ref().map(|base| base.replaces);
                self.last = Some(Link {
                    number: document.checkpoint,
                    sha256: replaced.unwrap_or(digest),
                    until: document.until,
                    noted_until: document.noted_until,
                });
            }
            Err(error) => wrong.push(format!("its document cannot be read: {error}")),
        }
        let finding = |text| Finding { checkpoint: stored.number, table: None, text };
        (document.ok(), wrong.into_iter().map(finding).collect())
    }

    fn check_signature(&self, stored: &Stored, document: &Document, wrong: &mut Vec<String>) {
        if document.checkpoint == 0 && document.base.is_none() {
            // The mark from which the record is covered: whatever follows it is signed.
            return;
        }
        let key = stored.public_key.as_deref().and_then(PublicKey::parse);
        let (Some(key), Some(signature)) = (key, &stored.signature) else {
            return wrong.push("it is not signed".to_owned());
        };
        if !key.has_signed(stored.document.as_bytes(), signature) {
            wrong.push("its signature is not that of its document".to_owned());
        } else if self.trusted.as_ref().is_some_and(|trusted| !trusted.contains(&key)) {
            wrong.push(format!(
                "the key that signed it is not known: its fingerprint is {}; compare that with the one that \
                    was published, and give the key as --public-key",
                key.fingerprint()
            ));
        }
    }

    fn check_place(&self, stored: &Stored, document: &Document, wrong: &mut Vec<String>) {
        if document.checkpoint != stored.number {
            wrong.push(format!("its row has number {}, its document {}", stored.number, document.checkpoint));
        }
        if (document.after, document.until) != (stored.after, stored.until) {
            wrong.push("its row has other times than its document".to_owned());
        }
        let Some(last) = &self.last else {
            let is_begin = document.checkpoint == 0 || document.base.is_some() || self.begins_within;
            if !is_begin {
                wrong.push("the checkpoints before it were removed, and no purge left its own".to_owned());
            }
            return;
        };
        if document.base.is_some() {
            wrong.push("it says that it stands for all before it, which are still there".to_owned());
        } else if document.checkpoint != last.number + 1 {
            wrong.push(format!(
                "it comes after checkpoint {}: what was between was removed, or they were reordered",
                last.number
            ));
        } else if document.follows != Some(last.sha256) {
            wrong.push(format!("it follows another checkpoint {} than the one on record", last.number));
        } else if document.after != Some(last.until) || document.noted_after != Some(last.noted_until) {
            wrong.push("its time does not begin where that of the one before ends".to_owned());
        }
    }

    /// The last checkpoint that was read, and the SHA-256 that the next one must follow.
    pub fn head(&self) -> Option<(i64, Hash)> {
        self.last.as_ref().map(|last| (last.number, last.sha256))
    }
}

impl Document {
    /// What of the rows that are on record now, part by part, is not what the checkpoint says.
    pub fn compare(&self, found: &[(u64, Hash)]) -> Vec<Finding> {
        let parts = PARTS.iter().zip(found);
        parts.filter_map(|(of, found)| self.compare_part(*of, *found)).collect()
    }

    fn compare_part(&self, of: (&'static str, bool), (rows, sha256): (u64, Hash)) -> Option<Finding> {
        let (was, is_same) = match self.part(of) {
            Some(Part { rows: was, sha256: digest, .. }) => (*was, *was == rows && *digest == sha256),
            None => (0, rows == 0),
        };
        if is_same {
            return None;
        }
        let rows_of = |n: u64| if n == 1 { "1 row".to_owned() } else { format!("{n} rows") };
        let what = match rows.cmp(&was) {
            std::cmp::Ordering::Less => format!("{} removed", rows_of(was - rows)),
            std::cmp::Ordering::Greater => format!("{} added", rows_of(rows - was)),
            std::cmp::Ordering::Equal => "rows changed, exchanged or replaced".to_owned(),
        };
        let (table, is_late) = of;
        let which = if is_late { " that were written late" } else { "" };
        Some(Finding {
            checkpoint: self.checkpoint,
            table: Some(table),
            text: format!("of {table}{which}, {}: {what} (it covers {})", self.range(is_late), rows_of(was)),
        })
    }

    fn range(&self, is_late: bool) -> String {
        let (after, until) =
            if is_late { (self.noted_after, self.noted_until) } else { (self.after, self.until) };
        let text = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
        match after {
            Some(after) => format!("from {} to {}", text(after), text(until)),
            None => format!("before {}", text(until)),
        }
    }
}
