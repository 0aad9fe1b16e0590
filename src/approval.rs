//! When a mass revocation waits for a second person: because of what it names, or because of how much.
//!
//! [`Allowance::covers`] is the rule. Migration 0015 has it as `audit.needs_approval`, which all other
//! SQL calls: the database has the last word on what runs, and a worker must know sooner what it may deny.

use crate::target::Kind;

/// `authorization.approval_required_for` and `authorization.approval_above_targets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRules {
    /// Kinds of which one target is enough.
    pub kinds: Vec<Kind>,
    /// The most targets of an incident that go without.
    pub above_targets: i64,
}

/// How much an incident orders, or a person approves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Kinds that need an approval.
    pub approval_kinds: Vec<Kind>,
    /// How many targets are of these kinds.
    pub needing_approval: i64,
    /// How many targets there are, of whatever kind.
    pub targets: i64,
}

/// How much of an incident goes without a further approval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowance(Extent);

impl ApprovalRules {
    /// Those of `kinds` that need an approval, each once, narrowest first.
    pub fn approval_kinds(&self, kinds: impl IntoIterator<Item = Kind>) -> Vec<Kind> {
        let named: Vec<Kind> = kinds.into_iter().filter(|kind| self.kinds.contains(kind)).collect();
        Kind::ALL.into_iter().filter(|kind| named.contains(kind)).collect()
    }

    /// Whether an incident of so many targets needs an approval, whatever their kinds.
    pub fn is_too_many(&self, targets: i64) -> bool {
        !Allowance::new(self.above_targets, None).covers(&Extent { targets, ..Extent::default() })
    }
}

impl Allowance {
    /// What goes of an incident that one person may order up to `above_targets` of, and of which a second one
    /// has approved so much.
    pub fn new(above_targets: i64, approved: Option<Extent>) -> Self {
        let approved = approved.unwrap_or_default();
        Self(Extent { targets: approved.targets.max(above_targets), ..approved })
    }

    /// Whether so much goes without a further approval.
    pub fn covers(&self, ordered: &Extent) -> bool {
        ordered.approval_kinds.iter().all(|kind| self.0.approval_kinds.contains(kind))
            && ordered.needing_approval <= self.0.needing_approval
            && ordered.targets <= self.0.targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(kinds: &[Kind], above_targets: i64) -> ApprovalRules {
        ApprovalRules { kinds: kinds.to_vec(), above_targets }
    }

    #[test]
    fn kinds_that_need_an_approval_are_named_once_and_in_order() {
        let rules = rules(&[Kind::Issuer, Kind::Client], 10);
        assert_eq!(
            rules.approval_kinds([Kind::Issuer, Kind::Token, Kind::Client, Kind::Issuer, Kind::Subject]),
            [Kind::Client, Kind::Issuer]
        );
        assert_eq!(rules.approval_kinds([Kind::Token, Kind::Session, Kind::Subject]), []);
        assert_eq!(rules.approval_kinds([]), []);
    }

    #[test]
    fn no_kinds_need_one_where_none_is_listed() {
        assert_eq!(rules(&[], 10).approval_kinds(Kind::ALL), []);
    }

    #[test]
    fn the_limit_itself_goes_without() {
        let rules = rules(&[], 10);
        assert_eq!(
            [0, 10, 11, i64::MAX].map(|targets| rules.is_too_many(targets)),
            [false, false, true, true]
        );
        assert!(super::tests::rules(&[], 0).is_too_many(1));
    }
}
