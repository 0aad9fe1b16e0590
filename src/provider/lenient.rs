//! JSON as servers write it: what a strict parser refuses in one place must not hide the error code that
//! stands in another.
//!
//! Read as they are meant: NaN, Python's and JavaScript's words, comments, stray commas, single quotes,
//! halves of surrogate pairs, numbers beyond any type, several documents in a row, guards such as `)]}'` and
//! `callback(` before them. A member that comes twice with different values becomes the list of both, so that
//! neither is believed alone.

use serde_json::{Map, Number, Value};

/// Deepest nesting that is read; what lies deeper is passed over.
const MAX_DEPTH: usize = 64;
/// Most documents in a row.
const MAX_DOCUMENTS: usize = 16;
/// Longest guard before a document, bytes.
const MAX_GUARD: usize = 64;

/// What was read.
pub(super) struct Document {
    pub(super) value: Value,
    /// Whether it is whole: every bracket and quote closed, nothing but white space around. Only what is
    /// whole can say yes.
    pub(super) is_whole: bool,
    /// Whether it ends too soon, or stops being JSON in its middle.
    pub(super) is_broken: bool,
}

/// The objects or lists in `text`, or its only scalar; `None` where it holds no JSON.
pub(super) fn parse(text: &str) -> Option<Document> {
    let text = text.trim();
    if !text.starts_with(['{', '[', '/', ')'])
        && let Ok(value) = serde_json::from_str(text)
    {
        return Some(Document { value, is_whole: true, is_broken: false });
    }
    let start = text.find(['{', '[']).filter(|start| is_guard(&text[..*start]))?;
    let mut reader = Reader { rest: &text[start..], is_broken: false };
    let mut values = Vec::new();
    while values.len() < MAX_DOCUMENTS && reader.rest.starts_with(['{', '[']) {
        values.push(reader.value(0)?);
        reader.skip(&['&', ',', ';']);
    }
    let is_broken = reader.is_broken;
    let is_whole = !is_broken && start == 0 && reader.rest.is_empty() && values.len() == 1;
    let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
    let holds_something = is_whole || value.as_object().is_none_or(|members| !members.is_empty());
    holds_something.then_some(Document { value, is_whole, is_broken })
}

/// Nothing, or what servers put before JSON so that no script tag can read it.
fn is_guard(text: &str) -> bool {
    let text = text.trim_end();
    let is_guards =
        |c: char| c.is_ascii_alphanumeric() || c.is_whitespace() || "_$.();,:'\"})]/*=-!".contains(c);
    text.len() <= MAX_GUARD
        && text.chars().all(is_guards)
        && (text.is_empty() || text.ends_with(['(', ';', ',', '\'', ':', '/', '=']))
}

/// Adds a member; one that is there with another value becomes the list of both.
pub(super) fn insert(members: &mut Map<String, Value>, name: String, value: Value) {
    let value = match members.remove(&name) {
        Some(first) if first == value => value,
        // Flat, however often it comes: what lies deep is taken apart by recursion.
        Some(Value::Array(mut values)) => {
            values.push(value);
            Value::Array(values)
        }
        Some(first) => Value::Array(vec![first, value]),
        None => value,
    };
    members.insert(name, value);
}

struct Reader<'a> {
    rest: &'a str,
    is_broken: bool,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.rest.chars().next()? {
            '{' | '[' if depth >= MAX_DEPTH => Some(self.pass_over()),
            '{' => self.object(depth + 1),
            '[' => self.list(depth + 1),
            quote @ ('"' | '\'') => Some(Value::String(self.string(quote))),
            _ => self.word().map(|word| meaning(&word, &mut self.is_broken)),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        let mut members = Map::new();
        self.advance(1);
        while self.goes_on('}') {
            let name = match self.rest.chars().next() {
                Some(quote @ ('"' | '\'')) => Some(self.string(quote)),
                _ => self.word(),
            };
            self.skip(&[]);
            let value = match name.is_some() && self.rest.starts_with(':') {
                true => {
                    self.advance(1);
                    self.skip(&[]);
                    self.value(depth)
                }
                false => None,
            };
            let (Some(name), Some(value)) = (name, value) else { return self.broken(members) };
            insert(&mut members, name, value);
        }
        Some(Value::Object(members))
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut values = Vec::new();
        self.advance(1);
        while self.goes_on(']') {
            let Some(value) = self.value(depth) else {
                self.is_broken = true;
                break;
            };
            values.push(value);
        }
        Some(Value::Array(values))
    }

    /// Whether another member follows; the closing bracket is taken.
    fn goes_on(&mut self, end: char) -> bool {
        self.skip(&[',']);
        if self.rest.starts_with(end) {
            self.advance(1);
            return false;
        }
        self.is_broken |= self.rest.is_empty();
        !self.rest.is_empty()
    }

    /// What was read before the text stopped being JSON; nothing where it never was.
    fn broken(&mut self, members: Map<String, Value>) -> Option<Value> {
        self.is_broken = true;
        self.rest = "";
        (!members.is_empty()).then_some(Value::Object(members))
    }

    fn string(&mut self, quote: char) -> String {
        let mut text = String::new();
        self.advance(1);
        while let Some(c) = self.rest.chars().next() {
            self.advance(c.len_utf8());
            match c {
                '\\' => text.push(self.escape()),
                c if c == quote => return text,
                c => text.push(c),
            }
        }
        self.is_broken = true;
        text
    }

    fn escape(&mut self) -> char {
        let Some(c) = self.rest.chars().next() else { return '\u{fffd}' };
        self.advance(c.len_utf8());
        match c {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' | 'f' => ' ',
            'u' => self.hex(4).map_or('\u{fffd}', |unit| self.scalar(unit)),
            'x' => self.hex(2).and_then(char::from_u32).unwrap_or('\u{fffd}'),
            other => other,
        }
    }

    /// The character of a UTF-16 unit and, where it is the first of a pair, the escape after it.
    fn scalar(&mut self, unit: u32) -> char {
        if (0xd800..0xdc00).contains(&unit) && self.rest.starts_with("\\u") {
            let low = self.rest.get(2..6).and_then(|digits| u32::from_str_radix(digits, 16).ok());
            if let Some(low) = low.filter(|low| (0xdc00..0xe000).contains(low)) {
                self.advance(6);
                return char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
                    .unwrap_or('\u{fffd}');
            }
        }
        char::from_u32(unit).unwrap_or('\u{fffd}')
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        let number = u32::from_str_radix(self.rest.get(..digits)?, 16).ok()?;
        self.advance(digits);
        Some(number)
    }

    fn word(&mut self) -> Option<String> {
        let end =
            self.rest.find(|c: char| c.is_whitespace() || ",:{}[]\"'".contains(c)).unwrap_or(self.rest.len());
        let word = self.rest[..end].to_owned();
        self.advance(end);
        (!word.is_empty()).then_some(word)
    }

    /// White space, comments, and the characters of `also`.
    fn skip(&mut self, also: &[char]) {
        loop {
            self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || also.contains(&c));
            let end = match self.rest.get(..2) {
                Some("//") => self.rest.find('\n'),
                Some("/*") => self.rest.find("*/").map(|end| end + 2),
                _ => return,
            };
            self.rest = end.map_or("", |end| &self.rest[end..]);
        }
    }

    /// Null in place of a value that is too deep.
    fn pass_over(&mut self) -> Value {
        let mut open = 0_usize;
        while let Some(c) = self.rest.chars().next() {
            match c {
                '"' => {
                    self.string('"');
                    continue;
                }
                '{' | '[' => open += 1,
                '}' | ']' => open -= 1,
                _ => {}
            }
            self.advance(c.len_utf8());
            if open == 0 {
                return Value::Null;
            }
        }
        self.is_broken = true;
        Value::Null
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

/// What a word without quotes means; one that no language knows is text, in a document that is broken.
fn meaning(word: &str, is_broken: &mut bool) -> Value {
    match word {
        "true" | "True" => Value::Bool(true),
        "false" | "False" => Value::Bool(false),
        "null" | "None" | "undefined" | "NaN" | "Infinity" | "-Infinity" => Value::Null,
        _ => number(word).unwrap_or_else(|| {
            *is_broken |= word.parse::<f64>().is_err();
            Value::String(word.to_owned())
        }),
    }
}

fn number(word: &str) -> Option<Value> {
    let integer = word.parse::<i64>().map(Number::from).or_else(|_| word.parse::<u64>().map(Number::from));
    integer.ok().or_else(|| word.parse().ok().and_then(Number::from_f64)).map(Value::Number)
}

#[cfg(test)]
mod tests;
