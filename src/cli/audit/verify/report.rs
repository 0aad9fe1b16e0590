//! What `audit verify` found, and how it is said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use revocation_evidence::Hash;
use serde_json::json;
use time::OffsetDateTime;

use crate::checkpoint::Finding;
use crate::cli::CommandError;
use crate::cli::output::{count, exact, remark, say, say_json};
use crate::store::{Late, Page};

/// Most digests of checkpoints that are kept to be compared with the log: those of the last months.
const KEPT: usize = 500_000;

/// What was found.
#[derive(Default)]
pub(super) struct Report {
    rows: u64,
    first: Option<i64>,
    last: Option<(i64, OffsetDateTime)>,
    /// What the checkpoints on record are known by in the log.
    digests: BTreeMap<i64, Hash>,
    wanted: Vec<Hash>,
    findings: Vec<Finding>,
    remarks: Vec<String>,
}

impl Report {
    /// `wanted`: digests that must be found.
    pub(super) fn new(wanted: &[Hash]) -> Self {
        Self { wanted: wanted.to_vec(), ..Self::default() }
    }

    pub(super) fn add(&mut self, page: Page) {
        for (document, digest) in &page.documents {
            let replaced = document.base.as_ref().map(|base| base.replaces);
            self.wanted.retain(|wanted| wanted != digest && Some(*wanted) != replaced);
            self.digests.insert(document.checkpoint, replaced.unwrap_or(*digest));
            if self.digests.len() > KEPT {
                self.digests.pop_first();
            }
            if let Some(base) = document.base.as_ref().filter(|base| !base.was_intact) {
                self.remark(&format!(
                    "checkpoint {} stands for what purge {} left, which had not been found intact before",
                    document.checkpoint, base.purge
                ));
            }
            self.first.get_or_insert(document.checkpoint);
            self.last = Some((document.checkpoint, document.until));
            self.rows = self.rows.saturating_add(document.rows());
        }
        self.findings.extend(page.findings);
    }

    pub(super) fn note_late(&mut self, late: &[Late], longest: Duration) {
        for Late { table, rows, role, first } in late {
            let text = format!(
                "{table}: {} written by {role} later than {} after their own time, the first at {}: a worker \
                    was cut off from the database for so long, or somebody added them",
                count(rows.unsigned_abs(), "row"),
                humantime::format_duration(longest),
                exact(*first)
            );
            self.find(self.last.map_or(0, |(number, _)| number), text);
        }
    }

    /// Before what the last checkpoint covers ends.
    pub(super) fn last_made(&self) -> Option<OffsetDateTime> {
        self.last.map(|(_, until)| until)
    }

    pub(super) fn remark(&mut self, text: &str) {
        self.remarks.push(text.to_owned());
    }

    /// Compares with what lies in the log: numbers and digests.
    pub(super) fn compare_published(&mut self, published: &[(i64, String)]) {
        let last = self.last.map_or(-1, |(number, _)| number);
        let cut = || published.iter().map(|(number, _)| *number).filter(|number| *number > last);
        if let (Some(first), Some(until)) = (cut().min(), cut().max()) {
            let text = format!(
                "checkpoints {first} to {until} were published, and are not on record: the end was cut off"
            );
            self.find(last, text);
        }
        let is_other = |number: &i64, digest: &str| {
            self.digests.get(number).is_some_and(|own| Hash::parse(digest) != Some(*own))
        };
        let others = published.iter().filter(|(number, digest)| is_other(number, digest));
        for number in others.map(|(number, _)| *number).collect::<BTreeSet<_>>() {
            self.find(number, "another one was published than the one on record".to_owned());
        }
    }

    fn find(&mut self, checkpoint: i64, text: String) {
        self.findings.push(Finding { checkpoint, table: None, text });
    }

    /// Says the result; an error where something is wrong.
    pub(super) fn end(mut self, is_json: bool) -> Result<(), CommandError> {
        let last = self.last.map_or(0, |(number, _)| number);
        if self.last.is_none() {
            self.find(0, "there is no checkpoint on record, and the schema made one".to_owned());
        }
        for wanted in std::mem::take(&mut self.wanted) {
            let text = format!(
                "no checkpoint on record has the digest {wanted}: it was removed or changed, or a purge has \
                    left another one for it"
            );
            self.find(last, text);
        }
        self.findings.sort_by_key(|finding| finding.checkpoint);
        if is_json {
            self.say_json()
        } else {
            self.say()
        }
        match self.findings.len() as u64 {
            0 => Ok(()),
            n => Err(CommandError::advised(
                format!("the record is not what was checkpointed: {}", count(n, "finding")),
                "keep the database as it is, and look who could change it then; the workers' logs have each \
                    checkpoint's digest",
            )),
        }
    }

    fn say_json(&self) {
        say_json(&json!({
            "ok": self.findings.is_empty(), "rows": self.rows, "first": self.first,
            "last": self.last.map(|(number, _)| number),
            "covered_until": self.last.map(|(_, until)| exact(until)),
            "findings": self.findings, "remarks": self.remarks,
        }));
    }

    fn say(&self) {
        let is_wrong: BTreeSet<_> = self.findings.iter().map(|finding| finding.checkpoint).collect();
        let mut from = self.first.unwrap_or_default();
        let last = self.last.map(|(number, _)| number);
        for wrong in
            is_wrong.into_iter().filter(|wrong| Some(*wrong) <= last).chain(last.map(|last| last + 1))
        {
            match wrong - from {
                ..=0 => {}
                1 => say(format_args!("checkpoint {from}: ok")),
                _ => say(format_args!("checkpoints {from} to {}: ok", wrong - 1)),
            }
            from = from.max(wrong + 1);
            let of_it = self.findings.iter().filter(|finding| finding.checkpoint == wrong);
            of_it.for_each(|finding| say(format_args!("checkpoint {wrong}: {}", finding.text)));
        }
        let others = self.findings.iter().filter(|finding| Some(finding.checkpoint) > last);
        others.for_each(|finding| say(format_args!("checkpoint {}: {}", finding.checkpoint, finding.text)));
        if let Some((_, until)) = self.last {
            say(format_args!("{} covered until {}", count(self.rows, "row"), exact(until)));
        }
        self.remarks.iter().for_each(remark);
    }
}
