//! The first pass: what is there, before anything is published.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::check::Fingerprint;
use super::chunks::Chunker;
use super::error::OrderError;
use super::event::Order;
use super::observer::Observer;
use super::rows::Source;
use super::rules::LocalRules;
use crate::approval::ApprovalRules;
use crate::config::LimitsConfig;
use crate::target::Kind;

/// Most refused lines that are listed; the rest is counted.
const MOST_LISTED: u64 = 1000;

/// What was found.
#[derive(Default)]
pub(crate) struct FirstPass {
    /// Valid, distinct targets by place in [`Kind::ALL`] and by provider; an empty one: the worker finds it.
    pub(crate) counts: BTreeMap<(usize, String), u64>,
    /// Lines that are not blank, without the header.
    pub(crate) lines: u64,
    pub(crate) refused: Vec<RefusedLine>,
    pub(crate) refused_lines: u64,
    /// Targets that had been named before.
    pub(crate) named_again: u64,
    pub(crate) events: u64,
    /// Every valid target, once.
    pub(crate) seen: HashSet<Fingerprint>,
    /// SHA-256 of the input.
    pub(crate) digest: Option<Vec<u8>>,
}

/// A line that is left out.
#[derive(Serialize)]
pub(crate) struct RefusedLine {
    /// From 1.
    pub(crate) line: u64,
    /// Of an event, for its refusal has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<&'static str>,
    /// What is wrong with it.
    pub(crate) detail: String,
}

impl FirstPass {
    /// Walks over everything once.
    ///
    /// # Errors
    /// The input cannot be read, or a target of the command line is not valid.
    pub(crate) fn of(
        source: &Source,
        order: &Order,
        rules: &mut LocalRules,
        limits: &LimitsConfig,
        observer: &mut impl Observer,
    ) -> Result<Self, OrderError> {
        let (mut found, mut chunker) = (Self::default(), Chunker::new(order, limits));
        let mut rows = source.rows();
        while let Some(row) = rows.next()? {
            found.lines += u64::from(row.line > 0);
            let target = match row.raw.and_then(|raw| order.check(rules, raw)) {
                Ok(target) => target,
                Err(why) if row.line == 0 => {
                    return Err(OrderError::Usage(format!("the target of the command line: {why}")));
                }
                Err(why) => {
                    found.refuse(row.line, why, row.end, observer);
                    continue;
                }
            };
            observer.done(1, row.end);
            if !found.seen.insert(target.fingerprint) {
                found.named_again += 1;
                continue;
            }
            *found.counts.entry((rank(target.kind), target.provider.to_string())).or_default() += 1;
            found.events += u64::from(chunker.add(target).is_some());
        }
        found.events += chunker.finish().count() as u64;
        found.digest = rows.digest();
        Ok(found)
    }

    fn refuse(&mut self, line: u64, detail: String, end: u64, observer: &mut impl Observer) {
        self.refused_lines += 1;
        if self.refused_lines <= MOST_LISTED {
            observer.refused(line, &detail, end);
            self.refused.push(RefusedLine { line, code: None, detail });
        }
    }

    /// Valid, distinct targets.
    pub(crate) fn targets(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The kinds that are there, narrowest first.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        Kind::ALL
            .into_iter()
            .filter(|kind| self.counts.keys().any(|(place, _)| *place == rank(*kind)))
            .collect()
    }

    /// Whether anything but single tokens is there.
    pub(crate) fn has_cutoffs(&self) -> bool {
        self.kinds().into_iter().any(|kind| kind != Kind::Token)
    }

    /// Targets of each kind that is there, for every event to say.
    pub(crate) fn by_kind(&self) -> Vec<(Kind, i64)> {
        let of = |kind| {
            let of_kind = self.counts.iter().filter(|((place, _), _)| *place == rank(kind));
            i64::try_from(of_kind.map(|(_, targets)| targets).sum::<u64>()).unwrap_or(i64::MAX)
        };
        self.kinds().into_iter().map(|kind| (kind, of(kind))).collect()
    }

    /// Why a second person must approve this, by these rules; empty: nobody must.
    pub(crate) fn approval(&self, rules: &ApprovalRules) -> Vec<String> {
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
