//! Why a request was refused: a code for machines and a sentence for people. The sentence quotes nothing that
//! came, which may be a credential.

use crate::event::{Refusal, RefusalCode};

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The request is not what the standard asks for: method, content type, form or JSON.
    BadRequest,
    /// The body, or the token, is longer than may be.
    TooLarge,
    /// The sender did not say the `Authorization` that was agreed on.
    Unauthenticated,
    /// The token is no compact JWS that can be read.
    BadToken,
    /// Its `alg` is none of the asymmetric ones, or it asks for what is not known.
    BadAlgorithm,
    /// Its `typ` is another kind of token's.
    BadType,
    /// The sender has no such key.
    UnknownKey,
    /// No key of the sender's made the signature.
    BadSignature,
    /// Another's `iss`.
    ForeignIssuer,
    /// Another's `aud`.
    ForeignAudience,
    /// Its time is over.
    Expired,
    /// Its time has not come, or lies beyond reason.
    NotYet,
    /// A claim is missing, of a wrong type, or forbidden.
    BadClaim,
    /// The subject is named by an email, and nothing says whose that is.
    EmailNotMapped,
    /// The subject is named in a way that leads to no user here.
    UnknownSubject,
    /// The sender may not order this.
    NotAllowed,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 16] = [
        Self::BadRequest,
        Self::TooLarge,
        Self::Unauthenticated,
        Self::BadToken,
        Self::BadAlgorithm,
        Self::BadType,
        Self::UnknownKey,
        Self::BadSignature,
        Self::ForeignIssuer,
        Self::ForeignAudience,
        Self::Expired,
        Self::NotYet,
        Self::BadClaim,
        Self::EmailNotMapped,
        Self::UnknownSubject,
        Self::NotAllowed,
    ];

    /// As it is in the log, in metrics and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::TooLarge => "too_large",
            Self::Unauthenticated => "unauthenticated",
            Self::BadToken => "bad_token",
            Self::BadAlgorithm => "bad_algorithm",
            Self::BadType => "bad_type",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::ForeignIssuer => "foreign_issuer",
            Self::ForeignAudience => "foreign_audience",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::BadClaim => "bad_claim",
            Self::EmailNotMapped => "email_not_mapped",
            Self::UnknownSubject => "unknown_subject",
            Self::NotAllowed => "not_allowed",
        }
    }

    /// The same in the words of refused events.
    fn of_event(self) -> RefusalCode {
        match self {
            Self::BadRequest | Self::BadClaim | Self::EmailNotMapped | Self::UnknownSubject => {
                RefusalCode::InvalidField
            }
            Self::Expired | Self::NotYet => RefusalCode::InvalidField,
            Self::TooLarge => RefusalCode::TooLarge,
            Self::BadType => RefusalCode::UnknownType,
            Self::BadToken | Self::BadAlgorithm | Self::UnknownKey | Self::BadSignature => {
                RefusalCode::BadSignature
            }
            Self::Unauthenticated | Self::ForeignIssuer | Self::ForeignAudience | Self::NotAllowed => {
                RefusalCode::NotAllowed
            }
        }
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The machine word.
    pub code: Code,
    /// The sentence.
    pub why: String,
    /// Whether it is the absence of a claim.
    is_absence: bool,
}

impl Refused {
    /// With its sentence.
    pub fn new(code: Code, why: impl Into<String>) -> Self {
        Self { code, why: why.into(), is_absence: false }
    }

    /// A claim, or a member of one, that is not as it should be.
    pub(super) fn claim(why: impl Into<String>) -> Self {
        Self::new(Code::BadClaim, why)
    }

    /// A claim that must be there and is not.
    pub(super) fn absent(why: impl Into<String>) -> Self {
        Self { is_absence: true, ..Self::claim(why) }
    }

    /// The refusal of an event: the sentence begins with the finer code, after the sender's name where that
    /// is known.
    pub fn of_event(&self, sender: Option<&str>) -> Refusal {
        let code = if self.is_absence { RefusalCode::MissingField } else { self.code.of_event() };
        let by = sender.map(|sender| format!("sender {sender}: ")).unwrap_or_default();
        Refusal::new(code, format!("{by}{}: {}", self.code.as_str(), self.why))
    }
}
