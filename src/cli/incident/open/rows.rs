//! One walk over everything that is named: the command line's targets, then the input's lines.

use std::io::BufReader;

use clap::ValueEnum;

use super::csv::Columns;
use super::input::{Input, Reading};
use super::written::Written;
use crate::cli::CommandError;
use crate::cli::ndjson::{Cutter, Line};

/// How the input is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line
    Ndjson,
    /// A header that names the columns, then one target a line
    Csv,
}

impl Format {
    /// As given, else by the name's end, else by the first byte that is not blank.
    ///
    /// # Errors
    /// The input cannot be read.
    pub(super) fn of(given: Option<Self>, input: &Input, limit: usize) -> Result<Self, CommandError> {
        let by_name = match input.extension.as_deref() {
            Some("csv") => Some(Self::Csv),
            Some("ndjson" | "jsonl" | "json") => Some(Self::Ndjson),
            _ => None,
        };
        match given.or(by_name) {
            Some(format) => Ok(format),
            None => Ok(by_content(first_line(input, limit)?.as_ref())),
        }
    }
}

fn first_line(input: &Input, limit: usize) -> Result<Option<Line>, CommandError> {
    Cutter::new(input.reading(), limit)
        .next()
        .map_err(|e| CommandError::failed(format!("read {}: {e}", input.name)))
}

fn by_content(first: Option<&Line>) -> Format {
    let text = first.map(|line| line.body.trim_ascii_start()).unwrap_or_default();
    if text.first() == Some(&b'{') { Format::Ndjson } else { Format::Csv }
}

/// Everything that is named. It can be walked again and again.
pub(super) struct Source {
    /// Of the command line.
    pub(super) flags: Vec<Written>,
    /// File or standard input.
    pub(super) input: Option<(Input, Format)>,
    /// Most bytes of a line.
    pub(super) limit: usize,
}

/// A target that is named, or why a line names none.
pub(super) struct Row {
    /// The input's line, from 1; 0: the command line.
    pub(super) line: u64,
    /// Bytes of the input up to the end of this line.
    pub(super) end: u64,
    pub(super) written: Result<Written, String>,
}

impl Source {
    /// Begins a walk.
    pub(super) fn rows(&self) -> Rows<'_> {
        let lines = self.input.as_ref().map(|(input, format)| Lines {
            name: &input.name,
            cutter: Cutter::new(input.reading(), self.limit),
            limit: self.limit,
            format: *format,
            columns: None,
        });
        Rows { flags: self.flags.iter(), lines }
    }
}

/// A walk.
pub(super) struct Rows<'s> {
    flags: std::slice::Iter<'s, Written>,
    lines: Option<Lines<'s>>,
}

impl Rows<'_> {
    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The input cannot be read, or its header cannot be understood.
    pub(super) fn next(&mut self) -> Result<Option<Row>, CommandError> {
        if let Some(written) = self.flags.next() {
            return Ok(Some(Row { line: 0, end: 0, written: Ok(written.clone()) }));
        }
        self.lines.as_mut().map_or(Ok(None), Lines::next)
    }

    /// SHA-256 of what was read of the input.
    pub(super) fn digest(&self) -> Option<Vec<u8>> {
        self.lines.as_ref().map(|lines| lines.cutter.input().digest())
    }
}

struct Lines<'s> {
    name: &'s str,
    cutter: Cutter<BufReader<Reading>>,
    limit: usize,
    format: Format,
    /// Of CSV, once the header was read.
    columns: Option<Columns>,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<Row>, CommandError> {
        loop {
            let failed = |e| CommandError::failed(format!("read {}: {e}", self.name));
            let Some(line) = self.cutter.next().map_err(failed)? else { return Ok(None) };
            if let Some(written) = self.read(&line)? {
                return Ok(Some(Row { line: line.number, end: line.end, written }));
            }
        }
    }

    /// The target of a line; `None` for the header.
    fn read(&mut self, line: &Line) -> Result<Option<Result<Written, String>>, CommandError> {
        let body = &line.body;
        let is_too_long = line.size > self.limit as u64;
        match (self.format, &mut self.columns) {
            (Format::Csv, columns @ None) => {
                let wrong = |why| {
                    CommandError::Usage(format!(
                        "{}: line {} {why}; nothing was published",
                        self.name, line.number
                    ))
                };
                line.flaw().map_or(Ok(()), |flaw| Err(wrong(flaw.to_owned())))?;
                *columns = Some(Columns::of_header(body).map_err(wrong)?);
                Ok(None)
            }
            _ if let Some(flaw) = line.flaw() => Ok(Some(Err(flaw.to_owned()))),
            _ if is_too_long => {
                Ok(Some(Err(format!("has {} bytes; limits.max_message_bytes is {}", line.size, self.limit))))
            }
            (Format::Csv, Some(columns)) => Ok(Some(columns.target(body))),
            (Format::Ndjson, _) => Ok(Some(Written::of_json(body))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines, and the targets that they name.
    type Found = Vec<(u64, Result<String, String>)>;

    fn walk(name: &str, text: &str, given: Option<Format>) -> Result<Found, CommandError> {
        let path = std::env::temp_dir().join(format!("rows-{}{name}", uuid::Uuid::now_v7()));
        std::fs::write(&path, text).unwrap();
        let input = Input::open(Some(&path)).unwrap();
        std::fs::remove_file(&path).unwrap();
        let format = Format::of(given, &input, 64)?;
        let source = Source {
            flags: vec![Written::of_members([("sub", "flag")]).unwrap()],
            input: Some((input, format)),
            limit: 64,
        };
        let mut rows = source.rows();
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push((row.line, row.written.map(|written| written.json.to_string())));
        }
        Ok(found)
    }

    fn subs(found: Result<Found, CommandError>) -> Vec<(u64, String)> {
        found.unwrap().into_iter().map(|(line, json)| (line, json.unwrap())).collect()
    }

    #[test]
    fn the_format_is_given_or_in_the_name_or_in_the_first_byte() {
        let both = |number| vec![(0, r#"{"sub":"flag"}"#.to_owned()), (number, r#"{"sub":"u"}"#.to_owned())];
        let (csv, json) = ("\u{feff}sub\r\nu\r\n", "\u{feff}\n \n{\"sub\":\"u\"}");
        for name in [".csv", ".CSV", "", ".txt"] {
            assert_eq!(subs(walk(name, csv, None)), both(2), "{name}");
        }
        for name in [".ndjson", ".jsonl", ".json", "", ".txt"] {
            assert_eq!(subs(walk(name, &json.replace('\u{feff}', ""), None)), both(3), "{name}");
        }
        assert_eq!(subs(walk(".ndjson", "\u{feff}{\"sub\":\"u\"}", None)), both(1));
        assert_eq!(subs(walk("", "\u{feff}{\"sub\":\"u\"}", None)), both(1));
        assert_eq!(subs(walk(".json", csv, Some(Format::Csv))), both(2));
        assert!(walk(".csv", "{\"sub\":\"u\"}", None).is_err());
    }

    #[test]
    fn bad_lines_keep_their_numbers_and_long_ones_are_measured() {
        let found = walk("", &format!("sub\n\n\"\n{}\nu", "x".repeat(100)), None).unwrap();
        let numbers: Vec<(u64, bool)> = found.iter().map(|(line, json)| (*line, json.is_ok())).collect();
        assert_eq!(numbers, [(0, true), (3, false), (4, false), (5, true)]);
        assert_eq!(found[2].1.as_ref().unwrap_err(), "has 100 bytes; limits.max_message_bytes is 64");
    }

    #[test]
    fn an_unusable_header_ends_it() {
        let why = walk(".csv", "\nsub,tokn\nu,t", None).err().map(|error| error.to_string()).unwrap();
        assert!(
            why.contains(".csv: line 2 has a column tokn that is not known")
                && why.ends_with("nothing was published"),
            "{why}"
        );
    }
}
