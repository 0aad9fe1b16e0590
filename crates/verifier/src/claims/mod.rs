//! What a token says of itself, read in the same way by the worker, which publishes it, and by verifiers,
//! which compare it.
//!
//! Nothing is verified. That is harmless for a denylist: whoever holds a revoked token cannot change its
//! claims without spoiling its signature, which the service verifies. What cannot be read in one claim hides
//! no other.
//!
//! | question | file |
//! |---|---|
//! | what is a signed JWT, what are its signed parts | `jws.rs` |
//! | where does a member end that nobody can read | `scan.rs` |
//! | UTF-16, UTF-32 and marks | `encoding.rs` |
//! | which values are names, which are moments | `value.rs` |

mod encoding;
mod jws;
mod scan;
mod shown;
mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value as Json};

pub(crate) use self::jws::ThreeParts;
pub use self::jws::{CompactJws, compact_jws};
pub(crate) use self::shown::{Other, Payload, Shown};
pub use self::value::NumericDate;
use self::value::{Round, name_of_json};

/// Longest name that a denial can have, in bytes: `jti`, `sub`, `sid`, `client_id`, `iss`. The worker indexes
/// them, and a Postgres index row ends at 2,704 bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// The claims that a denial may name. Deserialises from an introspection answer or a JWT's payload;
/// [`from_json`](Self::from_json) reads one that other parsers refuse.
///
/// Names are strings, or integers, which count as their decimal text. One that is empty, longer than
/// [`MAX_NAME_BYTES`] or holds U+0000 counts as missing, as does a member with a wrong type, and of a
/// repeated member the last counts (RFC 7519 section 4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The token's own name (RFC 7519 section 4.1.7).
    pub jti: Option<String>,
    /// Issuer (RFC 7519 section 4.1.1).
    pub iss: Option<String>,
    /// Subject (RFC 7519 section 4.1.2).
    pub sub: Option<String>,
    /// Session (OpenID Connect Front-Channel Logout section 3).
    pub sid: Option<String>,
    /// OAuth client (RFC 9068 section 2.2).
    pub client_id: Option<String>,
    /// Authorized party, another name of the client (OpenID Connect Core section 2).
    pub azp: Option<String>,
    /// Issued at (RFC 7519 section 4.1.6).
    pub iat: Option<NumericDate>,
    /// Expires at (RFC 7519 section 4.1.4).
    pub exp: Option<NumericDate>,
    /// Every other member that is a name: the provider's settings may say that one of them, such as Okta's
    /// `uid`, names the subject or client.
    pub others: BTreeMap<String, String>,
}

/// What could be read of a token. No `Debug`: claims are personal data.
#[derive(Default)]
pub struct Reading {
    /// The claims that could be read.
    pub claims: Claims,
    /// The token is a [`CompactJws`] whose payload could not be read to its end: claims may be missing that
    /// other readers see.
    pub is_unreadable: bool,
}

/// Reads the payload of a token of three parts. What is no JWT has no claims.
pub fn read(token: &str) -> Reading {
    let Some(parts) = ThreeParts::of(token) else { return Reading::default() };
    let payload = Payload::of(parts);
    let (shown, is_unreadable) = payload.claims(|_| Other::Kept);
    Reading { claims: shown.into_claims(), is_unreadable }
}

impl Claims {
    /// The claims of a JWT, not verified; all unknown where `token` is no JWT.
    pub fn peek(token: &str) -> Self {
        read(token).claims
    }

    /// [`peek`](Self::peek) without the [`others`](Self::others), of which a token may have thousands.
    pub fn peek_known(token: &str) -> Self {
        let Some(parts) = ThreeParts::of(token) else { return Self::default() };
        Payload::of(parts).claims(|_| Other::Skipped).0.into_claims()
    }

    /// The claims in a JWT's payload or an introspection answer, as far as they can be read: in any Unicode
    /// encoding, with numbers out of range, half surrogate pairs and bytes that are no UTF-8.
    pub fn from_json(json: &[u8]) -> Self {
        Shown::of_json(&encoding::in_utf8(json.to_vec()), |_| Other::Kept).into_claims()
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::deserialize(deserializer)?;
        let mut date = |name: &str, round| {
            members.remove(name).and_then(|value: Json| NumericDate::of_json(&value, round))
        };
        let mut claims =
            Self { iat: date("iat", Round::Down), exp: date("exp", Round::Up), ..Self::default() };
        for (name, value) in members {
            let Some(text) = name_of_json(value) else { continue };
            match claims.known(&name) {
                Some(claim) => *claim = Some(text),
                None => drop(claims.others.insert(name, text)),
            }
        }
        Ok(claims)
    }
}

impl Claims {
    /// The claim of this name, if it has a field of its own.
    fn known(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "jti" => Some(&mut self.jti),
            "iss" => Some(&mut self.iss),
            "sub" => Some(&mut self.sub),
            "sid" => Some(&mut self.sid),
            "client_id" => Some(&mut self.client_id),
            "azp" => Some(&mut self.azp),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
