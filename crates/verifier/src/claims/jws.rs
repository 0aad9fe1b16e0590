//! A token's parts.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};

use super::encoding::in_utf8;
use super::scan::{Members, Quoted, Value};

/// Readers that are not strict ignore the bits that base64 does not need.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::RequireNone);
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The three parts of a token that has exactly three, none of them read yet.
#[derive(Clone, Copy)]
pub(crate) struct ThreeParts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// The first two with the dot between them.
    pub(crate) signed: &'a str,
}

impl<'a> ThreeParts<'a> {
    pub(crate) fn of(token: &'a str) -> Option<Self> {
        let (header, rest) = token.split_once('.')?;
        let (payload, signature) = rest.split_once('.')?;
        let signed = token.get(..header.len() + 1 + payload.len())?;
        (!signature.contains('.')).then_some(Self { header, payload, signature, signed })
    }

    /// Whether this is a signed token in JWS compact serialisation (RFC 7515 section 7.1).
    pub(crate) fn is_compact_jws(self) -> bool {
        [self.header, self.payload, self.signature].iter().all(|part| !part.is_empty())
            && decode(self.header).is_some_and(|header| names_an_algorithm(&in_utf8(header)))
    }

    pub(crate) fn payload(self) -> Option<Vec<u8>> {
        decode(self.payload)
    }
}

/// A token in JWS compact serialisation. No `Debug`: it holds most of the token.
#[derive(Clone, Copy)]
pub struct CompactJws<'a> {
    signed: &'a str,
}

/// The token as a compact JWS, if it is one: exactly three parts, none empty, the first an object with a
/// string `alg` that is not `none`. A JWE (five parts), a PASETO and other opaque tokens of three parts are
/// none: many of them share their first parts.
pub fn compact_jws(token: &str) -> Option<CompactJws<'_>> {
    let parts = ThreeParts::of(token).filter(|parts| parts.is_compact_jws())?;
    Some(CompactJws { signed: parts.signed })
}

impl<'a> CompactJws<'a> {
    /// The two signed parts and the dot between them, as presented.
    pub fn signed(&self) -> &'a str {
        self.signed
    }

    /// Lower-case hex SHA-256 of the two signed parts and the dot between them as presented. Unlike the
    /// signature, which has several spellings, they cannot be spelled otherwise: the signature is over these
    /// very bytes.
    pub fn signed_sha256(&self) -> String {
        Sha256::digest(self.signed).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Base64url as lenient readers take it: padded or not, in either alphabet.
fn decode(part: &str) -> Option<Vec<u8>> {
    let part = part.trim_end_matches('=');
    match BASE64URL.decode(part) {
        Err(_) if part.contains(['+', '/']) => {
            BASE64URL.decode(part.replace('+', "-").replace('/', "_")).ok()
        }
        decoded => decoded.ok(),
    }
}

fn names_an_algorithm(header: &[u8]) -> bool {
    let Some(mut members) = Members::of(header) else { return false };
    let mut is_signed = false;
    while let Ok(member) = members.next() {
        let Some((name, value)) = member else { return is_signed && members.is_at_end() };
        if is_named(name, "alg") {
            is_signed = matches!(value, Value::Text(alg) if alg.text().is_ok_and(|(alg, _)| alg != "none"));
        }
    }
    false
}

fn is_named(name: Quoted<'_>, wanted: &str) -> bool {
    name.text().is_ok_and(|(name, _)| name == wanted)
}
