//! The first pass: what is there, before anything is published.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::check::{Checker, Fingerprint};
use super::chunks::Chunker;
use super::order::Whole;
use super::publish::Stage;
use super::rows::Source;
use crate::approval::ApprovalRules;
use crate::cli::CommandError;
use crate::cli::progress::Progress;
use crate::target::Kind;

/// Most refused lines that are listed; the rest is counted.
const MOST_LISTED: u64 = 1000;

/// What was found.
#[derive(Default)]
pub(super) struct Survey {
    /// Valid, distinct targets by place in [`Kind::ALL`] and by provider; an empty one: the worker finds it.
    pub(super) counts: BTreeMap<(usize, String), u64>,
    /// Lines that are not blank, without the header.
    pub(super) lines: u64,
    pub(super) refused: Vec<RefusedLine>,
    pub(super) refused_lines: u64,
    /// Targets that had been named before.
    pub(super) named_again: u64,
    pub(super) events: u64,
    /// Every valid target, once.
    pub(super) seen: HashSet<Fingerprint>,
    /// SHA-256 of the input.
    pub(super) digest: Option<Vec<u8>>,
}

/// A line that names no target.
#[derive(Serialize)]
pub(super) struct RefusedLine {
    line: u64,
    detail: String,
}

impl Survey {
    /// Walks over everything once.
    ///
    /// # Errors
    /// The input cannot be read, or a target of the command line is not valid.
    pub(super) fn of(
        source: &Source,
        checker: &mut Checker,
        mut chunker: Chunker,
        progress: &mut Progress,
    ) -> Result<Self, CommandError> {
        let mut survey = Self::default();
        let mut rows = source.rows();
        while let Some(row) = rows.next()? {
            survey.lines += u64::from(row.line > 0);
            let target = match row.written.and_then(|written| checker.check(written)) {
                Ok(target) => target,
                Err(why) if row.line == 0 => {
                    return Err(CommandError::Usage(format!("the target of the command line: {why}")));
                }
                Err(why) => {
                    survey.refuse(row.line, why, row.end, progress);
                    continue;
                }
            };
            progress.done(1, row.end);
            if !survey.seen.insert(target.fingerprint) {
                survey.named_again += 1;
                continue;
            }
            *survey.counts.entry((rank(target.kind), target.provider.to_string())).or_default() += 1;
            survey.events += u64::from(chunker.add(target).is_some());
        }
        survey.events += chunker.finish().count() as u64;
        survey.digest = rows.digest();
        Ok(survey)
    }

    fn refuse(&mut self, line: u64, detail: String, end: u64, progress: &mut Progress) {
        self.refused_lines += 1;
        if self.refused_lines <= MOST_LISTED {
            progress.refused(line, &detail, end);
            self.refused.push(RefusedLine { line, detail });
        }
    }

    /// Valid, distinct targets.
    pub(super) fn targets(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The kinds that are there, narrowest first.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        Kind::ALL
            .into_iter()
            .filter(|kind| self.counts.keys().any(|(place, _)| *place == rank(*kind)))
            .collect()
    }

    /// How much the incident is in all, for every event to say.
    pub(super) fn whole(&self) -> Whole {
        let of = |kind| {
            self.counts
                .iter()
                .filter(|((place, _), _)| *place == rank(kind))
                .map(|(_, targets)| targets)
                .sum::<u64>()
        };
        Whole::of(self.kinds().into_iter().map(|kind| (kind, i64::try_from(of(kind)).unwrap_or(i64::MAX))))
    }

    /// Whether a stage has anything to publish.
    pub(super) fn has(&self, stage: Stage) -> bool {
        self.kinds().into_iter().any(|kind| stage.takes(kind))
    }

    /// Why a second person must approve this, by these rules; empty: nobody must.
    pub(super) fn approval(&self, rules: &ApprovalRules) -> Vec<String> {
        let kinds = rules
            .approval_kinds(self.kinds())
            .into_iter()
            .map(|kind| format!("it names a target of kind {}", kind.as_str()));
        let targets = i64::try_from(self.targets()).unwrap_or(i64::MAX);
        let many =
            rules.is_too_many(targets).then(|| format!("it has more than {} targets", rules.above_targets));
        kinds.chain(many).collect()
    }
}

fn rank(kind: Kind) -> usize {
    Kind::ALL.into_iter().position(|other| other == kind).unwrap_or_default()
}
