//! Lines of a file or of standard input, each with its number; read by a thread of their own.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

use tokio::sync::mpsc;

use super::CommandError;
use super::output::remark;

/// Lines that are read ahead.
const READ_AHEAD: usize = 64;

/// One line that is not blank. It may hold raw tokens.
pub(super) struct Line {
    /// From 1, blank lines counted.
    pub(super) number: u64,
    /// Without the line's end; cut after the limit.
    pub(super) body: Vec<u8>,
    /// Bytes of the whole line, also of what was cut.
    pub(super) size: u64,
    /// Bytes of the input up to the end of this line.
    pub(super) end: u64,
}

/// The lines of one input.
pub(super) struct Lines {
    /// Bytes of the input, where they are known.
    pub(super) total: Option<u64>,
    lines: mpsc::Receiver<io::Result<Line>>,
}

impl Lines {
    /// Opens `file`; none or `-` is standard input. No more than `limit` bytes of a line are kept, and one to tell that it is longer.
    pub(super) fn open(file: Option<&Path>, limit: usize) -> Result<Self, CommandError> {
        let Some(path) = file.filter(|path| *path != Path::new("-")) else {
            if io::stdin().is_terminal() {
                remark("reading events from the terminal, one a line; Ctrl-D ends");
            }
            return Ok(Self::read(io::stdin(), None, limit));
        };
        let failed = |e: io::Error| CommandError::failed(format!("read {}: {e}", path.display()));
        let opened = File::open(path).map_err(failed)?;
        let about = opened.metadata().map_err(failed)?;
        Ok(Self::read(opened, about.is_file().then_some(about.len()), limit))
    }

    /// A thread, not a task: a read of standard input cannot be cancelled, and the process must be able to end meanwhile.
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
    pub(super) async fn next(&mut self) -> Result<Option<Line>, CommandError> {
        self.lines.recv().await.transpose().map_err(|e| CommandError::failed(format!("read the input: {e}")))
    }
}

/// Cuts an input into lines.
pub(super) struct Cutter<R> {
    input: R,
    limit: usize,
    number: u64,
    end: u64,
}

impl<R: Read> Cutter<BufReader<R>> {
    /// Keeps no more than `limit` bytes of a line, and a little to tell that it is longer.
    pub(super) fn new(input: R, limit: usize) -> Self {
        Self { input: BufReader::with_capacity(1 << 16, input), limit, number: 0, end: 0 }
    }

    /// What the lines are cut from.
    pub(super) fn input(&self) -> &R {
        self.input.get_ref()
    }
}

impl<R: BufRead> Cutter<R> {
    /// The next line that is not blank; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let mut body = Vec::new();
            let Some(mut size) = self.cut(&mut body)? else { return Ok(None) };
            self.number += 1;
            if body.len() as u64 == size && body.last() == Some(&b'\r') {
                body.pop();
                size -= 1;
            }
            if !body.trim_ascii().is_empty() {
                return Ok(Some(Line { number: self.number, body, size, end: self.end }));
            }
        }
    }

    /// Reads up to the next line feed, which is taken and not kept. Returns the line's size, `None` at the end of the input.
    fn cut(&mut self, body: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let start = self.end;
        loop {
            let chunk = self.input.fill_buf()?;
            let feed = chunk.iter().position(|byte| *byte == b'\n');
            let length = feed.unwrap_or(chunk.len());
            // Two more than the limit: a carriage return, and one that shows that the line is too long.
            let room = (self.limit + 2).saturating_sub(body.len());
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
        let mut cutter = Cutter { input: BufReader::with_capacity(3, text.as_bytes()), limit, number: 0, end: 0 };
        let lines = std::iter::from_fn(move || cutter.next().unwrap());
        lines.map(|line| (line.number, String::from_utf8(line.body).unwrap(), line.size, line.end)).collect()
    }

    #[test]
    fn lines_keep_their_numbers_over_blank_ones() {
        assert_eq!(cut("{}\n\n  \r\n[1,2]\r\nlast", 9), [(1, "{}".into(), 2, 3), (4, "[1,2]".into(), 5, 15), (5, "last".into(), 4, 19)]);
        assert_eq!(cut("", 9), []);
        assert_eq!(cut("\n", 9), []);
    }

    #[test]
    fn a_long_line_is_cut_but_measured_and_the_next_is_whole() {
        let lines = cut("12345\r\n123456\r\n1234567890abcdef\n12345", 5);
        let seen: Vec<(u64, bool, u64)> = lines.iter().map(|(number, body, size, _)| (*number, body.len() > 5, *size)).collect();
        assert_eq!(seen, [(1, false, 5), (2, true, 6), (3, true, 16), (4, false, 5)]);
        assert!(lines.iter().all(|(_, body, _, _)| body.len() <= 8));
    }
}
