//! Hashes of lines, each over the one before it: a line that was changed, removed, added or moved changes
//! every later hash.

use std::fmt;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Lines between two checkpoints: so closely is a change found.
pub(super) const STRIDE: u64 = 1000;

/// A SHA-256. Displays as 64 lower-case hex digits, and is read from nothing else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Of these bytes, one part after the other.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        parts.iter().for_each(|part| context.update(part));
        context.finish().into()
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut hash = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != hash.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(hash))
    }
}

impl From<Digest> for Hash {
    fn from(digest: Digest) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.as_ref());
        Self(hash)
    }
}

impl From<Hash> for [u8; 32] {
    fn from(Hash(bytes): Hash) -> Self {
        bytes
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?)
            .ok_or_else(|| de::Error::custom("a SHA-256 has 64 lower-case hex digits"))
    }
}

/// A member's bytes as they pass: counted, hashed, and chained line by line.
pub(super) struct Pass {
    bytes: u64,
    content: Context,
    head: Hash,
    /// The line that has not ended yet.
    line: Context,
    is_line_open: bool,
    rows: u64,
    checkpoints: Vec<Hash>,
}

/// What a [`Pass`] has seen.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) sha256: Hash,
    pub(super) head: Hash,
    pub(super) checkpoints: Vec<Hash>,
}

impl Pass {
    /// `previous`: the head of the member before this one, which makes the whole archive one chain.
    pub(super) fn new(previous: Option<Hash>, name: &str) -> Self {
        let previous = previous.as_ref().map_or(&[][..], AsRef::as_ref);
        Self {
            bytes: 0,
            content: Context::new(&SHA256),
            head: Hash::of(&[previous, name.as_bytes()]),
            line: Context::new(&SHA256),
            is_line_open: false,
            rows: 0,
            checkpoints: Vec::new(),
        }
    }

    /// The next bytes, cut anywhere.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.content.update(bytes);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = part.strip_suffix(b"\n");
            self.line.update(line.unwrap_or(part));
            self.is_line_open = line.is_none();
            if line.is_some() {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::replace(&mut self.line, Context::new(&SHA256)).finish();
        self.head = Hash::of(&[self.head.as_ref(), line.as_ref()]);
        self.rows += 1;
        if self.rows.is_multiple_of(STRIDE) {
            self.checkpoints.push(self.head);
        }
    }

    /// A last line without its line feed counts as a line.
    pub(super) fn finish(mut self) -> Seen {
        if self.is_line_open {
            self.end_line();
        }
        let Self { bytes, content, head, rows, checkpoints, .. } = self;
        Seen { bytes, rows, sha256: content.finish().into(), head, checkpoints }
    }
}
