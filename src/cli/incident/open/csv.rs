//! Targets in CSV (RFC 4180): a header that names the columns, then a target a line. No field may span lines: nothing that a target has does.

use csv_core::{ReadRecordResult, Reader};
use zeroize::Zeroizing;

use super::written::{MEMBERS, Written, unknown};

/// The columns of one file.
pub(super) struct Columns {
    names: Vec<&'static str>,
    parser: Reader,
}

impl Columns {
    /// Reads the header.
    ///
    /// # Errors
    /// It names a column that is not known, or one twice, or none: the file may have no header, so that nothing of it is shown.
    pub(super) fn of_header(line: &[u8]) -> Result<Self, String> {
        let mut parser = Reader::new();
        let cells = cells(&mut parser, line)?;
        let given: Vec<&str> = cells.iter().map(|cell| cell.trim()).collect();
        if !given.iter().any(|name| MEMBERS.contains(name)) {
            return Err(format!("is no header: it must name the columns, with commas between; known are {}", MEMBERS.join(", ")));
        }
        let mut names = Vec::with_capacity(given.len());
        for (place, name) in (1..).zip(given) {
            match MEMBERS.into_iter().find(|known| *known == name) {
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
    pub(super) fn target(&mut self, line: &[u8]) -> Result<Written, String> {
        let cells = cells(&mut self.parser, line)?;
        if cells.len() != self.names.len() {
            return Err(format!("has {} cells where the header names {} columns", cells.len(), self.names.len()));
        }
        let members = self.names.iter().copied().zip(cells.iter().map(|cell| cell.as_str()));
        let (vacant, given): (Vec<_>, Vec<_>) = members.partition(|(_, value)| value.is_empty());
        Ok(Written::of_members(given).with_vacant(vacant.into_iter().map(|(name, _)| name).collect()))
    }
}

fn cells(parser: &mut Reader, line: &[u8]) -> Result<Vec<Zeroizing<String>>, String> {
    if line.iter().filter(|byte| **byte == b'"').count() % 2 == 1 {
        return Err("has a quote that is not closed on the same line (a quote inside a quoted field is written twice)".to_owned());
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
    texts.collect::<Result<_, _>>().map_err(|_| "is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Kind;

    fn target(header: &str, line: &str) -> Result<(Option<String>, String), String> {
        let mut columns = Columns::of_header(header.as_bytes())?;
        columns.target(line.as_bytes()).map(|written| (written.provider, written.json.to_string()))
    }

    #[test]
    fn cells_become_members_and_empty_ones_none() {
        assert_eq!(target("token,sub", "t-1,u-1"), Ok((None, r#"{"token":"t-1","sub":"u-1"}"#.to_owned())));
        assert_eq!(target("sub , token,provider", ",t-1,main"), Ok((Some("main".to_owned()), r#"{"token":"t-1"}"#.to_owned())));
        assert_eq!(target("\"sub\"", "\"a,\"\"b\"\"\""), Ok((None, r#"{"sub":"a,\"b\""}"#.to_owned())));
        assert_eq!(target("sub,sid", ","), Ok((None, "{}".to_owned())));
        assert_eq!(target("sub,sid", "ü, s"), Ok((None, r#"{"sub":"ü","sid":" s"}"#.to_owned())));
    }

    #[test]
    fn a_header_must_name_what_is_known() {
        for (header, sentence) in [
            ("sub,tokn", "has a column tokn that is not known; known are token, token_type_hint, sub, sid, client_id, iss, provider"),
            ("sub,eyJhbGci.secret", "has a column (number 2; its name is not shown, as it may be a credential) that is not known"),
            ("sub,", "has a column (number 2;"),
            ("sub,token,sub", "names column sub twice"),
            ("secret,secret", "is no header: it must name the columns"),
            ("token;sub", "is no header"),
            ("\"sub", "has a quote that is not closed"),
        ] {
            let why = target(header, "").unwrap_err();
            assert!(why.starts_with(sentence) && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_line_must_fit_the_header() {
        assert_eq!(target("sub,sid", "a").unwrap_err(), "has 1 cells where the header names 2 columns");
        assert_eq!(target("sub", "a,b").unwrap_err(), "has 2 cells where the header names 1 columns");
        assert!(target("sub", "\"secret").unwrap_err().starts_with("has a quote that is not closed"));
        assert_eq!(Columns::of_header(b"sub").unwrap().target(b"\xff").err().as_deref(), Some("is not UTF-8"));
    }

    #[test]
    fn a_hole_in_an_export_logs_nobody_out() {
        let mut columns = Columns::of_header(b"token,client_id").unwrap();
        assert!(columns.target(b",shop").unwrap().check_width(Kind::Client).is_err());
        assert!(Columns::of_header(b"client_id").unwrap().target(b"shop").unwrap().check_width(Kind::Client).is_ok());
    }

    #[test]
    fn a_bad_line_leaves_the_next_alone() {
        let mut columns = Columns::of_header(b"sub,sid").unwrap();
        assert!(columns.target(b"\"a,b").is_err());
        assert_eq!(columns.target(b"a,b").unwrap().json.as_str(), r#"{"sub":"a","sid":"b"}"#);
    }
}
