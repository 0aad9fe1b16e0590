//! What is kept of a provider's own text: words. Whatever encoding it repeats a secret in, the outcome looks
//! like none, so that no encoding has to be known.

use std::net::{IpAddr, SocketAddr};

use super::REDACTED;

/// Most words of a text that are none, those that are left out and those that look like codes: of one with
/// more, what is left could be something in pieces.
const MOST_ODD: usize = 2;
/// So many words of one length in a row are something in groups.
const GROUPS: usize = 5;
/// Longest word, where words have blanks between them.
const LONGEST_WORD: usize = 24;
/// Most letters before the digits of a code such as `AADSTS7000215`, and most of these.
const CODE: [usize; 2] = [8, 8];
/// Words of great letters that are no codes.
const ACRONYMS: &str = "\
    API CSRF GET HTTP HTTPS ID IP JSON JWK JWKS JWS JWT MFA OIDC POST SAML SSL SSO TLS URI URL UUID XML";
/// Most digits of a number by itself.
const NUMBER: usize = 5;
/// What stands around words.
const AROUND: &str = ".,;:!?()[]{}<>\"'`*“”‘’«»，。：；！？（）、";
/// What stands between the words of a compound.
const WITHIN: &str = "-_/.:,#='’，。：；（）、";

/// What a word is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Look {
    Word,
    /// A number, a word with one behind it, a word of great letters.
    Code,
    Odd,
}

/// The beginning of `text`, whose words have one blank between them, without what is no word; at most a word
/// more than `most` characters.
pub(in crate::provider) fn words(text: &str, most: usize) -> String {
    let mut kept = Kept::default();
    let mut length = 0;
    let shown = text.split(' ').take_while(|word| {
        let begins = length <= most;
        length += word.chars().count() + 1;
        begins
    });
    let words: Vec<_> = shown.map(|word| kept.word(word)).collect();
    if kept.is_too_odd() { REDACTED.to_owned() } else { words.join(" ") }
}

/// A URL without a query likewise, and without a user's name.
pub(in crate::provider) fn url(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |colon| colon + 3));
    let begins = if scheme.is_empty() { 0 } else { rest.find('/').unwrap_or(rest.len()) };
    let (host, path) = rest.split_at(begins);
    let host = host.rsplit('@').next().unwrap_or_default();
    let mut kept = Kept::default();
    let segments: Vec<_> = path.split('/').map(|segment| kept.word(segment)).collect();
    let path = if kept.is_too_odd() { format!("/{REDACTED}") } else { segments.join("/") };
    format!("{scheme}{}{path}", if is_host(host) { host } else { REDACTED })
}

fn is_host(host: &str) -> bool {
    let looks = || host.split(['.', '-', ':']).filter(|label| !label.is_empty()).map(part);
    let codes = looks().filter(|look| *look == Look::Code).count();
    host.parse::<SocketAddr>().is_ok()
        || host.parse::<IpAddr>().is_ok()
        || (codes <= MOST_ODD && looks().all(|look| look != Look::Odd))
}

/// Whether it is one word, or several with a mark between, perhaps with a number behind.
pub(in crate::provider) fn is_code(word: &str) -> bool {
    look(word) != Look::Odd
}

#[derive(Default)]
struct Kept {
    odd: usize,
    /// Of the last words, which all have one length, that length and their number.
    last: (usize, usize),
    has_groups: bool,
}

impl Kept {
    fn word<'a>(&mut self, word: &'a str) -> &'a str {
        let inner = word.trim_matches(|c| AROUND.contains(c));
        let (look, length) = (look(inner), inner.chars().count());
        self.last = if self.last.0 == length { (length, self.last.1 + 1) } else { (length, 1) };
        self.has_groups |= self.last.1 >= GROUPS;
        let is_odd = look == Look::Odd || word.contains(REDACTED);
        self.odd += usize::from(is_odd || look == Look::Code);
        if is_odd { REDACTED } else { word }
    }

    fn is_too_odd(&self) -> bool {
        self.odd > MOST_ODD || self.has_groups
    }
}

/// The oddest part's.
fn look(word: &str) -> Look {
    let parts = || word.split(|c| WITHIN.contains(c)).filter(|part| !part.is_empty());
    let count = |is_meant: fn(&&str) -> bool| parts().filter(is_meant).count();
    // `user's` has a single letter and `SEC-1001` a number; but many of them spell something.
    let singles = count(|part| part.chars().nth(1).is_none());
    let numbers = count(|part| part.ends_with(|c: char| c.is_ascii_digit()));
    let look = parts().map(part).max().unwrap_or(Look::Word);
    if singles > 1 || numbers > 1 { Look::Odd } else { look }
}

fn part(part: &str) -> Look {
    let letters = part.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = part.len() - letters.len();
    let [most_letters, most_digits] = CODE;
    match (letters.chars().count(), digits) {
        (0, ..=NUMBER) => Look::Code,
        (2.., 0) if is_shouted(letters) => Look::Code,
        (_, 0) if is_word(letters) => Look::Word,
        (count, 1..) if (1..=most_letters).contains(&count) && digits <= most_digits && is_word(letters) => {
            Look::Code
        }
        _ => Look::Odd,
    }
}

fn is_shouted(letters: &str) -> bool {
    is_word(letters)
        && letters.chars().all(char::is_uppercase)
        && !ACRONYMS.split(' ').any(|acronym| acronym == letters)
}

/// Letters of a language, small or great as a writer has them.
fn is_word(letters: &str) -> bool {
    // Kana, ideographs and Hangul need no blanks.
    let has_blanks = letters.chars().any(|c| c < '\u{3040}');
    let count = letters.chars().count();
    let case = |c: char| c.is_uppercase();
    let changes = letters.chars().zip(letters.chars().skip(1)).filter(|(a, b)| case(*a) != case(*b)).count();
    let changes = changes - usize::from(changes > 0 && letters.starts_with(case));
    letters.chars().all(is_letter) && (count <= LONGEST_WORD || !has_blanks) && 7 * changes <= 2 * count
}

/// None of those that only look like others: wide, bold, circled.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic()
        || (c.is_alphabetic() && matches!(c, '\u{c0}'..='\u{1fff}' | '\u{3040}'..='\u{d7a3}'))
}

#[cfg(test)]
mod tests;
