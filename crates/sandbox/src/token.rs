//! A token of one of the sandbox's users.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A raw token. No `Debug` and no `Display`: tests check that it is printed nowhere.
pub struct Token(Zeroizing<String>);

impl Token {
    /// A token as presented after `Authorization: Bearer `.
    pub fn new(raw: String) -> Self {
        Self(Zeroizing::new(raw))
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the token's bytes, as 64 lower-case hex digits.
    pub fn fingerprint(&self) -> String {
        Sha256::digest(self.0.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
