//! Sealing of tokens at rest: AES-256-GCM-SIV (RFC 8452), bound to the target's row, its provider and the
//! key's id.
//!
//! GCM-SIV because many workers draw random 96-bit nonces under one key: a repeated nonce reveals at most
//! that two tokens are equal.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::Secret;
use crate::target::{TargetId, Token};

/// First byte of every sealed token: the layout `version, nonce, ciphertext and tag`.
const VERSION: u8 = 1;
/// Where the ciphertext starts.
const HEADER_LEN: usize = 1 + NONCE_LEN;
const TAG_LEN: usize = 16;
const KEY_LEN: usize = 32;
const MAX_ID_LEN: usize = 32;

/// Why a key was refused, or a token could not be sealed or opened. No variant holds key material or a token.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SealError {
    /// No key at all.
    #[error("sealing.keys has no entry; run `revocation-worker keygen` and put its output there")]
    NoKey,
    /// An entry is not `<id>:<base64 of 32 bytes>`.
    #[error("sealing.keys: entry {place} {problem}; `revocation-worker keygen` prints a valid one")]
    BadKey {
        /// The entry's place, counted from 1.
        place: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two entries share an id.
    #[error("sealing.keys: entry {place} has the id of entry {first}; give every key an id of its own")]
    DuplicateId {
        /// The later entry's place, counted from 1.
        place: usize,
        /// The earlier entry's place.
        first: usize,
    },
    /// The id for a new key breaks the rule.
    #[error("a key id has 1 to 32 of the characters A-Z a-z 0-9 . _ -")]
    BadId,
    /// The token was sealed under a key that is not configured.
    #[error("cannot open a sealed token: key id {0} is not configured; add it to sealing.keys")]
    UnknownKey(String),
    /// The bytes were changed, or belong to another target, provider or key.
    #[error(
        "cannot open a sealed token: not authentic under key id {0}; the row was altered, or the key behind \
            this id was replaced"
    )]
    NotAuthentic(String),
    /// The bytes are shorter than any sealed token, or of a later layout.
    #[error(
        "cannot open a sealed token under key id {0}: unknown layout; a newer version of this program may \
            have written it"
    )]
    UnknownLayout(String),
    /// The operating system gave no randomness, or the cipher refused.
    #[error("the cryptographic library refused to {0}")]
    Cipher(&'static str),
}

/// The sealing keys: the first seals, all open.
pub struct Keyring {
    sealing: Key,
    older: Vec<Key>,
}

struct Key {
    id: String,
    cipher: RandomizedNonceKey,
}

/// A sealed token as stored.
#[derive(Clone)]
pub struct Sealed {
    /// Id of the key it was sealed under.
    pub key_id: String,
    /// Version byte, nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// What a sealed token belongs to; it opens for nothing else.
#[derive(Clone, Copy)]
pub struct SealContext<'a> {
    /// The target.
    pub id: TargetId,
    /// The provider's name.
    pub provider: &'a str,
}

impl Keyring {
    /// Reads `sealing.keys`: each entry `<id>:<base64 of 32 bytes>`. An error names the entry's place, never
    /// its value.
    pub fn parse(entries: &[Secret]) -> Result<Self, SealError> {
        let mut keys: Vec<Key> = Vec::with_capacity(entries.len());
        for (place, entry) in (1..).zip(entries) {
            let key = Key::parse(entry).map_err(|problem| SealError::BadKey { place, problem })?;
            if let Some(earlier) = keys.iter().position(|other| other.id == key.id) {
                return Err(SealError::DuplicateId { place, first: earlier + 1 });
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let sealing = keys.next().ok_or(SealError::NoKey)?;
        Ok(Self { sealing, older: keys.collect() })
    }

    /// Seals `token` for `context` under the first key.
    pub fn seal(&self, context: &SealContext<'_>, token: &Token) -> Result<Sealed, SealError> {
        let plain = token.expose().as_bytes();
        // Sized once: growing would leave a copy of the token behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEADER_LEN + plain.len() + TAG_LEN));
        bytes.push(VERSION);
        bytes.extend([0; NONCE_LEN]);
        bytes.extend(plain);
        let aad = associated_data(&self.sealing.id, context);
        let sealed = self.sealing.cipher.seal_in_place_separate_tag(Aad::from(aad), &mut bytes[HEADER_LEN..]);
        let (nonce, tag) = sealed.map_err(|_| SealError::Cipher("seal a token"))?;
        bytes[1..HEADER_LEN].copy_from_slice(nonce.as_ref());
        bytes.extend(tag.as_ref());
        Ok(Sealed { key_id: self.sealing.id.clone(), bytes: std::mem::take(&mut *bytes) })
    }

    /// Opens a token that was sealed for `context` under any configured key.
    pub fn open(&self, context: &SealContext<'_>, sealed: &Sealed) -> Result<Token, SealError> {
        let key_id = || sealed.key_id.clone();
        let key = self.key(&sealed.key_id).ok_or_else(|| SealError::UnknownKey(key_id()))?;
        let (nonce, ciphertext) = split(&sealed.bytes).ok_or_else(|| SealError::UnknownLayout(key_id()))?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let aad = associated_data(&key.id, context);
        let opened =
            key.cipher.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut buffer);
        let plain = opened.map_err(|_| SealError::NotAuthentic(key_id()))?;
        // Only tokens are ever sealed, and a token is UTF-8: anything else was not sealed by this code.
        let text = std::str::from_utf8(plain).map_err(|_| SealError::NotAuthentic(key_id()))?;
        Ok(Token::new(text.to_owned()))
    }

    /// Whether a key of this id is configured.
    pub fn has(&self, id: &str) -> bool {
        self.key(id).is_some()
    }

    fn key(&self, id: &str) -> Option<&Key> {
        std::iter::once(&self.sealing).chain(&self.older).find(|key| key.id == id)
    }
}

impl Key {
    fn parse(entry: &Secret) -> Result<Self, &'static str> {
        let (id, key) = read_entry(entry)?;
        let cipher = RandomizedNonceKey::new(&AES_256_GCM_SIV, &key)
            .map_err(|_| "has a key that the cipher refuses")?;
        Ok(Self { id: id.to_owned(), cipher })
    }
}

/// Id and 32 bytes of an entry `<id>:<base64 of 32 bytes>`; the error says what is wrong with it.
pub(crate) fn read_entry(entry: &Secret) -> Result<(&str, Zeroizing<Vec<u8>>), &'static str> {
    let (id, encoded) = entry.expose().split_once(':').ok_or("has no colon between id and key")?;
    if !is_valid_id(id) {
        return Err("has a bad id: 1 to 32 of A-Z a-z 0-9 . _ - are allowed");
    }
    let decoded =
        Zeroizing::new(STANDARD.decode(encoded).map_err(|_| "has a key that is not padded standard base64")?);
    if decoded.len() != KEY_LEN {
        return Err("has a key that is not 32 bytes long");
    }
    Ok((id, decoded))
}

/// A new random entry for `sealing.keys`.
pub fn generate(id: &str) -> Result<Secret, SealError> {
    if !is_valid_id(id) {
        return Err(SealError::BadId);
    }
    let mut key = Zeroizing::new([0; KEY_LEN]);
    rand::fill(key.as_mut_slice()).map_err(|_| SealError::Cipher("make a random key"))?;
    let encoded = Zeroizing::new(STANDARD.encode(key.as_slice()));
    Ok(Secret::new(format!("{id}:{}", encoded.as_str())))
}

fn is_valid_id(id: &str) -> bool {
    (1..=MAX_ID_LEN).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Nonce and ciphertext of sealed bytes in the layout of [`VERSION`].
fn split(bytes: &[u8]) -> Option<([u8; NONCE_LEN], &[u8])> {
    let (version, rest) = bytes.split_first()?;
    let (nonce, ciphertext) = rest.split_first_chunk()?;
    (*version == VERSION).then_some((*nonce, ciphertext))
}

/// Everything a sealed token is bound to. Each part is preceded by its length, so no two contexts give the
/// same bytes.
fn associated_data(key_id: &str, context: &SealContext<'_>) -> Vec<u8> {
    let ordinal = context.id.ordinal.to_be_bytes();
    let parts: [&[u8]; 5] =
        [&[VERSION], key_id.as_bytes(), context.provider.as_bytes(), context.id.event.as_bytes(), &ordinal];
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| size_of::<u64>() + part.len()).sum());
    for part in parts {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part);
    }
    bytes
}

#[cfg(test)]
mod tests;
