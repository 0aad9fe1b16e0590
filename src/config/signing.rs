//! Keys that sign archives, from their entries in the settings.

use revocation_evidence::SigningKey;

use super::Secret;
use crate::seal;

/// The key of an entry of `evidence.signing_key`: `<id>:<base64 of 32 bytes>`.
///
/// # Errors
/// What is wrong with it. Never its value.
pub(crate) fn signing_key(entry: &Secret) -> Result<SigningKey, &'static str> {
    seal::read_entry(entry).and_then(|(id, seed)| SigningKey::new(id, &seed))
}

/// The key that derives from an entry of `sealing.keys`.
pub(super) fn derived(entry: &Secret) -> Result<SigningKey, &'static str> {
    seal::read_entry(entry).and_then(|(id, key)| SigningKey::derived(id, &key))
}
