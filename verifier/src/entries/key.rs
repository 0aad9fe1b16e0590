//! What an entry names, in 16 bytes.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use aws_lc_rs::digest;

use crate::message::Kind;

/// The first 128 bits of a SHA-256 over a kind of name and the name: spread evenly, however its publisher chose the names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key([u8; 16]);

impl Key {
    /// Of parts, each with its length so that no two lists of parts run together.
    fn of(label: &str, parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(label.as_bytes());
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut first = [0; 16];
        first.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(first)
    }

    pub(super) fn of_token(token: &str) -> Self {
        Self::of("token", &[digest::digest(&digest::SHA256, token.as_bytes()).as_ref()])
    }

    /// Of a token's SHA-256 in hexadecimal.
    pub(super) fn of_hex(hex: &str) -> Option<Self> {
        let (digits, mut bytes) = (hex.as_bytes(), [0; 32]);
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self::of("token", &[&bytes]))
    }

    /// A token's `jti`. Issuers must not share them (RFC 7519 section 4.1.7), so the issuer is no part of it.
    pub(super) fn of_jti(jti: &str) -> Self {
        Self::of("jti", &[jti.as_bytes()])
    }

    pub(super) fn of_wide(kind: Kind, name: &str, iss: Option<&str>) -> Self {
        match iss {
            Some(iss) => Self::of(kind.as_str(), &[name.as_bytes(), iss.as_bytes()]),
            None => Self::of(kind.as_str(), &[name.as_bytes()]),
        }
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
