//! A walk over the strings and tables of one payload, which repairs them where they lie.

use std::ops::Range;

/// Tables and arrays in each other, the headers themselves included. The broker's own (`x-death`) take three.
pub(super) const DEEPEST: usize = 16;

/// A place in a payload. Every step says whether it repaired something; `None`: the payload ends before it.
pub(super) struct Walk<'a> {
    pub(super) bytes: &'a mut [u8],
    pub(super) at: usize,
    /// Whether a table has a name twice, or could not be read: readers differ in what they take for its
    /// value.
    pub(super) is_ambiguous: bool,
    /// Values in tables and arrays so far.
    pub(super) values: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a mut [u8], at: usize) -> Self {
        Self { bytes, at, is_ambiguous: false, values: 0 }
    }

    pub(super) fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(taken)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    /// The length of a long string, a table or an array, which ends within `end`.
    fn length(&mut self, end: usize) -> Option<usize> {
        let length = usize::try_from(u32::from_be_bytes(self.take()?)).ok()?;
        self.at.checked_add(length).filter(|past| *past <= end).map(|_| length)
    }

    pub(super) fn short(&mut self) -> Option<bool> {
        let [length] = self.take()?;
        let start = self.at;
        self.skip(length.into())?;
        Some(mend_text(&mut self.bytes[start..self.at]))
    }

    /// The table of headers. One that makes no sense becomes a single array of bytes.
    pub(super) fn headers(&mut self) -> Option<bool> {
        let end = self.bytes.len();
        let length = self.length(end)?;
        let (start, end) = (self.at, self.at + length);
        let repaired = self.entries(end, 1, true);
        if repaired.is_none() {
            (self.is_ambiguous, self.values) = (true, 1);
        }
        let table = &mut self.bytes[start..end];
        self.at = end;
        Some(repaired.unwrap_or_else(|| make_opaque(table)))
    }

    /// The entries of a table, or of an array, whose values have no names.
    fn entries(&mut self, end: usize, depth: usize, named: bool) -> Option<bool> {
        let (mut repaired, mut names) = (false, Vec::new());
        while self.at < end {
            let start = self.at;
            if named {
                repaired |= self.short()?;
                names.push(start..self.at);
            }
            repaired |= self.value(end, depth)?;
        }
        self.is_ambiguous |= has_twins(self.bytes, names);
        (self.at == end).then_some(repaired)
    }

    pub(super) fn value(&mut self, end: usize, depth: usize) -> Option<bool> {
        self.values += 1;
        let tag = self.at;
        let [kind] = self.take()?;
        let bytes = match kind {
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'U' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'l' | b'L' | b'd' | b'T' => 8,
            b'S' | b'x' => self.length(end)?,
            b'F' | b'A' => {
                let length = self.length(end)?;
                if depth < DEEPEST {
                    return self.entries(self.at + length, depth + 1, kind == b'F');
                }
                self.bytes[tag] = b'x';
                self.skip(length)?;
                return Some(true);
            }
            _ => return None,
        };
        self.skip(bytes)?;
        Some(false)
    }
}

/// Whether two of the names are equal.
fn has_twins(bytes: &[u8], mut names: Vec<Range<usize>>) -> bool {
    let text = |name: &Range<usize>| &bytes[name.clone()];
    names.sort_unstable_by(|a, b| text(a).cmp(text(b)));
    names.windows(2).any(|pair| text(&pair[0]) == text(&pair[1]))
}

/// Every byte that is no part of UTF-8 becomes `?`. Returns whether there was one.
fn mend_text(text: &mut [u8]) -> bool {
    let mut from = 0;
    while let Err(error) = std::str::from_utf8(&text[from..]) {
        let bad = from + error.valid_up_to();
        from = error.error_len().map_or(text.len(), |length| bad + length);
        text[bad..from].fill(b'?');
    }
    from > 0
}

/// A table of the same length that the client reads: one value without a name.
pub(super) fn make_opaque(table: &mut [u8]) -> bool {
    let length = table.len();
    if let Some(([name, kind], rest)) = table.split_first_chunk_mut::<2>()
        && let Some((size, bytes)) = rest.split_first_chunk_mut::<4>()
    {
        let left = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        (*name, *kind, *size) = (0, b'x', left.to_be_bytes());
    } else if let [name, .., kind] = table {
        // A name of the bytes between, and no value.
        (*name, *kind) = (u8::try_from(length - 2).unwrap_or(0), b'V');
        table[1..length - 1].fill(b'?');
    }
    true
}
