//! What a logout event names: one token, or everything of a session, subject, client or issuer.

mod scope;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use time::OffsetDateTime;
use uuid::Uuid;
use zeroize::Zeroizing;

use revocation_verifier::Claims;
use revocation_verifier::claims::compact_jws;
pub use revocation_verifier::message::{Kind, TokenIssuer, TokenTypeHint};
pub use scope::{PerScope, Scope};

/// A raw access or refresh token.
///
/// It cannot be printed: there is no `Debug`, `Display`, `Serialize` or `Clone`, and the memory is wiped on
/// drop.
pub struct Token(Zeroizing<String>);

impl Token {
    /// Takes ownership of a token as presented after `Authorization: Bearer `.
    pub fn new(raw: String) -> Self {
        Self(Zeroizing::new(raw))
    }

    /// The token itself. Sealing and the provider's request call this: `tests/structure/claims.rs` has the
    /// list.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What it says of itself where it is a JWT; none of it is verified.
    pub fn claims(&self) -> Claims {
        Claims::peek_known(&self.0)
    }

    /// The token's SHA-256, which may be stored and published.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(digest::digest(&digest::SHA256, self.0.as_bytes()))
    }

    /// The same, and that of the signed parts where the token is a compact JWS; both in one pass.
    pub fn fingerprints(&self) -> (Fingerprint, Option<Fingerprint>) {
        let Some(jws) = compact_jws(&self.0) else { return (self.fingerprint(), None) };
        let (signed, signature) = self.0.split_at(jws.signed().len());
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(signed.as_bytes());
        let signed = Fingerprint::of(context.clone().finish());
        context.update(signature.as_bytes());
        (Fingerprint::of(context.finish()), Some(signed))
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// SHA-256 of a token's bytes as presented; displays as 64 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// From the bytes of a digest; `None` if they are not 32.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    fn of(digest: digest::Digest) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = [0; 64];
        for (digits, byte) in hex.as_chunks_mut().0.iter_mut().zip(self.0) {
            *digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        }
        f.pad(std::str::from_utf8(&hex).unwrap_or_default())
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
    /// SHA-256 of its first two parts with the dot between, where it is a compact JWS: no holder can spell
    /// those otherwise.
    pub signed: Option<Fingerprint>,
    /// What the event says it is.
    pub hint: Option<TokenTypeHint>,
    /// The JWT's `jti`, where the token is a JWT.
    pub jti: Option<String>,
    /// Whose `jti` that is; not said where there is none, or where a worker from before put the token on
    /// record.
    pub jti_iss: TokenIssuer,
    /// The JWT's `exp`, where the token is a JWT and this lies within reason (not verified: a forged one is
    /// no valid token).
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
    /// When a verifier may forget the denial: the token's own `exp` where it lies within reason, else receipt
    /// + the provider's `token_ttl`.
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

    /// What a call for this target is for.
    pub fn scope(&self) -> Scope {
        if self.token().is_some() { Scope::Token } else { Scope::Wide }
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

/// What decides what a target means: the names beside these are context. Two targets of one event whose
/// meanings are equal are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Meaning<'a> {
    /// Name of its provider.
    pub provider: &'a str,
    /// Its kind's name.
    pub kind: &'static str,
    /// Of a token, which one.
    pub token: Option<Fingerprint>,
    /// Of a session.
    pub sid: Option<&'a str>,
    /// Of a session or a subject.
    pub sub: Option<&'a str>,
    /// Of a client.
    pub client_id: Option<&'a str>,
    /// Whose names those are; of an issuer, which one.
    pub iss: Option<&'a str>,
}

impl Target {
    /// What decides what it means. A token is that token, whatever is said of it; wide targets differ by
    /// every name that a verifier or the provider goes by.
    pub fn meaning(&self) -> Meaning<'_> {
        let kind = self.selector.kind();
        let of = |kinds: &[Kind], name| if kinds.contains(&kind) { Option::as_deref(name) } else { None };
        Meaning {
            provider: &self.provider,
            kind: kind.as_str(),
            token: self.token().map(|token| token.fingerprint),
            sid: of(&[Kind::Session], &self.sid),
            sub: of(&[Kind::Session, Kind::Subject], &self.sub),
            client_id: of(&[Kind::Client], &self.client_id),
            iss: of(&[Kind::Session, Kind::Subject, Kind::Client, Kind::Issuer], &self.iss),
        }
    }

    /// Takes over what another target with the same meaning says besides. A token that one of them calls a
    /// refresh token is treated as one: it is revoked first, and whoever asks about it gets to hear so.
    pub fn merge(&mut self, other: Self) {
        if let (Selector::Token(ours), Selector::Token(theirs)) = (&mut self.selector, other.selector) {
            ours.hint = if theirs.hint == Some(TokenTypeHint::RefreshToken) {
                theirs.hint
            } else {
                ours.hint.or(theirs.hint)
            };
        }
        self.sub = self.sub.take().or(other.sub);
        self.sid = self.sid.take().or(other.sid);
        self.client_id = self.client_id.take().or(other.client_id);
        self.iss = self.iss.take().or(other.iss);
    }
}

/// A target's identity: the event's row and the target's place in it. Displays as `<event uuid>-<ordinal>`,
/// the `revocation_id` of the audit views.
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

#[cfg(test)]
mod tests;
