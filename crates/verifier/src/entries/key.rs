//! What an entry names, in 16 bytes.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use sha2::{Digest, Sha256};

use crate::message::Kind;

/// 128 bits of a SHA-256: of a token, or of a kind of name and the name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key([u8; 16]);

impl Key {
    /// Of cutoffs whoever's tokens they mean; no digest is likely to be the same.
    pub(super) const OF_ALL: Self = Self([0; 16]);
    /// Of cutoffs that mean everybody's tokens.
    pub(super) const OF_ANY: Self = Self([0xff; 16]);

    /// No label holds a colon, so that no two labels and names run together.
    fn of(label: &str, name: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        [label, ":"].iter().chain(name).for_each(|part| hasher.update(part));
        Self::of_digest(&hasher.finalize().into())
    }

    /// Of a SHA-256. Both halves count: what is made up for a test may differ in one alone.
    pub(super) fn of_digest(digest: &[u8; 32]) -> Self {
        /// 2^128 divided by the golden ratio: halves that are alike do not cancel each other out.
        const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
        let (halves, _) = digest.as_chunks::<16>();
        let join = |key: u128, half: &[u8; 16]| {
            key.rotate_left(64).wrapping_mul(SPREAD).wrapping_add(u128::from_le_bytes(*half))
        };
        Self(halves.iter().fold(0, join).to_le_bytes())
    }

    /// Of a SHA-256 in hexadecimal.
    pub(super) fn of_hex(hex: &str) -> Option<Self> {
        let (digits, mut digest) = (hex.as_bytes(), [0; 32]);
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self::of_digest(&digest))
    }

    /// A token's `jti`, whoever issued it.
    pub(super) fn of_jti(jti: &str) -> Self {
        Self::of("jti", &[jti])
    }

    /// Everything of a session, subject, client or issuer.
    pub(super) fn of_wide(kind: Kind, name: &str) -> Self {
        Self::of(kind.as_str(), &[name])
    }

    /// Everything of a subject or client that another claim than the usual ones names. No claim holds U+0000.
    pub(super) fn of_claim(kind: Kind, claim: &str, name: &str) -> Self {
        Self::of("claim", &[kind.as_str(), "\0", claim, "\0", name])
    }

    /// An issuer, to be joined to what it issued.
    pub(super) fn of_issuer(iss: &str) -> Self {
        Self::of("issued by", &[iss])
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

/// Hexadecimal.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// Keys are digests, so little has to be mixed; but publishers write digests as they like, and must not be
/// able to fill one bucket with them.
#[derive(Clone)]
pub(super) struct Mixing([u64; 2]);

impl Default for Mixing {
    fn default() -> Self {
        Self([0, 1].map(|number: u64| RandomState::new().hash_one(number)))
    }
}

impl BuildHasher for Mixing {
    type Hasher = Mixed;

    fn build_hasher(&self) -> Mixed {
        Mixed { secret: self.0, hash: 0 }
    }
}

pub(super) struct Mixed {
    secret: [u64; 2],
    hash: u64,
}

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.hash
    }

    /// The product of both halves, each with its secret; its own halves joined.
    fn write(&mut self, bytes: &[u8]) {
        let (halves, _) = bytes.as_chunks::<8>();
        let factors = self
            .secret
            .iter()
            .zip(halves)
            .map(|(secret, half)| u128::from(secret ^ u64::from_le_bytes(*half)));
        let product: u128 = factors.product();
        self.hash = (product >> 64) as u64 ^ product as u64;
    }
}

pub(super) type Map<V> = HashMap<Key, V, Mixing>;
