//! One walk over everything that is named: the command line's targets, then the input's lines.

use std::io::BufReader;

use clap::ValueEnum;

use super::csv::Columns;
use super::error::OrderError;
use super::input::{Input, Reading};
use super::lines::{Cutter, Line};
use super::raw_target::RawTarget;

/// How the input is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
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
    pub(crate) fn of(given: Option<Self>, input: &Input, limit: usize) -> Result<Self, OrderError> {
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

fn first_line(input: &Input, limit: usize) -> Result<Option<Line>, OrderError> {
    Cutter::new(input.reading(), limit)
        .next()
        .map_err(|e| OrderError::failed(format!("read {}: {e}", input.name)))
}

fn by_content(first: Option<&Line>) -> Format {
    let text = first.map(|line| line.body.trim_ascii_start()).unwrap_or_default();
    if text.first() == Some(&b'{') { Format::Ndjson } else { Format::Csv }
}

/// Everything that is named. It can be walked again and again.
pub(crate) struct Source {
    /// Of the command line.
    pub(crate) flags: Vec<RawTarget>,
    /// File or standard input.
    pub(crate) input: Option<(Input, Format)>,
    /// Most bytes of a line.
    pub(crate) limit: usize,
}

/// A target that is named, or why a line names none.
pub(crate) struct Row {
    /// The input's line, from 1; 0: the command line.
    pub(crate) line: u64,
    /// Bytes of the input up to the end of this line.
    pub(crate) end: u64,
    pub(crate) raw: Result<RawTarget, String>,
}

impl Source {
    /// Begins a walk.
    pub(crate) fn rows(&self) -> Rows<'_> {
        let cutter = self.input.as_ref().map(|(input, _)| Cutter::new(input.reading(), self.limit));
        Rows { source: self, flags: self.flags.iter(), cutter, columns: None }
    }
}

/// A walk.
pub(crate) struct Rows<'s> {
    source: &'s Source,
    flags: std::slice::Iter<'s, RawTarget>,
    cutter: Option<Cutter<BufReader<Reading>>>,
    /// Of CSV, once the header was read.
    columns: Option<Columns>,
}

impl Rows<'_> {
    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The input cannot be read, or its header cannot be understood.
    pub(crate) fn next(&mut self) -> Result<Option<Row>, OrderError> {
        if let Some(raw) = self.flags.next() {
            return Ok(Some(Row { line: 0, end: 0, raw: Ok(raw.clone()) }));
        }
        let (Some((input, format)), Some(cutter)) = (&self.source.input, &mut self.cutter) else {
            return Ok(None);
        };
        loop {
            let line = cutter.next().map_err(|e| OrderError::failed(format!("read {}: {e}", input.name)))?;
            let Some(line) = line else { return Ok(None) };
            if *format == Format::Csv && self.columns.is_none() {
                self.columns = Some(header(&input.name, &line)?);
                continue;
            }
            let raw = read(&line, self.source.limit, self.columns.as_mut());
            return Ok(Some(Row { line: line.number, end: line.end, raw }));
        }
    }

    /// SHA-256 of what was read of the input.
    pub(crate) fn digest(&self) -> Option<Vec<u8>> {
        self.cutter.as_ref().map(|cutter| cutter.input().digest())
    }
}

fn header(input: &str, line: &Line) -> Result<Columns, OrderError> {
    let columns = match line.flaw() {
        Some(flaw) => Err(flaw.to_owned()),
        None => Columns::of_header(&line.body),
    };
    columns.map_err(|why| {
        OrderError::Usage(format!("{input}: line {} {why}; nothing was published", line.number))
    })
}

/// The target of a line: a row of CSV where there are columns, else NDJSON.
fn read(line: &Line, limit: usize, columns: Option<&mut Columns>) -> Result<RawTarget, String> {
    if let Some(flaw) = line.flaw() {
        return Err(flaw.to_owned());
    }
    if line.size > limit as u64 {
        return Err(format!("has {} bytes; limits.max_message_bytes is {limit}", line.size));
    }
    match columns {
        Some(columns) => columns.target(&line.body),
        None => RawTarget::of_json(&line.body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines, and the targets that they name.
    type Found = Vec<(u64, Result<String, String>)>;

    fn walk(name: &str, text: &str, given: Option<Format>) -> Result<Found, OrderError> {
        let path = std::env::temp_dir().join(format!("rows-{}{name}", uuid::Uuid::now_v7()));
        std::fs::write(&path, text).unwrap();
        let input = Input::open(Some(&path)).unwrap();
        std::fs::remove_file(&path).unwrap();
        let format = Format::of(given, &input, 64)?;
        let source = Source {
            flags: vec![RawTarget::of_members([("sub", "flag")]).unwrap()],
            input: Some((input, format)),
            limit: 64,
        };
        let mut rows = source.rows();
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push((row.line, row.raw.map(|raw| raw.json.to_string())));
        }
        Ok(found)
    }

    fn subs(found: Result<Found, OrderError>) -> Vec<(u64, String)> {
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
