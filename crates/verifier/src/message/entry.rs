//! What an invalidation's targets say.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Kind, TokenTypeHint};

/// What to deny. A member that does not apply to the kind is left out; `iss` of a wide entry is null where
/// any issuer is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// One token.
    Token {
        /// Lower-case hex SHA-256 of the token as presented after `Bearer `.
        token_sha256: String,
        /// The same of its two signed parts, where it is a [`CompactJws`](crate::claims::CompactJws).
        #[serde(skip_serializing_if = "Option::is_none", default)]
        signed_sha256: Option<String>,
        /// What the event said it is.
        #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "known_hint")]
        token_type_hint: Option<TokenTypeHint>,
        /// The JWT's `jti`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        jti: Option<String>,
        /// Whose `jti` it is: the JWT's own `iss`.
        #[serde(skip_serializing_if = "TokenIssuer::is_not_said", default)]
        iss: TokenIssuer,
        /// When the entry may be forgotten.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// Tokens with this `sid`.
    Session {
        /// Session.
        sid: String,
        /// Its subject, where known.
        sub: Option<String>,
        /// Issuer; null: any.
        iss: Option<String>,
        /// Tokens issued at or before this moment are denied.
        #[serde(with = "time::serde::rfc3339")]
        not_before: OffsetDateTime,
        /// When the entry may be forgotten.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// Tokens of this `sub`.
    Subject {
        /// Issuer; null: any.
        iss: Option<String>,
        /// Subject.
        sub: String,
        /// Other claims that name the subject in tokens of `iss`, or of `claims_iss` where that is null; in
        /// no others.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        subject_claims: Vec<String>,
        /// Whose tokens `subject_claims` are claims of, where `iss` is null.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        claims_iss: Option<String>,
        /// Tokens issued at or before this moment are denied.
        #[serde(with = "time::serde::rfc3339")]
        not_before: OffsetDateTime,
        /// When the entry may be forgotten.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// Tokens of this client.
    Client {
        /// OAuth client.
        client_id: String,
        /// Issuer; null: any.
        iss: Option<String>,
        /// Other claims that name the client in tokens of `iss`, or of `claims_iss` where that is null; in no
        /// others.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        client_claims: Vec<String>,
        /// Whose tokens `client_claims` are claims of, where `iss` is null.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        claims_iss: Option<String>,
        /// Tokens issued at or before this moment are denied.
        #[serde(with = "time::serde::rfc3339")]
        not_before: OffsetDateTime,
        /// When the entry may be forgotten.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// Every token of this issuer.
    Issuer {
        /// Issuer.
        iss: String,
        /// Tokens issued at or before this moment are denied.
        #[serde(with = "time::serde::rfc3339")]
        not_before: OffsetDateTime,
        /// When the entry may be forgotten.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
}

/// The `iss` of a token that an entry names by its `jti`. Different issuers may give the same `jti`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<String>", into = "Option<String>")]
pub enum TokenIssuer {
    /// Left out, as older workers do: the `jti` counts whoever issued the token.
    #[default]
    NotSaid,
    /// Null: the token names no issuer.
    None,
    /// The token's `iss`.
    Named(String),
}

impl TokenIssuer {
    fn is_not_said(&self) -> bool {
        *self == Self::NotSaid
    }
}

impl From<Option<String>> for TokenIssuer {
    fn from(iss: Option<String>) -> Self {
        iss.map_or(Self::None, Self::Named)
    }
}

impl From<TokenIssuer> for Option<String> {
    fn from(issuer: TokenIssuer) -> Self {
        match issuer {
            TokenIssuer::Named(iss) => Some(iss),
            TokenIssuer::None | TokenIssuer::NotSaid => None,
        }
    }
}

/// A hint that this release does not know must not keep the token from being denied.
fn known_hint<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<TokenTypeHint>, D::Error> {
    let hint = serde_json::Value::deserialize(deserializer)?;
    Ok(hint.as_str().and_then(TokenTypeHint::parse))
}

impl Entry {
    /// The kind that the entry's message is routed by.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Token { .. } => Kind::Token,
            Self::Session { .. } => Kind::Session,
            Self::Subject { .. } => Kind::Subject,
            Self::Client { .. } => Kind::Client,
            Self::Issuer { .. } => Kind::Issuer,
        }
    }
}
