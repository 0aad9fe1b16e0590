//! A signed token in compact form (RFC 7515 section 3.1), and whose signature it is.
//!
//! Only the header's `alg`, `kid` and `typ` are looked at. Keys come from the sender's own address: `jku`,
//! `jwk`, `x5u` and `x5c`, by which a token could bring its own, say nothing here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, crypto};

use super::keys::KeySet;
use super::object::Object;
use super::refused::{Code, Refused};

/// Longest token, bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Every algorithm that counts, all of them asymmetric. No setting adds one: with a symmetric one, whoever
/// verifies could sign, and the public key would be the secret.
const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// A token whose header was read and whose signature is not verified yet.
pub struct Compact<'a> {
    /// What is signed: header, dot, payload.
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
    algorithm: Algorithm,
    kid: Option<String>,
}

impl<'a> Compact<'a> {
    /// Reads a token's outside. `types`: the values of `typ` that it may have, in lower case and without
    /// `application/`; the empty one is for a token that has none.
    pub(super) fn read(token: &'a str, types: &[&str]) -> Result<Self, Refused> {
        if token.len() > MAX_TOKEN_BYTES {
            let why = format!("the token has {} bytes; most are {MAX_TOKEN_BYTES}", token.len());
            return Err(Refused::new(Code::TooLarge, why));
        }
        let (signed, header, payload, signature) = parts(token).ok_or_else(|| {
            Refused::new(Code::BadToken, "the token is no signed JWT: three parts with dots between")
        })?;
        let header = object("the token's header", header)?;
        let text = |name: &str| header.text(name).map_err(|why| Refused::new(Code::BadToken, why));
        let algorithm = text("alg")?.and_then(|given| ALGORITHMS.iter().find(|(name, _)| *name == given));
        let Some((_, algorithm)) = algorithm else {
            let known = ALGORITHMS.map(|(name, _)| name).join(", ");
            return Err(Refused::new(Code::BadAlgorithm, format!("alg must be one of {known}")));
        };
        if header.has("crit") || header.has("b64") {
            return Err(Refused::new(Code::BadAlgorithm, "crit asks for extensions, and none is known here"));
        }
        check_type(text("typ")?, types)?;
        let kid = text("kid")?.map(str::to_owned);
        Ok(Self { signed, payload, signature, algorithm: *algorithm, kid })
    }

    /// The claims that nobody has vouched for yet: good for finding whose keys to ask, and for nothing else.
    pub(super) fn unverified(&self) -> Result<Object, Refused> {
        object("the token's payload", self.payload)
    }

    /// The claims, once one of `keys` has made the signature.
    pub(super) fn verified_by(&self, keys: &KeySet) -> Result<Object, Refused> {
        let mut fitting = keys.fitting(self.kid.as_deref(), self.algorithm).peekable();
        if fitting.peek().is_none() {
            let why = "the sender publishes no key with this kid and for this alg";
            return Err(Refused::new(Code::UnknownKey, why));
        }
        let made = |key| {
            crypto::verify(self.signature, self.signed.as_bytes(), key, self.algorithm).unwrap_or(false)
        };
        if !fitting.any(made) {
            return Err(Refused::new(Code::BadSignature, "no key of the sender's made the signature"));
        }
        object("the token's payload", self.payload)
    }
}

/// What is signed, and the three parts.
fn parts(token: &str) -> Option<(&str, &str, &str, &str)> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let are_three = !payload.contains('.') && ![header, payload, signature].contains(&"");
    are_three.then_some((signed, header, payload, signature))
}

fn object(what: &str, part: &str) -> Result<Object, Refused> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| "is not base64url without padding");
    let object = bytes.and_then(|bytes| Object::read(&bytes));
    object.map_err(|why| Refused::new(Code::BadToken, format!("{what} {why}")))
}

/// Tokens of one kind must not be taken for those of another (RFC 8725 section 3.11).
fn check_type(given: Option<&str>, types: &[&str]) -> Result<(), Refused> {
    let plain = given.unwrap_or_default().to_ascii_lowercase();
    let plain = plain.strip_prefix("application/").unwrap_or(&plain);
    // The empty one stands for an absent typ, and not for what is left of `application/`.
    if given.is_some() != plain.is_empty() && types.contains(&plain) {
        return Ok(());
    }
    let known: Vec<_> = types.iter().map(|known| if known.is_empty() { "absent" } else { known }).collect();
    Err(Refused::new(Code::BadType, format!("typ must be {}", known.join(" or "))))
}

#[cfg(test)]
mod tests;
