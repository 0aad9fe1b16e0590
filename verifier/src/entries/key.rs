//! What an entry names, in 16 bytes.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use sha2::{Digest, Sha256};

use crate::message::Kind;

/// The first 128 bits of a SHA-256 over a kind of name and the name: spread evenly, however its publisher chose the names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key([u8; 16]);

impl Key {
    /// Of cutoffs whoever's tokens they mean; no digest is likely to be the same.
    pub(super) const OF_ALL: Self = Self([0; 16]);
    /// Of cutoffs that mean everybody's tokens.
    pub(super) const OF_ANY: Self = Self([0xff; 16]);

    /// No label holds a colon, so that no two labels and names run together.
    fn of(label: &str, name: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(label).chain_update(":").chain_update(name).finalize();
        let mut first = [0; 16];
        first.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(first)
    }

    /// Of a token's SHA-256.
    pub(super) fn of_token(digest: &[u8]) -> Self {
        Self::of("token", digest)
    }

    /// Of the SHA-256 of a JWT's two signed parts.
    pub(super) fn of_signed(digest: &[u8]) -> Self {
        Self::of("signed", digest)
    }

    pub(super) fn of_token_hex(hex: &str) -> Option<Self> {
        digest(hex).map(|digest| Self::of_token(&digest))
    }

    pub(super) fn of_signed_hex(hex: &str) -> Option<Self> {
        digest(hex).map(|digest| Self::of_signed(&digest))
    }

    /// A token's `jti`, whoever issued it.
    pub(super) fn of_jti(jti: &str) -> Self {
        Self::of("jti", jti.as_bytes())
    }

    /// Everything of a session, subject, client or issuer.
    pub(super) fn of_wide(kind: Kind, name: &str) -> Self {
        Self::of(kind.as_str(), name.as_bytes())
    }

    /// Everything of a subject or client that another claim than the usual ones names. No claim holds U+0000.
    pub(super) fn of_claim(kind: Kind, claim: &str, name: &str) -> Self {
        Self::of("claim", &[kind.as_str(), "\0", claim, "\0", name].concat().into_bytes())
    }

    /// An issuer, to be joined to what it issued.
    pub(super) fn of_issuer(iss: &str) -> Self {
        Self::of("issued by", iss.as_bytes())
    }

    /// The same name with one issuer. Two pairs that were sought to meet would only deny more.
    pub(super) fn issued_by(self, issuer: Self) -> Self {
        Self((u128::from_le_bytes(self.0) ^ u128::from_le_bytes(issuer.0)).to_le_bytes())
    }

    /// The first half.
    pub(super) fn first(self) -> u64 {
        u128::from_le_bytes(self.0) as u64
    }

    /// A number that spreads as evenly as the keys.
    pub(super) fn spread(self) -> usize {
        usize::from(self.0[15])
    }
}

/// A SHA-256 in hexadecimal.
fn digest(hex: &str) -> Option<[u8; 32]> {
    let (digits, mut bytes) = (hex.as_bytes(), [0; 32]);
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Hexadecimal.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Keys are uniformly spread already.
#[derive(Default)]
pub(super) struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }
}

pub(super) type Map<V> = HashMap<Key, V, BuildHasherDefault<FirstBytes>>;
