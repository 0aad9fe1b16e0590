//! What a logout event names: one token, or everything of a session, subject, client or issuer.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use time::OffsetDateTime;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use revocation_verifier::message::{Kind, TokenTypeHint};

/// A raw access or refresh token.
///
/// It cannot be printed: there is no `Debug`, `Display`, `Serialize` or `Clone`, and the memory is wiped on drop.
pub struct Token(Zeroizing<String>);

impl Token {
    /// Takes ownership of a token as presented after `Authorization: Bearer `.
    pub fn new(raw: String) -> Self {
        Self(Zeroizing::new(raw))
    }

    /// The token itself. Only the sealing code and the provider's request may call this.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The token's SHA-256, which may be stored and published.
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = digest::digest(&digest::SHA256, self.0.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Fingerprint(bytes)
    }
}

/// SHA-256 of a token's bytes as presented; displays as 64 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What to revoke. `Token` carries the material; the others are named by the context in [`Target`].
pub enum Selector {
    /// One token.
    Token(PresentedToken),
    /// The tokens of [`Target::sid`].
    Session,
    /// The tokens of [`Target::sub`].
    Subject,
    /// The tokens of [`Target::client_id`].
    Client,
    /// The tokens of [`Target::iss`].
    Issuer,
}

impl Selector {
    /// The kind of this selector.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Token(_) => Kind::Token,
            Self::Session => Kind::Session,
            Self::Subject => Kind::Subject,
            Self::Client => Kind::Client,
            Self::Issuer => Kind::Issuer,
        }
    }
}

/// A token with what is known about it.
pub struct PresentedToken {
    /// The token.
    pub token: Token,
    /// Its SHA-256.
    pub fingerprint: Fingerprint,
    /// What the event says it is.
    pub hint: Option<TokenTypeHint>,
    /// The JWT's `jti`, where the token is a JWT.
    pub jti: Option<String>,
    /// The JWT's `exp`, where the token is a JWT (not verified: a forged one is no valid token).
    pub expires_at: Option<OffsetDateTime>,
}

/// One thing to revoke at one provider.
pub struct Target {
    /// Name of a configured provider.
    pub provider: Arc<str>,
    /// What to revoke.
    pub selector: Selector,
    /// Subject, where known.
    pub sub: Option<String>,
    /// Session, where known.
    pub sid: Option<String>,
    /// OAuth client, where known.
    pub client_id: Option<String>,
    /// Issuer, where known.
    pub iss: Option<String>,
    /// When a verifier may forget the denial: the token's own `exp`, else receipt + the provider's `token_ttl`.
    pub deny_until: OffsetDateTime,
}

impl Target {
    /// The presented token, for a token target.
    pub fn token(&self) -> Option<&PresentedToken> {
        match &self.selector {
            Selector::Token(token) => Some(token),
            _ => None,
        }
    }

    /// The token's own end of life, where it is known.
    pub fn token_expires_at(&self) -> Option<OffsetDateTime> {
        self.token().and_then(|token| token.expires_at)
    }

    /// Whether this is a refresh token: those are revoked before the access tokens of the same event.
    pub fn is_refresh_token(&self) -> bool {
        self.token().is_some_and(|token| token.hint == Some(TokenTypeHint::RefreshToken))
    }
}

/// A target's identity: the event's row and the target's place in it. Displays as `<event uuid>-<ordinal>`, the `revocation_id` of the audit views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId {
    /// The event's row id (UUID version 7).
    pub event: Uuid,
    /// Zero-based place in the event's `targets`.
    pub ordinal: i16,
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.event, self.ordinal)
    }
}

impl TargetId {
    /// Reads the form that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (event, ordinal) = text.rsplit_once('-')?;
        Some(Self { event: event.parse().ok()?, ordinal: ordinal.parse().ok()? })
    }
}
