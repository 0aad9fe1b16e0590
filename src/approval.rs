//! When a mass revocation waits for a second person: because of what it names, or because of how much.

use crate::target::Kind;

/// `authorization.approval_required_for` and `authorization.approval_above_targets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRules {
    /// Kinds of which one target is enough.
    pub kinds: Vec<Kind>,
    /// The most targets of an incident that go without.
    pub above_targets: i64,
}

impl ApprovalRules {
    /// Those of `kinds` that call for approval, each once, narrowest first.
    pub fn kinds_asking(&self, kinds: impl IntoIterator<Item = Kind>) -> Vec<Kind> {
        let named: Vec<Kind> = kinds.into_iter().filter(|kind| self.kinds.contains(kind)).collect();
        Kind::ALL.into_iter().filter(|kind| named.contains(kind)).collect()
    }

    /// Whether an incident of so many targets calls for approval, whatever their kinds.
    pub fn is_too_many(&self, targets: i64) -> bool {
        targets > self.above_targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(kinds: &[Kind], above_targets: i64) -> ApprovalRules {
        ApprovalRules { kinds: kinds.to_vec(), above_targets }
    }

    #[test]
    fn kinds_that_ask_are_named_once_and_in_order() {
        let rules = rules(&[Kind::Issuer, Kind::Client], 10);
        assert_eq!(
            rules.kinds_asking([Kind::Issuer, Kind::Token, Kind::Client, Kind::Issuer, Kind::Subject]),
            [Kind::Client, Kind::Issuer]
        );
        assert_eq!(rules.kinds_asking([Kind::Token, Kind::Session, Kind::Subject]), []);
        assert_eq!(rules.kinds_asking([]), []);
    }

    #[test]
    fn no_kinds_ask_where_none_is_listed() {
        assert_eq!(rules(&[], 10).kinds_asking(Kind::ALL), []);
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
