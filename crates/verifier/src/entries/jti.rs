//! Tokens denied by the name that their issuer gave them. Different issuers may give the same `jti` (RFC 7519
//! section 4.1.7 asks them not to), and whoever may publish could otherwise deny anybody's token by its `jti`
//! alone.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::cutoff::Expiry;
use super::key::Key;
use crate::message::TokenIssuer;

/// Whose `jti` is meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Issuer(u64);

impl Issuer {
    /// Whoever it is.
    const ANY: Self = Self(0);
    /// A token that names none.
    const NONE: Self = Self(1);

    pub(super) fn of_entry(issuer: &TokenIssuer) -> Self {
        match issuer {
            TokenIssuer::NotSaid => Self::ANY,
            TokenIssuer::None => Self::NONE,
            TokenIssuer::Named(iss) => Self::of_token(Some(iss)),
        }
    }

    /// Of the `iss` in a token's claims.
    pub(super) fn of_token(iss: Option<&str>) -> Self {
        iss.map_or(Self::NONE, |iss| Self(Key::of_issuer(iss).first()))
    }
}

/// The issuers whose tokens of one `jti` are denied: nearly always one.
pub(super) enum Jtis {
    One(Issuer, Expiry),
    Many(Box<Many>),
}

pub(super) struct Many(BTreeMap<Issuer, Expiry>);

impl Jtis {
    pub(super) fn add(&mut self, issuer: Issuer, expires: Expiry) {
        match self {
            Self::One(held, until) if *held == issuer => *until = expires.max(*until),
            Self::One(held, until) => {
                *self = Self::Many(Box::new(Many(BTreeMap::from([(*held, *until), (issuer, expires)]))))
            }
            Self::Many(many) => {
                let until = many.0.entry(issuer).or_insert(expires);
                *until = expires.max(*until);
            }
        }
    }

    /// Each issuer, and how long denied.
    pub(super) fn all(&self) -> impl Iterator<Item = (Issuer, Expiry)> {
        let (one, many) = match self {
            Self::One(issuer, expires) => (Some((*issuer, *expires)), None),
            Self::Many(many) => (None, Some(many.0.iter().map(|(issuer, expires)| (*issuer, *expires)))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Whether tokens of this issuer are denied; where it is not known, of any.
    pub(super) fn deny(&self, issuer: Option<Issuer>, now: OffsetDateTime) -> bool {
        let is_meant = |held| held == Issuer::ANY || issuer.is_none_or(|issuer| issuer == held);
        self.all().any(|(held, expires)| is_meant(held) && !expires.is_over(now))
    }

    /// Drops what is over; returns whether anything is left.
    pub(super) fn expire(&mut self, now: OffsetDateTime) -> bool {
        match self {
            Self::One(_, expires) => !expires.is_over(now),
            Self::Many(many) => {
                many.0.retain(|_, expires| !expires.is_over(now));
                !many.0.is_empty()
            }
        }
    }
}

impl std::fmt::Display for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
