//! Text from outside made fit for error texts: no control characters, no secrets, no long opaque words,
//! bounded.

pub(super) mod prose;

use url::form_urlencoded::byte_serialize;

use super::normal::tells;
use crate::outcome::LONGEST_ERROR;

/// A word of at least this many characters that mixes letters and digits may be (part of) a credential.
const OPAQUE_WORD_CHARS: usize = 24;
/// Most characters of foreign text that are looked at: far more than are shown, and few enough to be searched
/// for every spelling of a token.
const MAX_SCRUBBED_CHARS: usize = 2000;
/// What stands in place of text that is left out.
pub(super) const REDACTED: &str = "[redacted]";

/// Foreign text without `secrets`, however the provider encoded them, and without anything else that looks
/// like a credential.
pub(super) fn scrub(text: &str, secrets: &[&str]) -> String {
    let mut needles: Vec<String> =
        secrets.iter().flat_map(|secret| forms(secret)).filter(|form| !form.is_empty()).collect();
    // Longest first: a short secret inside a longer one must not keep the longer one from being found.
    needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    let text = needles
        .iter()
        .fold(printable(&shorten(text, MAX_SCRUBBED_CHARS)), |text, needle| text.replace(needle, REDACTED));
    let text = mask_opaque(&text);
    // In pieces or in an encoding of which only the pieces are known: none of the text is kept, because what
    // is left would tell of the rest.
    if tells(&text, secrets) { REDACTED.to_owned() } else { text }
}

/// The text with each run of white space, control or invisible formatting characters as one space.
pub(super) fn printable(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control() || is_format(c))
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The error text, cut to 240 characters.
pub(super) fn limit(text: &str) -> String {
    shorten(text, LONGEST_ERROR)
}

/// The text cut to `most` characters; the last one is an ellipsis where something was cut.
pub(super) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

fn forms(secret: &str) -> [String; 4] {
    let form: String = byte_serialize(secret.as_bytes()).collect();
    let percent = form.replace('+', "%20");
    let json = serde_json::Value::from(secret).to_string();
    [secret.to_owned(), form, percent, json.trim_matches('"').to_owned()]
}

// Bidirectional and zero-width characters can make a log line read as something else.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '+' | '/' | '=' | '%')
}

fn mask_opaque(text: &str) -> String {
    text.split_inclusive(|c| !is_token_char(c)).map(mask_word).collect()
}

fn mask_word(piece: &str) -> String {
    let word = piece.trim_end_matches(|c| !is_token_char(c));
    let has = |class: fn(&u8) -> bool| word.as_bytes().iter().any(class);
    if word.len() >= OPAQUE_WORD_CHARS && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic) {
        return piece.replacen(word, REDACTED, 1);
    }
    piece.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_in_every_encoding() {
        for echoed in ["t/1 x+y", "t%2F1+x%2By", "t%2F1%20x%2By"] {
            let text = scrub(&format!("bad token <{echoed}>, sorry"), &["t/1 x+y"]);
            assert_eq!(text, "bad token <[redacted]>, sorry");
        }
    }

    #[test]
    fn a_secret_in_json_goes_too() {
        assert_eq!(scrub(r#"bad body {"key":"a\"b"}"#, &[r#"a"b"#]), r#"bad body {"key":"[redacted]"}"#);
    }

    #[test]
    fn a_secret_inside_another_does_not_shield_it() {
        assert_eq!(scrub("saw xxabcyy", &["abc", "xxabcyy"]), "saw [redacted]");
    }

    #[test]
    fn an_empty_secret_changes_nothing() {
        assert_eq!(scrub("plain words", &[""]), "plain words");
    }

    #[test]
    fn part_of_a_token_is_masked_and_plain_words_stay() {
        let text = scrub("unsupported_token_type: eyJhbGciOiJIUzI1NiJ9.eyJzdWIi (cut)", &[]);
        assert_eq!(text, "unsupported_token_type: [redacted] (cut)");
    }

    #[test]
    fn control_and_invisible_characters_go() {
        assert_eq!(printable("a\r\nb\u{0}\u{1b}[31mc\u{202e}d"), "a b [31mc d");
    }

    #[test]
    fn long_text_ends_in_an_ellipsis_at_the_limit() {
        let text = limit(&"é".repeat(500));
        assert_eq!(text.chars().count(), LONGEST_ERROR);
        assert!(text.ends_with('…'));
    }
}
