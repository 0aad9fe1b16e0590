//! Names, and other words of people and servers, in what a person reads or pastes.

use super::{is_hidden, is_seen};

/// A value as people read it; a dash, where there is none.
pub fn or_dash(value: &Option<impl std::fmt::Display>) -> String {
    value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// So many names are told, then only how many more there are.
const NAMES: usize = 5;

/// The first few names, and how many more there are.
pub fn first_of(names: &[String]) -> String {
    let first = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// A word of a publisher, a provider or a server on a terminal or a page: what would not print there, or
/// would steer or deceive it, is escaped.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { escaped(c) } else { c.to_string() }).collect()
}

fn escaped(c: char) -> String {
    let short = c.escape_debug().to_string();
    if short.starts_with('\\') { short } else { c.escape_unicode().to_string() }
}

/// A command for people to paste: `verb` with its options, and the name that it is for. Whatever is in the
/// name, a shell takes it as one word and the command as a name.
pub fn command(verb: &str, options: &str, name: &str) -> String {
    let (is_like_an_option, name) = (name.starts_with('-'), shell_word(name));
    let words = if is_like_an_option { [verb, options, "--", &name] } else { [verb, &name, options, ""] };
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    format!("revocation-worker {}", words.join(" "))
}

/// In `$'…'`, which shells with this form read back, where a character would not show: the crate `shlex`
/// would print that character.
fn shell_word(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if name.chars().any(|c| !is_seen(c)) {
        let escaped = |c: char| match c {
            '\'' | '\\' => format!("\\{c}"),
            c if is_seen(c) => c.to_string(),
            c => c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("\\x{byte:02x}")).collect(),
        };
        format!("$'{}'", name.chars().map(escaped).collect::<String>())
    } else if !name.is_empty() && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publishers_word_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\r\n\u{202e}"), r"a\u{1b}[2Jb\r\n\u{202e}");
        assert_eq!(printable(r#"it's "fine" é\"#), r#"it's "fine" é\"#);
    }

    #[test]
    fn a_shell_takes_any_name_as_one_word() {
        for name in [
            "leak",
            "-x",
            "--help",
            "-",
            "it's",
            "a b",
            "$(id)",
            "`id`",
            "a;b",
            "a\\b",
            "\"",
            "*",
            "~",
            "#x",
            "!x",
            "é",
            "a\u{1b}[2J'\\",
            "a\rb",
            "",
            "\u{202e}x",
        ] {
            let printed = command("x y", "--targets 3", name);
            assert!(printed.chars().all(is_seen), "{printed:?}");
            let script =
                printed.replacen("revocation-worker", "printf '%s\\x1f'", 1).replace(" -- ", " -d- ");
            let ran = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            let words: Vec<_> =
                String::from_utf8(ran.stdout).unwrap().split('\x1f').map(str::to_owned).collect();
            assert_eq!(
                words.iter().filter(|word| *word == name).count(),
                1 + usize::from(name.is_empty()),
                "{printed}: {words:?}"
            );
        }
        assert_eq!(
            command("incident watch", "", "leak-2026.11"),
            "revocation-worker incident watch leak-2026.11"
        );
        assert_eq!(
            command("incident approve", "--targets 3", "a b"),
            "revocation-worker incident approve 'a b' --targets 3"
        );
        assert_eq!(
            command("incident approve", "--targets 3", "-a"),
            "revocation-worker incident approve --targets 3 -- -a"
        );
        assert_eq!(command("incident approve", "", "-a b"), "revocation-worker incident approve -- '-a b'");
    }
}
