//! Targets in CSV (RFC 4180): a header that names the columns, then a target a line. No field may span lines:
//! nothing that a target has does. Of the `csv` crate only its core is used: its reader leaves copies of the
//! tokens in buffers that nobody wipes.

use csv_core::{ReadRecordResult, Reader};
use zeroize::Zeroizing;

use super::raw_target::{MEMBERS, RawTarget, unknown};
use crate::visible::{count, described};

/// The columns of one file.
pub(crate) struct Columns {
    names: Vec<&'static str>,
    parser: Reader,
}

const SEPARATOR_LINE: &str =
    "is a spreadsheet's note on its separator: remove the line, and separate cells by commas";

impl Columns {
    /// Reads the header.
    ///
    /// # Errors
    /// It names a column that is not known, or one twice, or none: the file may have no header, so that
    /// nothing of it is shown.
    pub(crate) fn of_header(line: &[u8]) -> Result<Self, String> {
        if is_separator_line(line) {
            return Err(SEPARATOR_LINE.to_owned());
        }
        let mut parser = Reader::new();
        let cells = cells(&mut parser, line)?;
        let given: Vec<&str> = cells.iter().map(|cell| cell.trim_matches(' ')).collect();
        if !given.iter().any(|name| MEMBERS.contains(name)) {
            return Err(no_header(&given));
        }
        let mut names = Vec::with_capacity(given.len());
        for (place, name) in (1..).zip(given) {
            match MEMBERS.into_iter().find(|known| *known == name) {
                None if name.is_empty() => {
                    return Err(format!("names no column in cell {place}: remove the comma, or name it"));
                }
                None => return Err(unknown("has a column", name, Some(place))),
                Some(name) if names.contains(&name) => return Err(format!("names column {name} twice")),
                Some(name) => names.push(name),
            }
        }
        Ok(Self { names, parser })
    }

    /// The target of a line; an empty cell is an absent member.
    ///
    /// # Errors
    /// The line does not fit the header.
    pub(crate) fn target(&mut self, line: &[u8]) -> Result<RawTarget, String> {
        if is_separator_line(line) {
            return Err(SEPARATOR_LINE.to_owned());
        }
        let cells = cells(&mut self.parser, line)?;
        if cells.iter().map(|cell| cell.trim_matches(' ')).eq(self.names.iter().copied()) {
            return Err(
                "is the header once more: remove it, or give a target of that name as NDJSON".to_owned()
            );
        }
        if cells.len() != self.names.len() {
            return Err(format!(
                "has {} where the header names {}",
                count(cells.len(), "cell"),
                count(self.names.len(), "column")
            ));
        }
        let members = self.names.iter().copied().zip(cells.iter().map(|cell| cell.as_str()));
        let (vacant, given): (Vec<_>, Vec<_>) = members.partition(|(_, value)| value.is_empty());
        Ok(RawTarget::of_members(given)?.with_vacant(vacant.into_iter().map(|(name, _)| name).collect()))
    }
}

/// `sep=;`, which some spreadsheets write before the header, alone or in cells of its own.
fn is_separator_line(line: &[u8]) -> bool {
    let line = line.trim_ascii().strip_prefix(b"\"").unwrap_or(line);
    line.len() <= 16 && line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"sep="))
}

fn no_header(given: &[&str]) -> String {
    let known = MEMBERS.join(", ");
    let is_between = |separator: &char| {
        given.iter().flat_map(|cell| cell.split(*separator)).any(|name| MEMBERS.contains(&name.trim()))
    };
    match [(';', "semicolons"), ('\t', "tabs"), ('|', "bars")]
        .into_iter()
        .find(|(separator, _)| is_between(separator))
    {
        Some((_, what)) => {
            format!("has {what} between the columns: save the file with commas; known are {known}")
        }
        None => format!("is no header: it must name the columns, with commas between; known are {known}"),
    }
}

/// Refuses a cell whose quotes are not where RFC 4180 has them: readers disagree on what is in it.
fn check_quotes(line: &str, cells: &[Zeroizing<String>]) -> Result<(), String> {
    let mut rest = line;
    for (place, cell) in (1..).zip(cells) {
        let quoted = Zeroizing::new(format!("\"{}\"", cell.replace('"', "\"\"")));
        let is_bare = !cell.contains(['"', ',']);
        let after = rest
            .strip_prefix(quoted.as_str())
            .or_else(|| rest.strip_prefix(cell.as_str()).filter(|_| is_bare));
        rest = match after.map(|after| (after, after.strip_prefix(','))) {
            Some(("", _)) => "",
            Some((_, Some(next))) => next,
            _ => {
                return Err(format!(
                    "has a quote in cell {place} that neither begins nor ends it: put the whole cell in \
                        quotes, and write each quote in it twice"
                ));
            }
        };
    }
    Ok(())
}

fn cells(parser: &mut Reader, line: &[u8]) -> Result<Vec<Zeroizing<String>>, String> {
    if line.iter().filter(|byte| **byte == b'"').count() % 2 == 1 {
        return Err("has a quote that is not closed on the same line (a quote inside a quoted field is \
            written twice)"
            .to_owned());
    }
    // The crate `csv-core` drops it without a word.
    if line.starts_with("\u{feff}".as_bytes()) {
        return Err(format!("has {}, which does not show: remove it", described('\u{feff}')));
    }
    let input = Zeroizing::new([line, b"\n"].concat());
    let mut text = Zeroizing::new(vec![0; input.len()]);
    let mut ends = vec![0; 2 + line.iter().filter(|byte| **byte == b',').count()];
    parser.reset();
    // Both buffers hold whatever one line can have, so that one call reads it.
    let (ReadRecordResult::Record, _, _, count) = parser.read_record(&input, &mut text, &mut ends) else {
        return Err("is not CSV".to_owned());
    };
    let mut start = 0;
    let fields = ends[..count].iter().map(|end| &text[std::mem::replace(&mut start, *end)..*end]);
    let texts = fields.map(|field| std::str::from_utf8(field).map(|text| Zeroizing::new(text.to_owned())));
    let no_text = |_| "is not UTF-8: save the file as UTF-8".to_owned();
    let cells: Vec<_> = texts.collect::<Result<_, _>>().map_err(no_text)?;
    check_quotes(std::str::from_utf8(line).map_err(no_text)?, &cells)?;
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Kind;

    fn target(header: &str, line: &str) -> Result<(Option<String>, String), String> {
        let mut columns = Columns::of_header(header.as_bytes())?;
        columns.target(line.as_bytes()).map(|raw| (raw.provider, raw.json.to_string()))
    }

    #[test]
    fn cells_become_members_and_empty_ones_none() {
        assert_eq!(target("token,sub", "t-1,u-1"), Ok((None, r#"{"token":"t-1","sub":"u-1"}"#.to_owned())));
        assert_eq!(
            target("sub , token,provider", ",t-1,main"),
            Ok((Some("main".to_owned()), r#"{"token":"t-1"}"#.to_owned()))
        );
        assert_eq!(target("\"sub\"", "\"a,\"\"b\"\"\""), Ok((None, r#"{"sub":"a,\"b\""}"#.to_owned())));
        assert_eq!(target("sub,sid", ","), Ok((None, "{}".to_owned())));
        assert_eq!(target("sub,sid", "ü,s t"), Ok((None, r#"{"sub":"ü","sid":"s t"}"#.to_owned())));
    }

    #[test]
    fn a_header_must_name_what_is_known() {
        for (header, sentence) in [
            (
                "sub,tokn",
                "has a column tokn that is not known; known are token, token_type_hint, sub, sid, client_id, \
                    iss, provider",
            ),
            (
                "sub,eyJhbGci.secret",
                "has a column (number 2; its name is not shown, as it may be a credential) that is not known",
            ),
            ("sub,", "names no column in cell 2: remove the comma"),
            (",sub,,", "names no column in cell 1"),
            ("sub,\u{200b}token", "has a column (number 2;"),
            ("sub\u{a0},token", "has a column (number 1;"),
            ("sub,token,sub", "names column sub twice"),
            ("secret,secret", "is no header: it must name the columns"),
            ("token;sub", "has semicolons between the columns: save the file with commas"),
            ("sub\tsecret", "has tabs between the columns"),
            ("sub|secret", "has bars between the columns"),
            ("sep=;", "is a spreadsheet's note on its separator: remove the line"),
            ("SEP=,", "is a spreadsheet's note"),
            ("\"sep=;\"", "is a spreadsheet's note"),
            ("\"sub", "has a quote that is not closed"),
            ("\u{feff}sub", "has U+FEFF (a byte order mark), which does not show"),
        ] {
            let why = target(header, "").unwrap_err();
            assert!(why.starts_with(sentence) && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_line_must_fit_the_header() {
        assert_eq!(target("sub,sid", "a").unwrap_err(), "has 1 cell where the header names 2 columns");
        for line in ["a,b", "a,", ",a", "sep,=", "\"a\",\"b\""] {
            assert_eq!(
                target("sub", line).unwrap_err(),
                "has 2 cells where the header names 1 column",
                "{line}"
            );
        }
        assert!(target("sub", "\"secret").unwrap_err().starts_with("has a quote that is not closed"));
        assert_eq!(
            Columns::of_header(b"sub").unwrap().target(b"\xff").err().as_deref(),
            Some("is not UTF-8: save the file as UTF-8")
        );
    }

    #[test]
    fn quotes_stand_round_a_whole_cell_or_the_line_is_refused() {
        for line in [
            r#"us"er"-1,s"#,
            r#""user"-1,s"#,
            r#" "user",s"#,
            r#""user" ,s"#,
            r#"a,b"""#,
            r#"a""b,s"#,
            r#""a"b"c",s"#,
            r#"a,"b" "#,
        ] {
            let why = target("sub,sid", line).unwrap_err();
            assert!(why.starts_with("has a quote in cell "), "{line}: {why}");
        }
        for (line, json) in [
            (r#""a","b""#, r#"{"sub":"a","sid":"b"}"#),
            (r#""a,b",c"#, r#"{"sub":"a,b","sid":"c"}"#),
            (r#""""a""","""#, r#"{"sub":"\"a\""}"#),
            (r#""","b""#, r#"{"sid":"b"}"#),
            (",b", r#"{"sid":"b"}"#),
        ] {
            assert_eq!(target("sub,sid", line).unwrap().1, json, "{line}");
        }
    }

    #[test]
    fn lines_of_a_files_frame_are_no_targets() {
        for (header, line) in [
            ("sub", "sub"),
            ("sub,sid", "sub,sid"),
            ("sub", "\"sub\""),
            ("\"sub\"", "sub"),
            ("sub, sid", "sub,\"sid\""),
            ("sub", "sep=;"),
            ("sub", "\"sep=,\""),
        ] {
            assert!(target(header, line).unwrap_err().contains("remove"), "{line}");
        }
        assert!(
            target("sub", "subs").is_ok()
                && target("sub,sid", "sid,sub").is_ok()
                && target("sub", "separate=").is_ok()
        );
    }

    #[test]
    fn a_hole_in_an_export_logs_nobody_out() {
        let mut columns = Columns::of_header(b"token,client_id").unwrap();
        assert!(columns.target(b",shop").unwrap().check_width(Kind::Client).is_err());
        assert!(
            Columns::of_header(b"client_id")
                .unwrap()
                .target(b"shop")
                .unwrap()
                .check_width(Kind::Client)
                .is_ok()
        );
    }

    #[test]
    fn a_bad_line_leaves_the_next_alone() {
        let mut columns = Columns::of_header(b"sub,sid").unwrap();
        assert!(columns.target(b"\"a,b").is_err());
        assert_eq!(columns.target(b"a,b").unwrap().json.as_str(), r#"{"sub":"a","sid":"b"}"#);
    }
}
