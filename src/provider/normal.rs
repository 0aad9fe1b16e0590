//! Whether a text tells of a secret, however it spells it: decoded until nothing is left to decode, and
//! without what stands between the characters.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Characters of a secret in a row that must not be read anywhere.
const PIECE: usize = 8;
/// Of two different pieces, so many characters each must not.
const SMALL_PIECE: usize = 5;
/// Secrets of fewer characters are words: they are taken out where they stand as they are, and not looked for
/// otherwise.
const SHORTEST: usize = 4;
/// How often a text is decoded: encodings lie within each other.
const ROUNDS: usize = 6;

/// The names of ASCII's characters in HTML, the character behind each.
const NAMES: [&str; 3] = [
    r#"excl! quot" QUOT" num# dollar$ percnt% amp& AMP& apos' lpar( rpar) ast* midast* plus+ comma, period."#,
    r#"sol/ colon: semi; lt< LT< equals= gt> GT> quest? commat@ lsqb[ lbrack[ bsol\ rsqb] rbrack] Hat^"#,
    r#"lowbar_ UnderBar_ grave` lcub{ lbrace{ verbar| rcub} rbrace} hyphen-"#,
];
/// Those of its blanks.
const BLANKS: [&str; 3] = ["Tab", "NewLine", "nbsp"];

/// Whether `text` holds a secret, eight characters of one in a row, or twice five, in any spelling.
pub(super) fn tells(text: &str, secrets: &[&str]) -> bool {
    let long = |needle: &String| needle.len() >= SHORTEST;
    let words: Vec<String> = secrets.iter().flat_map(|secret| words(secret)).filter(long).collect();
    let numbers: Vec<String> = secrets.iter().flat_map(|secret| numbers(secret)).filter(long).collect();
    !words.is_empty()
        && readings(text).iter().any(|reading| {
            holds_any(reading, &words) || holds_any(reading, &numbers) || holds_small_pieces(reading, &words)
        })
}

/// Whether `word` is a part of a secret.
pub(super) fn is_part(word: &str, secrets: &[&str]) -> bool {
    let word = plain(word);
    word.len() >= SHORTEST
        && secrets.iter().flat_map(|secret| spellings(secret)).any(|spelling| spelling.contains(&word))
}

fn holds_any(reading: &str, needles: &[String]) -> bool {
    let pieces: HashSet<&[u8]> = reading.as_bytes().windows(PIECE).collect();
    needles.iter().any(|needle| match needle.len() {
        ..PIECE => reading.contains(needle.as_str()),
        _ => needle.as_bytes().windows(PIECE).any(|piece| pieces.contains(piece)),
    })
}

/// Of numbers, five digits in a row are too often the same by chance; so this is for words alone.
fn holds_small_pieces(reading: &str, words: &[String]) -> bool {
    let pieces: HashSet<&[u8]> = reading.as_bytes().windows(SMALL_PIECE).collect();
    words.iter().any(|word| {
        let (mut at, mut found) = (0, HashSet::new());
        while let Some(piece) = word.as_bytes().get(at..at + SMALL_PIECE) {
            let is_found = pieces.contains(piece);
            at += if is_found { SMALL_PIECE } else { 1 };
            if is_found && found.insert(piece) && found.len() == 2 {
                return true;
            }
        }
        false
    })
}

fn spellings(secret: &str) -> Vec<String> {
    let mut spellings = words(secret);
    spellings.extend(numbers(secret));
    spellings
}

/// A secret as a normal text may have it: as it is, decoded, and in base64 at each of its three offsets.
fn words(secret: &str) -> Vec<String> {
    let encoded = (0..3).map(|offset| {
        let shifted = [&b"\0\0\0"[..offset], secret.as_bytes()].concat();
        // The first and last characters of base64 hold bits of what stands before and after.
        let encoded = STANDARD_NO_PAD.encode(shifted);
        plain(encoded.get((offset * 8).div_ceil(6)..encoded.len().saturating_sub(1)).unwrap_or_default())
    });
    readings(secret).into_iter().chain(encoded).collect()
}

/// A secret in hexadecimal and as a list of bytes.
fn numbers(secret: &str) -> [String; 2] {
    let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let list = secret.bytes().map(|byte| byte.to_string()).collect();
    [hex, list]
}

/// The ways to read a text: after each round of decoding, with and without tags, and as quoted-printable.
fn readings(text: &str) -> Vec<String> {
    let mut decoded = text.to_owned();
    let mut readings = vec![plain(text), plain(&coded(text, '=', 2)), plain(text).replace("0x", "")];
    for _ in 0..ROUNDS {
        readings.push(plain(&without_tags(&decoded)));
        let next = decode(&decoded);
        if next == decoded {
            break;
        }
        readings.push(plain(&next));
        decoded = next;
    }
    readings
}

/// Letters and digits of ASCII alone, small; wide forms count as the characters that they show.
fn plain(text: &str) -> String {
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    };
    text.chars().map(narrow).filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// One round of everything that may be decoded.
fn decode(text: &str) -> String {
    let text = escapes(&entities(text));
    // JavaScript's escape() writes four digits.
    let text = replace(&text, '%', |rest| hex(rest.strip_prefix(['u', 'U'])?, 4).map(|c| (c, 5)));
    coded(&text, '%', 2)
}

/// With the entities of HTML decoded, the last semicolon of which may be missing.
pub(super) fn entities(text: &str) -> String {
    replace(text, '&', |rest| match rest.strip_prefix('#') {
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(hex) => number_of(hex, 16).map(|(c, length)| (c, length + 2)),
            None => number_of(number, 10).map(|(c, length)| (c, length + 1)),
        },
        None => {
            let (name, _) = rest.split_once(';')?;
            let named = |word: &&str| word.strip_prefix(name).is_some_and(|c| c.len() == 1);
            let word = NAMES.iter().flat_map(|words| words.split(' ')).find(named);
            let blank = || BLANKS.contains(&name).then_some(' ');
            Some((word.and_then(|word| word.chars().last()).or_else(blank)?, name.len() + 1))
        }
    })
}

/// With `\u002B`, `\u{2b}`, `\U0000002B`, `\x2B`, `\053` and `\/` decoded.
fn escapes(text: &str) -> String {
    replace(text, '\\', |rest| {
        let braced = rest.strip_prefix("u{").and_then(|digits| number_of(digits.split_once('}')?.0, 16));
        let braced = braced.map(|(c, length)| (c, length + 3));
        let fixed = |mark: char, digits: usize| {
            hex(rest.strip_prefix([mark, mark.to_ascii_uppercase()])?, digits).map(|c| (c, digits + 1))
        };
        let long = || hex(rest.strip_prefix('U')?, 8).map(|c| (c, 9));
        let octal = || {
            rest.get(..3)
                .and_then(|digits| u32::from_str_radix(digits, 8).ok())
                .and_then(char::from_u32)
                .map(|c| (c, 3))
        };
        braced
            .or_else(long)
            .or_else(|| fixed('u', 4))
            .or_else(|| fixed('x', 2))
            .or_else(octal)
            .or_else(|| rest.strip_prefix('/').map(|_| ('/', 1)))
    })
}

/// With `digits` hexadecimal digits after each `mark` decoded. Of other characters than ASCII's no secret is
/// made, so bytes count as characters.
fn coded(text: &str, mark: char, digits: usize) -> String {
    replace(text, mark, |rest| hex(rest, digits).map(|c| (c, digits)))
}

fn hex(text: &str, digits: usize) -> Option<char> {
    let digits = text.get(..digits)?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32))?
}

/// The character of the number at the beginning, and the length of the number with the semicolon behind it.
fn number_of(text: &str, radix: u32) -> Option<(char, usize)> {
    let end = text.find(|c: char| !c.is_digit(radix)).unwrap_or(text.len());
    let c = u32::from_str_radix(&text[..end], radix).ok().and_then(char::from_u32)?;
    Some((c, end + usize::from(text[end..].starts_with(';'))))
}

/// The text with what follows each `mark`, and the mark itself, replaced as `meaning` says: by a character,
/// in place of so many bytes.
fn replace(text: &str, mark: char, meaning: impl Fn(&str) -> Option<(char, usize)>) -> String {
    let mut pieces = text.split(mark);
    let mut replaced = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match meaning(piece) {
            Some((c, length)) => {
                replaced.push(c);
                replaced.push_str(piece.get(length..).unwrap_or_default());
            }
            None => {
                replaced.push(mark);
                replaced.push_str(piece);
            }
        }
    }
    replaced
}

fn without_tags(text: &str) -> String {
    let mut pieces = text.split('<');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once('>').map_or(piece, |(_, behind)| behind))
}

#[cfg(test)]
mod tests;
