//! How commands speak: results to standard output, remarks to standard error.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;
use serde_json::Value;

use crate::visible::is_seen;

/// See [`has_spoken`].
static HAS_SPOKEN: AtomicBool = AtomicBool::new(false);

/// Whether anything of a result was printed.
pub(super) fn has_spoken() -> bool {
    HAS_SPOKEN.load(Ordering::Relaxed)
}

/// Prints a line of a command's result. A reader that went away (`| head`) is no failure.
pub(super) fn say(line: impl std::fmt::Display) {
    HAS_SPOKEN.store(true, Ordering::Relaxed);
    drop(writeln!(io::stdout().lock(), "{line}"));
}

/// Prints a line that is not part of the result.
pub(super) fn remark(line: impl std::fmt::Display) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Prints a result as one JSON value.
pub(super) fn say_json(value: &impl Serialize) {
    // The values that are printed have no map with keys other than text, which is all that could fail.
    say(serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Columns without lines, so that `grep` and `awk` work on them.
pub(super) fn say_table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(head);
    table.add_rows(rows.into_iter().map(|row| row.map(|cell| printable(&cell))));
    say(table.trim_fmt());
}

/// A title, and a table of these members of JSON rows under it.
pub(super) fn section<const N: usize>(title: &str, rows: &Value, columns: [&str; N]) {
    say(format_args!("\n{title}"));
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    say_table(columns, rows.iter().map(|row| columns.map(|column| cell(&row[column]))));
}

/// A JSON value as people read it.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A publisher's word on a terminal: what would not print there is escaped.
pub(super) fn printable(text: &str) -> String {
    let escape = |c: char| if "\"'\\".contains(c) { c.to_string() } else { c.escape_debug().to_string() };
    text.chars().map(escape).collect()
}

/// A command for people to paste: `verb` with its options, and the name that it is for. Whatever is in the name, a shell takes it as one word and the
/// command as a name.
pub(super) fn command(verb: &str, options: &str, name: &str) -> String {
    let (is_like_an_option, name) = (name.starts_with('-'), shell_word(name));
    let words = if is_like_an_option { [verb, options, "--", &name] } else { [verb, &name, options, ""] };
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    format!("revocation-worker {}", words.join(" "))
}

/// In `$'…'`, which shells with this form read back, where a character would not show.
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

/// "1 message", "2 messages".
pub(super) fn count(number: impl TryInto<u64>, what: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
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
            let script = printed.replacen("revocation-worker", "printf '%s\\x1f'", 1).replace(" -- ", " -d- ");
            let ran = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            let words: Vec<_> = String::from_utf8(ran.stdout).unwrap().split('\x1f').map(str::to_owned).collect();
            assert_eq!(words.iter().filter(|word| *word == name).count(), 1 + usize::from(name.is_empty()), "{printed}: {words:?}");
        }
        assert_eq!(command("incident watch", "", "leak-2026.11"), "revocation-worker incident watch leak-2026.11");
        assert_eq!(command("incident approve", "--targets 3", "a b"), "revocation-worker incident approve 'a b' --targets 3");
        assert_eq!(command("incident approve", "--targets 3", "-a"), "revocation-worker incident approve --targets 3 -- -a");
        assert_eq!(command("incident approve", "", "-a b"), "revocation-worker incident approve -- '-a b'");
    }

    #[test]
    fn one_has_no_s() {
        assert_eq!([0_u64, 1, 2].map(|n| count(n, "line")), ["0 lines", "1 line", "2 lines"]);
    }
}
