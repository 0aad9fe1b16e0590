//! Why an event was refused: a code for machines and a sentence for people.

use std::fmt;

/// How much of a publisher's word a refusal repeats.
const QUOTED_CHARS: usize = 64;

/// Why an event was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// Not JSON, not UTF-8, or not an object.
    NotJson,
    /// Larger than `max_message_bytes`.
    TooLarge,
    /// Nested deeper than the parser goes.
    TooDeep,
    /// A `type` or `specversion` or content type that this worker does not know.
    UnknownType,
    /// A required member is absent.
    MissingField,
    /// A known member with a wrong type or value.
    InvalidField,
    /// No configured provider fits.
    UnknownProvider,
    /// More than `max_targets`.
    TooManyTargets,
    /// The publisher may not order this.
    NotAllowed,
    /// A signed input whose signature does not verify, or cannot be.
    BadSignature,
}

impl RefusalCode {
    /// Every code, in the order of the contract.
    pub const ALL: [Self; 10] = [
        Self::NotJson,
        Self::TooLarge,
        Self::TooDeep,
        Self::UnknownType,
        Self::MissingField,
        Self::InvalidField,
        Self::UnknownProvider,
        Self::TooManyTargets,
        Self::NotAllowed,
        Self::BadSignature,
    ];

    /// The value of header `x-refused-code` and of `audit.rejected_events.code`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
            Self::UnknownType => "unknown_type",
            Self::MissingField => "missing_field",
            Self::InvalidField => "invalid_field",
            Self::UnknownProvider => "unknown_provider",
            Self::TooManyTargets => "too_many_targets",
            Self::NotAllowed => "not_allowed",
            Self::BadSignature => "bad_signature",
        }
    }

    /// The code named `value`.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == value)
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal: goes to `revocation.dead` as headers and to `audit.rejected_events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The machine word.
    pub code: RefusalCode,
    /// A sentence that names the member (`data.targets[3].token_type_hint`) and quotes no value that may hold
    /// a credential.
    pub detail: String,
    /// The event's `source`, where it could be read.
    pub event_source: Option<String>,
    /// The event's `id`, where it could be read.
    pub event_id: Option<String>,
}

impl Refusal {
    /// A refusal of an event whose identity is not known (yet).
    pub fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), event_source: None, event_id: None }
    }

    /// The same refusal with what could be read of the event's identity.
    #[must_use]
    pub fn of_event(self, event_source: Option<String>, event_id: Option<String>) -> Self {
        Self { event_source, event_id, ..self }
    }
}

/// Writes `<code>: <detail>`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Refusal {}

/// A publisher's word inside a sentence: in quotes, unprintable characters escaped, cut at 64 characters.
/// Only for words that name something (a type, a provider, a broker user), never for a member that may hold a
/// credential.
pub(crate) fn quoted(word: &str) -> String {
    let shown: String = word.chars().take(QUOTED_CHARS).flat_map(char::escape_debug).collect();
    let cut = if word.chars().nth(QUOTED_CHARS).is_some() { "…" } else { "" };
    format!("\"{shown}{cut}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_contracts_names_both_ways() {
        let contract = "not_json too_large too_deep unknown_type missing_field invalid_field \
            unknown_provider \
                        too_many_targets not_allowed bad_signature";
        assert_eq!(RefusalCode::ALL.map(RefusalCode::as_str).join(" "), contract);
        assert!(RefusalCode::ALL.into_iter().all(|code| RefusalCode::parse(code.as_str()) == Some(code)));
        assert_eq!(RefusalCode::parse("Not_Json"), None);
    }

    #[test]
    fn displays_code_and_sentence() {
        assert_eq!(
            Refusal::new(RefusalCode::TooDeep, "the body is deep").to_string(),
            "too_deep: the body is deep"
        );
    }

    #[test]
    fn quoted_words_cannot_forge_a_log_line() {
        assert_eq!(quoted("a\r\n\u{1b}[31m\0\"b"), r#""a\r\n\u{1b}[31m\0\"b""#);
        assert_eq!(quoted("\u{202e}"), r#""\u{202e}""#);
    }

    #[test]
    fn quoted_words_are_cut_at_64_characters() {
        assert_eq!(quoted(&"é".repeat(64)), format!("\"{}\"", "é".repeat(64)));
        assert_eq!(quoted(&"é".repeat(65)), format!("\"{}…\"", "é".repeat(64)));
    }
}
