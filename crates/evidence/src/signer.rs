//! Who signs: an Ed25519 key of its own, or one derived from a sealing key.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use super::Hash;

const KEY_LEN: usize = 32;

/// What precedes the key in its SubjectPublicKeyInfo (RFC 8410), the form that OpenSSL reads.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Makes the derived key a different one from any other that may ever be derived from a sealing key.
const PURPOSE: &[u8] = b"revocation-worker evidence signing key 1";

/// A key that signs. It cannot be printed.
pub struct SigningKey {
    id: String,
    pair: Ed25519KeyPair,
}

/// The public half of a [`SigningKey`]. Displays as the base64 of its SubjectPublicKeyInfo.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_LEN]);

/// Who signed, as the manifest says. Whether to believe it is decided by the public key alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// The key's id; `sealing:<id>` where it was derived from that sealing key.
    pub key_id: String,
    /// The key.
    pub public_key: PublicKey,
    /// SHA-256 of the key's SubjectPublicKeyInfo.
    pub fingerprint: Hash,
}

impl SigningKey {
    /// The key of this id and this seed of 32 bytes (RFC 8032).
    ///
    /// # Errors
    /// What is wrong with the seed. Never its value.
    pub fn new(id: impl Into<String>, seed: &[u8]) -> Result<Self, &'static str> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| "has a key that the signature scheme refuses")?;
        Ok(Self { id: id.into(), pair })
    }

    /// The key that belongs to a sealing key: HKDF-SHA-256 of its bytes.
    ///
    /// # Errors
    /// What is wrong with the sealing key. Never its value.
    pub fn derived(id: &str, key: &[u8]) -> Result<Self, &'static str> {
        let mut seed = Zeroizing::new([0; KEY_LEN]);
        let extracted = Salt::new(HKDF_SHA256, &[]).extract(key);
        let filled =
            extracted.expand(&[PURPOSE], HKDF_SHA256).and_then(|expanded| expanded.fill(seed.as_mut_slice()));
        filled.map_err(|_| "has a key that no signing key can be derived from")?;
        Self::new(format!("sealing:{id}"), seed.as_slice())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let mut key = [0; KEY_LEN];
        key.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(key)
    }

    /// How a manifest names it.
    pub fn signer(&self) -> Signer {
        let public_key = self.public();
        Signer { key_id: self.id.clone(), public_key, fingerprint: public_key.fingerprint() }
    }

    /// The signature over these bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl PublicKey {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let spki = STANDARD.decode(text).ok()?;
        spki.strip_prefix(&SPKI)?.try_into().ok().map(Self)
    }

    /// SHA-256 of the key's SubjectPublicKeyInfo.
    pub fn fingerprint(&self) -> Hash {
        Hash::of(&[&SPKI, &self.0])
    }

    /// Whether this key signed these bytes.
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode([SPKI.as_slice(), &self.0].concat()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?)
            .ok_or_else(|| de::Error::custom("a public key is the base64 of an Ed25519 SubjectPublicKeyInfo"))
    }
}
