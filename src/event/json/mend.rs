//! JSON that its grammar allows (RFC 8259) and that no type of ours can hold: half a surrogate pair, as
//! Python writes a cut-off emoji, and numbers beyond a double. An application sends them in members that say
//! nothing here, such as a display name.

use zeroize::Zeroizing;

/// `text` with a stand-in for each of them that no member with a meaning takes: U+0000 in a text, a fraction
/// for a number. `None`: it has none, or is no JSON to begin with.
pub(super) fn mended(text: &str) -> Option<Zeroizing<String>> {
    let mut mended = Zeroizing::new(String::with_capacity(text.len() + 8));
    let (mut rest, mut is_changed) = (text, false);
    while let Some(first) = rest.chars().next() {
        let (length, stand_in) = match first {
            '"' => string(rest, &mut mended)?,
            '-' | '0'..='9' => number(rest),
            _ => (first.len_utf8(), None),
        };
        if first != '"' {
            mended.push_str(stand_in.unwrap_or(&rest[..length]));
        }
        is_changed |= stand_in.is_some();
        rest = &rest[length..];
    }
    is_changed.then_some(mended)
}

/// Bytes of the string that `text` begins with, which goes to `out`; and whether anything stands in for what
/// was there. `None`: it has no end.
fn string(text: &str, out: &mut String) -> Option<(usize, Option<&'static str>)> {
    const LOST: &str = "\\u0000";
    let (mut at, mut lost) = (1, None);
    out.push('"');
    loop {
        let rest = text.get(at..)?;
        let run = rest.find(['"', '\\'])?;
        out.push_str(&rest[..run]);
        let rest = &rest[run..];
        at += run;
        if rest.starts_with('"') {
            out.push('"');
            return Some((at + 1, lost));
        }
        let length = match (unit(rest), rest.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push_str(LOST);
                (at, lost) = (at + 6, Some(LOST));
                continue;
            }
            (Some(_), _) => 6,
            (None, _) => 1 + rest[1..].chars().next()?.len_utf8(),
        };
        out.push_str(rest.get(..length)?);
        at += length;
    }
}

/// The UTF-16 code unit of an escape `\uHHHH` that `text` begins with.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

/// Bytes of the number that `text` begins with, and a stand-in where it is beyond a double.
fn number(text: &str) -> (usize, Option<&'static str>) {
    let is_digit = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    let length = text.find(|c| !is_digit(c)).unwrap_or(text.len());
    let is_beyond = text[..length].parse::<f64>().is_ok_and(f64::is_infinite);
    (length, is_beyond.then_some("0.5"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        mended(text).map(|text| text.to_string())
    }

    #[test]
    fn what_no_type_holds_has_a_stand_in() {
        for (text, expected) in [
            (r#"{"n":"J\ud83d"}"#, r#"{"n":"J\u0000"}"#),
            (r#"{"n":"\udc00\ud83d\ude00\ud83dx"}"#, r#"{"n":"\u0000\ud83d\ude00\u0000x"}"#),
            (r#"["a\\\ud83d\"",1e400,-1E+999,"1e400"]"#, r#"["a\\\u0000\"",0.5,0.5,"1e400"]"#),
        ] {
            assert_eq!(of(text).as_deref(), Some(expected));
        }
        let long = format!("[{}]", "9".repeat(400));
        assert_eq!(of(&long).as_deref(), Some("[0.5]"));
    }

    #[test]
    fn what_can_be_held_or_is_no_json_stays() {
        for text in
            [r#"{"n":"\ud83d\ude00 é\\ud83d","i":1e300}"#, "{", "\"", "\"\\", "\"\\ud8", "", "\"a\\ué\""]
        {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
