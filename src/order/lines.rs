//! Lines of a file or of standard input, each with its number, by the same rules for every command: UTF-8, a
//! byte order mark at the start is no part of it, lines end with LF or CRLF, blank ones are passed over.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::error::OrderError;

/// Some editors and spreadsheets begin a file with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What no file of lines begins with, and what it is then.
const FOREIGN: [(&[u8], &str); 6] = [
    (b"\xff\xfe", "it is UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "it is UTF-16: save it as UTF-8"),
    (b"\0", "it is UTF-16 or no text: save it as UTF-8"),
    (b"\x1f\x8b", "it is compressed: unpack it first, for example with zcat"),
    (b"\x28\xb5\x2f\xfd", "it is compressed: unpack it first, for example with zstdcat"),
    (b"PK\x03\x04", "it is a spreadsheet or an archive: save it as CSV in UTF-8"),
];

/// Lines that are read ahead.
const READ_AHEAD: usize = 64;

/// One line that is not blank. It may hold raw tokens.
pub(crate) struct Line {
    /// From 1, blank lines counted.
    pub(crate) number: u64,
    /// Without the line's end; cut after the limit.
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// Bytes of the whole line, also of what was cut.
    pub(crate) size: u64,
    /// Bytes of the input up to the end of this line.
    pub(crate) end: u64,
}

/// The lines of one input.
pub(crate) struct Lines {
    /// Bytes of the input, where they are known.
    pub(crate) total: Option<u64>,
    lines: mpsc::Receiver<io::Result<Line>>,
}

impl Lines {
    /// Opens `file`; `None` is standard input. No more than `limit` bytes of a line are kept, and one to tell
    /// that it is longer.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn open(file: Option<&Path>, limit: usize) -> Result<Self, OrderError> {
        let Some(path) = file else { return Ok(Self::read(io::stdin(), None, limit)) };
        let failed = |e: io::Error| OrderError::failed(format!("read {}: {e}", path.display()));
        let opened = File::open(path).map_err(failed)?;
        let about = opened.metadata().map_err(failed)?;
        Ok(Self::read(opened, about.is_file().then_some(about.len()), limit))
    }

    /// A thread, not a task: a read of standard input cannot be cancelled, and the process must be able to
    /// end meanwhile.
    fn read(input: impl Read + Send + 'static, total: Option<u64>, limit: usize) -> Self {
        let (sender, lines) = mpsc::channel(READ_AHEAD);
        std::thread::spawn(move || {
            let mut cutter = Cutter::new(input, limit);
            while let Some(line) = cutter.next().transpose() {
                if line.is_err() | sender.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        Self { total, lines }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// The input cannot be read any further.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>, OrderError> {
        self.lines.recv().await.transpose().map_err(|e| OrderError::failed(format!("read the input: {e}")))
    }
}

impl Line {
    /// What keeps this from being one line to everybody who looks at it, as the rest of a sentence.
    pub(crate) fn flaw(&self) -> Option<&'static str> {
        let is_broken = self.body.contains(&b'\r');
        is_broken.then_some(
            "has a carriage return in it, where some programs end the line: end every line with LF or CRLF",
        )
    }
}

/// Takes a byte order mark from the first line; returns how many bytes that were. UTF-16 without a mark has a
/// NUL beside each of the first letters.
fn begin(body: &mut Vec<u8>) -> io::Result<u64> {
    let foreign = FOREIGN.into_iter().find(|(start, _)| body.starts_with(start)).map(|(_, what)| what);
    let foreign =
        foreign.or_else(|| (body.get(1) == Some(&0)).then_some("it is UTF-16 or no text: save it as UTF-8"));
    match foreign {
        Some(what) => Err(io::Error::new(io::ErrorKind::InvalidData, what)),
        None if body.starts_with(BYTE_ORDER_MARK) => Ok(body.drain(..BYTE_ORDER_MARK.len()).count() as u64),
        None => Ok(0),
    }
}

/// Cuts an input into lines.
pub(crate) struct Cutter<R> {
    input: R,
    limit: usize,
    number: u64,
    end: u64,
}

impl<R: Read> Cutter<BufReader<R>> {
    /// Keeps no more than `limit` bytes of a line, and a little to tell that it is longer.
    pub(crate) fn new(input: R, limit: usize) -> Self {
        Self { input: BufReader::with_capacity(1 << 16, input), limit, number: 0, end: 0 }
    }

    /// What the lines are cut from.
    pub(crate) fn input(&self) -> &R {
        self.input.get_ref()
    }
}

impl<R: BufRead> Cutter<R> {
    /// The next line that is not blank; `None` at the end.
    ///
    /// # Errors
    /// The input cannot be read, or is not UTF-8 from its first bytes on.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let mut body = Vec::new();
            let Some(mut size) = self.cut(&mut body)? else { return Ok(None) };
            self.number += 1;
            if self.number == 1 {
                size -= begin(&mut body)?;
            }
            if body.len() as u64 == size && body.last() == Some(&b'\r') {
                body.pop();
                size -= 1;
            }
            if !body.trim_ascii().is_empty() {
                return Ok(Some(Line {
                    number: self.number,
                    body: Zeroizing::new(body),
                    size,
                    end: self.end,
                }));
            }
        }
    }

    /// Reads up to the next line feed, which is taken and not kept. Returns the line's size, `None` at the
    /// end of the input.
    fn cut(&mut self, body: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let start = self.end;
        loop {
            let chunk = self.input.fill_buf()?;
            let feed = chunk.iter().position(|byte| *byte == b'\n');
            let length = feed.unwrap_or(chunk.len());
            // More than the limit: a byte order mark, a carriage return, and one that shows that the line is
            // too long.
            let room = (self.limit + BYTE_ORDER_MARK.len() + 2).saturating_sub(body.len());
            body.extend_from_slice(&chunk[..length.min(room)]);
            let is_end = chunk.is_empty();
            self.input.consume(length + usize::from(feed.is_some()));
            self.end += length as u64;
            if feed.is_some() {
                self.end += 1;
                return Ok(Some(self.end - 1 - start));
            }
            if is_end {
                return Ok((self.end > start).then_some(self.end - start));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, limit: usize) -> Vec<(u64, String, u64, u64)> {
        // A buffer of three bytes: lines span several.
        let mut cutter =
            Cutter { input: BufReader::with_capacity(3, text.as_bytes()), limit, number: 0, end: 0 };
        let lines = std::iter::from_fn(move || cutter.next().unwrap());
        lines
            .map(|line| (line.number, String::from_utf8(line.body.to_vec()).unwrap(), line.size, line.end))
            .collect()
    }

    #[test]
    fn lines_keep_their_numbers_over_blank_ones() {
        assert_eq!(
            cut("{}\n\n  \r\n[1,2]\r\nlast", 9),
            [(1, "{}".into(), 2, 3), (4, "[1,2]".into(), 5, 15), (5, "last".into(), 4, 19)]
        );
        assert_eq!(cut("", 9), []);
        assert_eq!(cut("\n", 9), []);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        assert_eq!(
            cut("\u{feff}12345\n\u{feff}x", 5),
            [(1, "12345".into(), 5, 9), (2, "\u{feff}x".into(), 4, 13)]
        );
        assert_eq!(cut("\u{feff}\r\n\u{feff}", 9), [(2, "\u{feff}".into(), 3, 8)]);
        assert_eq!(cut("\u{feff}", 9), []);
    }

    #[test]
    fn what_is_no_utf_8_is_refused_from_its_first_bytes() {
        let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let swapped = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        for (bytes, what) in [
            (utf_16("\u{feff}sub\nu\n"), "UTF-16"),
            (swapped("\u{feff}sub\nu\n"), "UTF-16"),
            (utf_16("sub\nu\n"), "UTF-16"),
            (swapped("{\"sub\":\"u\"}"), "UTF-16"),
            (b"\x1f\x8b\x08\0".to_vec(), "zcat"),
            (b"PK\x03\x04\x14\0".to_vec(), "CSV"),
        ] {
            let error = Cutter::new(&bytes[..], 99).next().err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains(what)), "{error:?}");
        }
    }

    #[test]
    fn a_line_is_one_line_to_everybody() {
        let flaw = |text: &str| Cutter::new(text.as_bytes(), 99).next().unwrap().unwrap().flaw().is_some();
        assert!(["a\rb", "\ra", "a\r\r\n", "\"a\rb\"\n", "a\rb\r\n"].into_iter().all(flaw));
        assert!(!["a", "a\r\n", "a\n", "a\r"].into_iter().any(flaw));
    }

    #[test]
    fn a_long_line_is_cut_but_measured_and_the_next_is_whole() {
        let lines = cut("12345\r\n123456\r\n1234567890abcdef\n12345", 5);
        let seen: Vec<(u64, bool, u64)> =
            lines.iter().map(|(number, body, size, _)| (*number, body.len() > 5, *size)).collect();
        assert_eq!(seen, [(1, false, 5), (2, true, 6), (3, true, 16), (4, false, 5)]);
        assert!(lines.iter().all(|(_, body, _, _)| body.len() <= 11));
    }
}
