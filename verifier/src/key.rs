//! What a denial names, as a digest.

use std::hash::Hasher;

use aws_lc_rs::digest;

use crate::message::Kind;

/// What an entry names: the first 128 bits of a SHA-256. Of a token's they are its digest's; of everything else, of its kind and names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key([u8; 16]);

impl Key {
    pub(crate) fn of_token(token: &str) -> Self {
        Self::of_digest(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
    }

    fn of_digest(digest: &[u8]) -> Self {
        let mut first = [0; 16];
        first.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
        Self(first)
    }

    /// The first half of 64 hexadecimal digits.
    pub(crate) fn of_hex(hex: &str) -> Option<Self> {
        let (digits, mut bytes) = (hex.as_bytes(), [0; 16]);
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// Of names, each with its length so that no two lists of names run together.
    fn of_names(label: &str, names: &[&str]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(label.as_bytes());
        for name in names {
            context.update(&(name.len() as u64).to_le_bytes());
            context.update(name.as_bytes());
        }
        Self::of_digest(context.finish().as_ref())
    }

    /// A token's `jti`. Issuers must not share them (RFC 7519 section 4.1.7), so the issuer is no part of it.
    pub(crate) fn of_jti(jti: &str) -> Self {
        Self::of_names("jti", &[jti])
    }

    pub(crate) fn of_wide(kind: Kind, name: &str, iss: Option<&str>) -> Self {
        match iss {
            Some(iss) => Self::of_names(kind.as_str(), &[name, iss]),
            None => Self::of_names(kind.as_str(), &[name]),
        }
    }

    /// One of so many shards, at most 256.
    pub(crate) fn shard(self, shards: usize) -> usize {
        usize::from(self.0[15]) % shards
    }

    pub(crate) fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Keys are uniformly spread already.
#[derive(Default)]
pub(crate) struct FirstBytes(u64);

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
