//! From a target to its entry in a message: the only place that knows which members each kind has.

use revocation_verifier::message::{Entry, TokenIssuer};
use time::OffsetDateTime;

use crate::target::{Fingerprint, Kind, Target, TokenTypeHint};

/// What names a target to verifiers, whether it was read from an event or from the record.
pub struct Named {
    /// Its kind.
    pub kind: Kind,
    /// What names a token; absent for wide targets.
    pub token: Option<TokenNames>,
    /// Subject.
    pub sub: Option<String>,
    /// Session.
    pub sid: Option<String>,
    /// Client.
    pub client_id: Option<String>,
    /// Issuer.
    pub iss: Option<String>,
    /// Cutoff of a wide target.
    pub not_before: OffsetDateTime,
    /// When the entry may be forgotten.
    pub expires_at: OffsetDateTime,
}

/// What names a token, which itself is in no message.
pub struct TokenNames {
    /// SHA-256 of its bytes.
    pub sha256: Fingerprint,
    /// SHA-256 of its signed parts, where it is a compact JWS.
    pub signed: Option<Fingerprint>,
    /// What its presenter called it.
    pub hint: Option<TokenTypeHint>,
    /// JWT id.
    pub jti: Option<String>,
    /// The issuer beside the JWT id.
    pub jti_iss: TokenIssuer,
}

impl Named {
    /// The names of an event's target.
    pub fn of(target: &Target, not_before: OffsetDateTime) -> Self {
        let token = target.token().map(|token| TokenNames {
            sha256: token.fingerprint,
            signed: token.signed,
            hint: token.hint,
            jti: token.jti.clone(),
            jti_iss: token.jti_iss.clone(),
        });
        Self {
            kind: target.selector.kind(),
            token,
            sub: target.sub.clone(),
            sid: target.sid.clone(),
            client_id: target.client_id.clone(),
            iss: target.iss.clone(),
            not_before,
            expires_at: target.deny_until,
        }
    }

    /// The entry, without the claim names that [`Composer`](super::Composer) adds; `None` for a target that
    /// lacks the member naming it, which parsing does not let through.
    pub fn entry(self) -> Option<Entry> {
        let Self { kind, token, sub, sid, client_id, iss, not_before, expires_at } = self;
        Some(match kind {
            Kind::Token => {
                let TokenNames { sha256, signed, hint, jti, jti_iss } = token?;
                Entry::Token {
                    token_sha256: sha256.to_string(),
                    signed_sha256: signed.map(|signed| signed.to_string()),
                    token_type_hint: hint,
                    jti,
                    iss: jti_iss,
                    expires_at,
                }
            }
            Kind::Session => Entry::Session { sid: sid?, sub, iss, not_before, expires_at },
            Kind::Subject => {
                let (subject_claims, claims_iss) = (Vec::new(), None);
                Entry::Subject { iss, sub: sub?, subject_claims, claims_iss, not_before, expires_at }
            }
            Kind::Client => {
                let (client_id, client_claims, claims_iss) = (client_id?, Vec::new(), None);
                Entry::Client { client_id, iss, client_claims, claims_iss, not_before, expires_at }
            }
            Kind::Issuer => Entry::Issuer { iss: iss?, not_before, expires_at },
        })
    }
}

/// Bytes of an entry's texts of any length.
pub(super) fn texts(entry: &Entry) -> usize {
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    match entry {
        Entry::Token { jti, iss: TokenIssuer::Named(iss), .. } => optional(jti) + iss.len(),
        Entry::Token { jti, .. } => optional(jti),
        Entry::Session { sid, sub, iss, .. } => sid.len() + optional(sub) + optional(iss),
        Entry::Subject { sub, iss, .. } => sub.len() + optional(iss),
        Entry::Client { client_id, iss, .. } => client_id.len() + optional(iss),
        Entry::Issuer { iss, .. } => iss.len(),
    }
}
