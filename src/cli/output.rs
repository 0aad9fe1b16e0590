//! How commands speak: results to standard output, remarks to standard error.

use std::io::{self, Write};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;
use serde_json::Value;

/// Prints a line of a command's result. A reader that went away (`| head`) is no failure.
pub(super) fn say(line: impl std::fmt::Display) {
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
    fn one_has_no_s() {
        assert_eq!([0_u64, 1, 2].map(|n| count(n, "line")), ["0 lines", "1 line", "2 lines"]);
    }
}
