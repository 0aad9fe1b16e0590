//! The answer to "may this token still be used?"

use std::fmt;

use crate::message::{Kind, Staleness};

/// What the denylist says of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing denies it, and the denylist is up to date.
    Allowed,
    /// It is denied, for certain.
    Denied(Denial),
    /// Nothing that is known denies it, but the denylist is stale: the service's
    /// [`StalenessPolicy`](crate::StalenessPolicy) decided.
    Stale {
        /// What the policy says: true under `fail_open`.
        accepted: bool,
        /// Why it is stale.
        why: Staleness,
    },
}

impl Verdict {
    /// Whether the service may go on with the token.
    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Allowed | Self::Stale { accepted: true, .. })
    }
}

/// Why a token is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// It was revoked: itself, or everything issued at or before a moment for its session, subject, client or
    /// issuer.
    Revoked(Kind),
    /// It is a signed JWT whose claims cannot be read, and everything issued at or before a moment was
    /// revoked for somebody whom it may name.
    Unreadable,
    /// Its own `exp` has passed. Its denial may be forgotten by now, so it is refused on its own account.
    Expired,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked(Kind::Token) => f.write_str("the token was revoked"),
            Self::Revoked(kind) => write!(f, "everything of its {} was revoked", kind.as_str()),
            Self::Unreadable => {
                f.write_str("the token's claims cannot be read, and it may be one of those that were revoked")
            }
            Self::Expired => f.write_str("the token has expired"),
        }
    }
}
