//! What a person sees of a text: two names that look the same must be the same, and none may write over what
//! stands around it.

pub mod colour;
pub mod errors;
pub mod names;
pub mod times;

/// "1 message", "2,000 messages".
pub fn count(number: impl TryInto<u64>, what: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {what}"),
        number => format!("{} {what}s", apart(number)),
    }
}

/// A number with its thousands apart.
pub fn apart(number: u64) -> String {
    let digits = number.to_string();
    let mut apart = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

/// Bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is wrong with a name that people read and copy, as the rest of a sentence that begins with the name's
/// place; `None`: it is what it looks like.
pub fn flaw(name: &str) -> Option<String> {
    if let Some(hidden) = name.chars().find(|c| !is_seen(*c)) {
        return Some(format!("has {}, which does not show: remove it", described(hidden)));
    }
    match (name.trim().is_empty(), name.starts_with(' '), name.ends_with(' ')) {
        _ if name.is_empty() => None,
        (true, ..) => Some("is blank: remove it or give it a name".to_owned()),
        (false, true, _) => Some("begins with a blank: remove it".to_owned()),
        (false, _, true) => Some("ends with a blank: remove it".to_owned()),
        _ => None,
    }
}

/// Whether a character shows as itself. Of all blanks only the space does: the others look like it.
pub fn is_seen(c: char) -> bool {
    !is_hidden(c) && (c == ' ' || !c.is_whitespace())
}

/// Whether a character is a control character, one that nothing is drawn for, one that turns the text after
/// it around, or U+FFFD, which stands for one that was lost.
pub fn is_hidden(c: char) -> bool {
    c.is_control() || is_format(c) || is_filler(c) || c == '\u{fffd}'
}

/// General category Cf, and the two separators of lines and paragraphs (Unicode 16).
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff0}'..='\u{fffb}' | '\u{110bd}'
        | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// What else Unicode says is not drawn (Default_Ignorable_Code_Point), and the pattern of Braille without a
/// dot.
fn is_filler(c: char) -> bool {
    matches!(c, '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}')
}

/// A character by its number, and by its name where people know that.
pub fn described(c: char) -> String {
    let name = match c {
        '\0' => " (NUL; a file with many of these is UTF-16: save it as UTF-8)",
        '\t' => " (a tab)",
        '\n' => " (a line feed)",
        '\r' => " (a carriage return)",
        '\u{1b}' => " (escape)",
        '\u{a0}' => " (a no-break space)",
        '\u{200b}' => " (a zero-width space)",
        '\u{feff}' => " (a byte order mark)",
        '\u{fffd}' => " (it stands for a character that was lost)",
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => " (it turns the text around)",
        c if c.is_whitespace() => " (a blank that is no space)",
        _ => "",
    };
    format!("U+{:04X}{name}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let told = [0, 999, 1000, 12_345, 1_234_567].map(apart);
        assert_eq!(told, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn names_are_what_they_look_like() {
        for name in ["", "user-1", "John Smith", "ü", "山田", "a,b;c", "👍", "e\u{301}", "it's \"x\" \\"]
        {
            assert_eq!(flaw(name), None, "{name}");
        }
        let hidden = "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{a0}\u{ad}\u{61c}\u{115f}\
             \u{1680}\u{180e}\u{2003}\u{200b}\u{200d}\u{200f}\u{2028}\u{2029}\
            \u{202e}\u{202f}\u{2060}\u{2066}\u{2800}\u{3000}\u{3164}\u{fe0f}\u{feff}\u{fffd}\u{e0041}";
        for c in hidden.chars() {
            for name in [format!("{c}user"), format!("us{c}er"), format!("user{c}"), c.to_string()] {
                let flaw = flaw(&name).unwrap_or_else(|| panic!("{name:?}"));
                assert!(
                    flaw.starts_with(&format!("has U+{:04X}", u32::from(c))) && flaw.chars().all(is_seen),
                    "{flaw}"
                );
            }
        }
    }

    #[test]
    fn blanks_around_a_name_are_told() {
        for (name, sentence) in [
            (" u", "begins with a blank"),
            ("u ", "ends with a blank"),
            (" u ", "begins with"),
            ("  ", "is blank"),
        ] {
            assert!(flaw(name).is_some_and(|flaw| flaw.starts_with(sentence)), "{name:?}");
        }
    }

    #[test]
    fn a_blank_is_hidden_to_nobody_but_a_copier() {
        assert!(['\u{a0}', '\u{3000}'].into_iter().all(|c| !is_seen(c) && !is_hidden(c)));
    }
}
