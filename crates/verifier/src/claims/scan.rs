//! The members of a JSON object, one by one, as a reader that accepts more than JSON may see them.
//!
//! Services read tokens with parsers that take `NaN`, half a surrogate pair, or bytes that are no UTF-8. What
//! such a parser reads must be read here, too, or its token is denied by nothing. So a value that nobody asks
//! for is skipped by its shape alone, at any depth and without recursion.

use std::borrow::Cow;

/// Something whose end cannot be told: single quotes, comments, a string without an end. What lies behind it
/// is not known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// A string's bytes between its quotes.
#[derive(Clone, Copy)]
pub(super) struct Quoted<'a> {
    bytes: &'a [u8],
    has_escapes: bool,
}

/// A member's value.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// A string.
    Text(Quoted<'a>),
    /// A number, `true`, `null`, `NaN`, …
    Bare(&'a [u8]),
    /// An object or an array.
    Nested,
}

/// What is left of an object.
pub(super) struct Members<'a> {
    rest: &'a [u8],
}

impl<'a> Members<'a> {
    /// The members of the object that `json` begins with. Whatever follows its end is no member of it.
    pub(super) fn of(json: &'a [u8]) -> Option<Self> {
        let mut members = Self { rest: json };
        members.skip(is_blank);
        members.take_if(b'{').then_some(members)
    }

    /// The next member, or `None` at the object's end. A comma too many or too few hides nothing.
    pub(super) fn next(&mut self) -> Result<Option<(Quoted<'a>, Value<'a>)>, Unreadable> {
        self.skip(|byte| is_blank(byte) || byte == b',');
        if self.take_if(b'}') {
            return Ok(None);
        }
        let name = if self.take_if(b'"') { self.string()? } else { return Err(Unreadable) };
        self.skip(is_blank);
        if !self.take_if(b':') {
            return Err(Unreadable);
        }
        self.skip(is_blank);
        Ok(Some((name, self.value()?)))
    }

    /// Whether nothing but blanks is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.iter().all(|byte| is_blank(*byte))
    }

    fn value(&mut self) -> Result<Value<'a>, Unreadable> {
        match self.rest.first() {
            Some(b'"') => {
                self.take(1);
                self.string().map(Value::Text)
            }
            Some(b'{' | b'[') => self.nested().map(|()| Value::Nested),
            _ => match (self.skip(is_bare), self.rest) {
                ([], _) => Err(Unreadable),
                (bare, [after, ..]) if is_blank(*after) || matches!(after, b',' | b'}') => {
                    Ok(Value::Bare(bare))
                }
                _ => Err(Unreadable),
            },
        }
    }

    /// The rest of a string whose first quote is taken.
    fn string(&mut self) -> Result<Quoted<'a>, Unreadable> {
        let (mut end, mut has_escapes) = (0, false);
        loop {
            let ahead = self.rest.get(end..).unwrap_or_default();
            end += ahead.iter().position(|byte| matches!(byte, b'"' | b'\\')).ok_or(Unreadable)?;
            if self.rest.get(end) == Some(&b'"') {
                break;
            }
            has_escapes = true;
            end += 2;
        }
        let bytes = self.take(end);
        self.take(1);
        Ok(Quoted { bytes, has_escapes })
    }

    fn nested(&mut self) -> Result<(), Unreadable> {
        let mut depth = 0_usize;
        loop {
            self.skip(|byte| is_blank(byte) || is_bare(byte) || matches!(byte, b',' | b':'));
            match self.take(1) {
                b"{" | b"[" => depth += 1,
                b"}" | b"]" => depth -= 1,
                b"\"" => drop(self.string()?),
                _ => return Err(Unreadable),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !skipped(*byte)).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    fn take_if(&mut self, wanted: u8) -> bool {
        self.rest.first() == Some(&wanted) && !self.take(1).is_empty()
    }
}

/// Control characters count as blanks: no parser makes anything else of them.
fn is_blank(byte: u8) -> bool {
    byte <= b' '
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

impl<'a> Quoted<'a> {
    /// The text, and whether it is exactly what was written: half surrogate pairs and bytes that are no UTF-8
    /// become U+FFFD.
    pub(super) fn text(self) -> Result<(Cow<'a, str>, bool), Unreadable> {
        let bytes =
            if self.has_escapes { Cow::Owned(unescaped(self.bytes)?) } else { Cow::Borrowed(self.bytes) };
        match bytes {
            Cow::Borrowed(bytes) => Ok(match str::from_utf8(bytes) {
                Ok(text) => (Cow::Borrowed(text), true),
                Err(_) => (String::from_utf8_lossy(bytes), false),
            }),
            Cow::Owned(bytes) => Ok(match String::from_utf8(bytes) {
                Ok(text) => (Cow::Owned(text), true),
                Err(error) => (Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()), false),
            }),
        }
    }
}

impl Quoted<'_> {
    /// The text as ISO-8859-1, where it is no UTF-8.
    pub(super) fn in_latin1(self) -> Option<String> {
        str::from_utf8(self.bytes).err()?;
        let text: String = self.bytes.iter().map(|byte| char::from(*byte)).collect();
        let (text, _) = Quoted { bytes: text.as_bytes(), has_escapes: self.has_escapes }.text().ok()?;
        Some(text.into_owned())
    }
}

/// An escape that JSON does not have leaves open what a reader makes of it.
fn unescaped(quoted: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let (mut text, mut rest) = (Vec::with_capacity(quoted.len()), quoted.iter().as_slice());
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            text.push(*byte);
            continue;
        }
        let (escape, after) = rest.split_first().ok_or(Unreadable)?;
        rest = after;
        match escape {
            b'"' | b'\\' | b'/' => text.push(*escape),
            b'b' => text.push(8),
            b'f' => text.push(12),
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'u' => push_code_point(&mut text, &mut rest)?,
            _ => return Err(Unreadable),
        }
    }
    Ok(text)
}

/// The code point after `\u`, with the second half of a pair where one follows.
fn push_code_point(text: &mut Vec<u8>, rest: &mut &[u8]) -> Result<(), Unreadable> {
    let first = hex4(rest).ok_or(Unreadable)?;
    *rest = rest.get(4..).unwrap_or_default();
    let second = rest.strip_prefix(b"\\u").and_then(hex4).filter(|second| (0xdc00..0xe000).contains(second));
    if let (0xd800..0xdc00, Some(second)) = (first, second) {
        *rest = rest.get(6..).unwrap_or_default();
        push_utf8(text, 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
    } else {
        push_utf8(text, first);
    }
    Ok(())
}

fn hex4(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.first_chunk::<4>()?;
    digits.iter().try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
}

/// Appends a code point as UTF-8; one that has none, as half a surrogate pair, as a byte that is no UTF-8
/// anywhere, so that it is seen later.
pub(super) fn push_utf8(text: &mut Vec<u8>, code_point: u32) {
    match char::from_u32(code_point) {
        Some(character) => text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        None => text.push(0xff),
    }
}
