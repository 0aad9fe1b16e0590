//! How commands speak: results to standard output, remarks to standard error.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(super) use crate::visible::count;
use crate::visible::is_hidden;
pub(super) use crate::visible::names::{command, first_of, or_dash, printable};

/// See [`has_spoken`].
static HAS_SPOKEN: AtomicBool = AtomicBool::new(false);

/// Whether anything of a result was printed.
pub(super) fn has_spoken() -> bool {
    HAS_SPOKEN.load(Ordering::Relaxed)
}

/// Prints a line of a command's result; what would not print in it is escaped. A reader that went away (`|
/// head`) is no failure.
pub(super) fn say(line: impl std::fmt::Display) {
    say_raw(format!("{}\n", plain(&line.to_string())).as_bytes());
}

/// Prints bytes as they are, for a reader that is no terminal.
pub(super) fn say_raw(bytes: &[u8]) {
    HAS_SPOKEN.store(true, Ordering::Relaxed);
    drop(io::stdout().lock().write_all(bytes));
}

/// Prints a line that is not part of the result.
pub(super) fn remark(line: impl std::fmt::Display) {
    drop(writeln!(io::stderr().lock(), "{}", plain(&line.to_string())));
}

/// Prints a result as one JSON value, in which what a terminal would obey or hide is escaped.
pub(super) fn say_json(value: &impl Serialize) {
    // The values that are printed have no map with keys other than text, which is all that could fail.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    say_raw(format!("{}\n", plain_json(&text)).as_bytes());
}

/// The same of a typed row, its members by name, as in the database's own JSON.
pub(super) fn say_row(row: &impl Serialize) {
    say_json(&json!(row));
}

/// Prints a typed row on a line of its own.
pub(super) fn say_json_line(row: &impl Serialize) {
    say_raw(format!("{}\n", plain_json(&json!(row).to_string())).as_bytes());
}

/// A time as it is in JSON (RFC 3339).
pub(super) fn exact(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

/// A JSON value as people read it.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Text of several lines that this program laid out, with what would not print escaped: its ends of lines
/// stay. A carriage return is none.
pub(super) fn plain(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// JSON, in which such characters stand only within texts.
fn plain_json(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !is_hidden(c) {
            plain.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| plain.push_str(&format!("\\u{unit:04x}")));
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A character of each sort that a terminal obeys, hides or turns round, and what is shown.
    const HOSTILE: [(char, &str); 18] = [
        ('\0', "\\0"),
        ('\u{7}', "\\u{7}"),
        ('\u{8}', "\\u{8}"),
        ('\r', "\\r"),
        ('\u{1b}', "\\u{1b}"),
        ('\u{7f}', "\\u{7f}"),
        ('\u{85}', "\\u{85}"),
        ('\u{90}', "\\u{90}"),
        ('\u{9b}', "\\u{9b}"),
        ('\u{9d}', "\\u{9d}"),
        ('\u{ad}', "\\u{ad}"),
        ('\u{200b}', "\\u{200b}"),
        ('\u{200f}', "\\u{200f}"),
        ('\u{2028}', "\\u{2028}"),
        ('\u{202e}', "\\u{202e}"),
        ('\u{2066}', "\\u{2066}"),
        ('\u{feff}', "\\u{feff}"),
        ('\u{e0041}', "\\u{e0041}"),
    ];

    #[test]
    fn what_a_terminal_obeys_or_hides_is_escaped_everywhere() {
        for (hostile, shown) in HOSTILE {
            assert_eq!(printable(&format!("a{hostile}b")), format!("a{shown}b"));
            assert_eq!(plain(&format!("a\n{hostile}b")), format!("a\n{shown}b"));
            let json = plain_json(&serde_json::to_string_pretty(&[format!("a{hostile}b")]).expect("JSON"));
            assert!(json.chars().all(|c| c == '\n' || !is_hidden(c)), "{json}");
            assert_eq!(
                serde_json::from_str::<[String; 1]>(&json).expect("JSON"),
                [format!("a{hostile}b")],
                "the same value"
            );
        }
        for fine in ["né e\u{301} 日本語 \u{1f600} ü", r#""'\"#] {
            assert_eq!((printable(fine).as_str(), plain(fine).as_str()), (fine, fine));
        }
    }

    #[test]
    fn one_has_no_s() {
        assert_eq!([0_u64, 1, 2].map(|n| count(n, "line")), ["0 lines", "1 line", "2 lines"]);
    }
}
