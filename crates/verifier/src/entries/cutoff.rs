//! From when and until when something is denied.

use time::OffsetDateTime;

use crate::message::Entry;

/// Seconds since 1970, rounded up, so that no denial ends before its token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Expiry(pub(super) u32);

impl Expiry {
    pub(super) fn of(time: OffsetDateTime) -> Self {
        let seconds = time.unix_timestamp().saturating_add(i64::from(time.nanosecond() > 0));
        Self(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
    }

    pub(super) fn is_over(self, now: OffsetDateTime) -> bool {
        i64::from(self.0) <= now.unix_timestamp()
    }
}

/// Tokens issued at or before `not_before` (milliseconds since 1970) are denied until `expires`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Cutoff {
    pub(super) not_before: i64,
    pub(super) expires: Expiry,
}

impl Cutoff {
    /// A token's entry has no cutoff; only its expiry counts.
    pub(super) fn of_entry(entry: &Entry) -> Self {
        match entry {
            Entry::Token { expires_at, .. } => Self::of(*expires_at, *expires_at),
            Entry::Session { not_before, expires_at, .. }
            | Entry::Subject { not_before, expires_at, .. }
            | Entry::Client { not_before, expires_at, .. }
            | Entry::Issuer { not_before, expires_at, .. } => Self::of(*not_before, *expires_at),
        }
    }

    fn of(not_before: OffsetDateTime, expires: OffsetDateTime) -> Self {
        let millis = not_before.unix_timestamp_nanos().div_euclid(1_000_000);
        Self { not_before: i64::try_from(millis).unwrap_or(i64::MAX), expires: Expiry::of(expires) }
    }

    pub(super) fn covers(self, other: Self) -> bool {
        self.not_before >= other.not_before && self.expires >= other.expires
    }
}

/// The cutoffs of one selector that no other of its cutoffs covers: nearly always one, as a later one usually
/// expires later too.
pub(super) enum Cutoffs {
    One(Cutoff),
    Many(Vec<Cutoff>),
}

impl Cutoffs {
    pub(super) fn all(&self) -> &[Cutoff] {
        match self {
            Self::One(cutoff) => std::slice::from_ref(cutoff),
            Self::Many(cutoffs) => cutoffs,
        }
    }

    fn from(mut cutoffs: Vec<Cutoff>) -> Option<Self> {
        match cutoffs.len() {
            0 => None,
            1 => cutoffs.pop().map(Self::One),
            _ => Some(Self::Many(cutoffs)),
        }
    }

    pub(super) fn add(&mut self, new: Cutoff) {
        if self.all().iter().any(|held| held.covers(new)) {
            return;
        }
        let mut left: Vec<_> = self.all().iter().copied().filter(|held| !new.covers(*held)).collect();
        left.push(new);
        left.sort_unstable();
        if let Some(cutoffs) = Self::from(left) {
            *self = cutoffs;
        }
    }

    /// The latest cutoff that is in force.
    pub(super) fn latest(&self, now: OffsetDateTime) -> Option<i64> {
        self.all().iter().filter(|cutoff| !cutoff.expires.is_over(now)).map(|cutoff| cutoff.not_before).max()
    }

    /// Drops what is over; returns whether anything is left.
    pub(super) fn expire(&mut self, now: OffsetDateTime) -> bool {
        if self.all().iter().any(|cutoff| cutoff.expires.is_over(now)) {
            let left = self.all().iter().copied().filter(|cutoff| !cutoff.expires.is_over(now)).collect();
            match Self::from(left) {
                Some(cutoffs) => *self = cutoffs,
                None => return false,
            }
        }
        true
    }
}
