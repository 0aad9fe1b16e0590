//! All cutoffs by their issuer alone, for tokens whose claims cannot be read: which of them could mean such a
//! token?

use std::sync::{PoisonError, RwLock};

use time::OffsetDateTime;

use super::cutoff::{Cutoff, Cutoffs};
use super::key::{Key, Map};
use super::{add, keep};

/// Kept as few as [`Cutoffs`] keeps them: not a cutoff a subject, but those that no other covers.
#[derive(Default)]
pub(super) struct InForce(RwLock<Map<Cutoffs>>);

impl InForce {
    /// `issuer` is whose tokens the cutoff means; `None`: anybody's.
    pub(super) fn add(&self, issuer: Option<Key>, cutoff: Cutoff) {
        for key in [Key::OF_ALL, issuer.unwrap_or(Key::OF_ANY)] {
            if !self.has(key, cutoff) {
                add(&mut self.0.write().unwrap_or_else(PoisonError::into_inner), key, cutoff);
            }
        }
    }

    fn has(&self, key: Key, cutoff: Cutoff) -> bool {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.get(&key).is_some_and(|cutoffs| cutoffs.all().iter().any(|held| held.covers(cutoff)))
    }

    /// The latest cutoff in force that may mean a token of this issuer; where its issuer is not known, the
    /// latest of all.
    pub(super) fn latest(&self, issuer: Option<Key>, now: OffsetDateTime) -> Option<i64> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let latest = |key| held.get(&key).and_then(|cutoffs| cutoffs.latest(now));
        match issuer {
            Some(issuer) => latest(Key::OF_ANY).max(latest(issuer)),
            None => latest(Key::OF_ALL),
        }
    }

    pub(super) fn expire(&self, now: OffsetDateTime) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keep(&mut held, |cutoffs| cutoffs.expire(now));
    }
}
