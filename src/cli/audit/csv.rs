//! Rows as CSV (RFC 4180).

use serde_json::Value;

use crate::cli::output::{cell, plain};
use crate::store::AuditRow;

/// A head and a line a row.
pub(super) fn written(columns: &[&str], rows: &[AuditRow]) -> String {
    let mut csv = columns.join(",") + "\r\n";
    for row in rows {
        let fields: Vec<_> = columns.iter().map(|column| field(row.get(*column))).collect();
        csv.push_str(&fields.join(","));
        csv.push_str("\r\n");
    }
    csv
}

fn field(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => quoted(&harmless(&shown(text))),
        Some(other) => quoted(&cell(other)),
    }
}

/// A text whose lines stay lines; what a terminal would obey or hide is escaped.
fn shown(text: &str) -> String {
    text.split("\r\n").map(plain).collect::<Vec<_>>().join("\r\n")
}

/// A spreadsheet takes what begins so for a formula, and runs it; an apostrophe before it says that it is
/// text.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_hides_is_escaped() {
        for hidden in ["\u{1b}]0;t\u{7}", "i\u{202e}d", "\u{9b}31m", "a\u{200b}b", "a\rb"] {
            let row = serde_json::json!({ "a": hidden });
            let written = written(&["a"], &[row.as_object().unwrap().clone()]);
            let hides = |c: char| crate::visible::is_hidden(c) && !"\r\n".contains(c);
            assert!(!written.contains(hides) && written.matches('\r').count() == 2, "{written:?}");
        }
    }

    #[test]
    fn a_field_is_quoted_where_it_must_be_and_never_a_formula() {
        let row = serde_json::json!({
            "a": "x,\"y\"\r\nz", "b": "=HYPERLINK(\"http://x\")", "c": null, "d": 12, "e": true, "f": "-1+2",
            "g": "@SUM(A1)", "h": "plain é",
        });
        let row = row.as_object().unwrap().clone();
        let written = written(&["a", "b", "c", "d", "e", "f", "g", "h"], &[row]);
        let line =
            "\"x,\"\"y\"\"\r\nz\",\"'=HYPERLINK(\"\"http://x\"\")\",,12,true,'-1+2,'@SUM(A1),plain é\r\n";
        assert_eq!(written, format!("a,b,c,d,e,f,g,h\r\n{line}"));
    }
}
