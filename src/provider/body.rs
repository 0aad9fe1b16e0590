//! A response's body: the one place that decodes it. Whatever encoding or mark it has, its members are found,
//! or it counts as unknown.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::lenient::{self, Document, insert};
use super::markup;
use super::normal::entities;

/// How everything that gzip has made begins (RFC 1952 section 2.3.1); no text does.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Most places of a text that are tried for JSON.
const MOST_BEGINNINGS: usize = 8;

/// What a body is.
pub(super) enum Body {
    /// White space at most.
    Empty,
    /// An HTML page: never an answer of an OAuth endpoint's own.
    Page,
    /// JSON.
    Json(Document),
    /// An object with members in the middle of a text: it can say no, and never yes.
    Within(Value),
    /// The fields of a form or the elements of XML.
    Fields(Value),
    /// Compressed, although no request asks for that, or otherwise no text.
    Encoded,
    /// Whatever it is, a firewall sent it, to find out who asks.
    Challenge,
    /// The beginning of longer JSON, and its members, or of what begins with blanks alone: it can say no, and
    /// never yes.
    Cut(Option<Value>),
    /// What begins like JSON and cannot be read as such.
    Garbled,
    /// Anything else.
    Text,
}

impl Body {
    /// Reads `bytes`, with the response's `Content-Type` and `Content-Encoding` where it has them.
    pub(super) fn read(bytes: &[u8], content_type: Option<&str>, encoding: Option<&str>) -> Self {
        let kind = content_type.unwrap_or_default().to_ascii_lowercase();
        if encoding
            .is_some_and(|encoding| !matches!(encoding.trim().to_ascii_lowercase().as_str(), "" | "identity"))
            && !bytes.is_empty()
            || bytes.starts_with(&GZIP)
        {
            return Self::Encoded;
        }
        let text = text(bytes, &kind);
        let text = text.trim_matches(is_blank);
        if text.is_empty() { Self::Empty } else { shape(text, &kind) }
    }

    /// What is known of a body that goes on after this.
    pub(super) fn cut(self) -> Self {
        match self {
            Self::Json(Document { value, .. }) | Self::Within(value) => Self::Cut(Some(value)),
            Self::Empty | Self::Garbled => Self::Cut(None),
            // A text says nothing against a success, however it goes on.
            Self::Page | Self::Encoded | Self::Challenge | Self::Fields(_) | Self::Text | Self::Cut(_) => {
                self
            }
        }
    }

    /// Its members, as far as they can be read.
    pub(super) fn members(&self) -> Option<&Value> {
        match self {
            Self::Json(document) => Some(&document.value),
            Self::Fields(value) | Self::Within(value) | Self::Cut(Some(value)) => Some(value),
            _ => None,
        }
    }

    /// Whether it is JSON that ends too soon, stops being JSON, or stands in something else.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self, Self::Cut(_) | Self::Within(_))
            || matches!(self, Self::Json(document) if document.is_broken)
    }

    /// Its members, if it is JSON and all of it could be read.
    pub(super) fn whole(&self) -> Option<&Value> {
        match self {
            Self::Json(document) if document.is_whole => Some(&document.value),
            _ => None,
        }
    }
}

fn shape(text: &str, kind: &str) -> Body {
    let text = markup::behind_comments(text);
    if text.starts_with('<') {
        // What says that it is a page is one, unless it has an error to tell.
        let fields =
            markup::elements(text).filter(|fields| !kind.contains("html") || fields.get("error").is_some());
        return fields.map_or(Body::Page, Body::Fields);
    }
    // A template wrote it as if it were for a page.
    let decoded = (text.starts_with(['{', '[']) && text.contains("&quot;")).then(|| entities(text));
    let text = decoded.as_deref().unwrap_or(text);
    if let Some(mut document) = lenient::parse(text).map(unquoted) {
        // RFC 9457: a document of this type tells of a problem, whatever its members are called.
        if let (true, Value::Object(members)) = (kind.contains("problem+json"), &mut document.value) {
            members.entry("error").or_insert(Value::Bool(true));
        }
        return Body::Json(document);
    }
    if markup::is_page(text) || kind.contains("html") {
        return Body::Page;
    }
    if text.starts_with(['{', '[']) {
        return Body::Garbled;
    }
    match (form(text), within(text)) {
        (Some(fields), _) => Body::Fields(fields),
        (None, Some(value)) => Body::Within(value),
        (None, None) if text.chars().any(is_binary) => Body::Encoded,
        (None, None) => Body::Text,
    }
}

/// The first object with members in a text: proxies leave sizes of chunks, boundaries and heads around it.
fn within(text: &str) -> Option<Value> {
    let begins = text.match_indices('{').take(MOST_BEGINNINGS);
    let mut values = begins.filter_map(|(at, _)| lenient::parse(&text[at..])).map(|document| document.value);
    values.find(|value| value.as_object().is_some_and(|members| !members.is_empty()))
}

/// What no text has.
fn is_binary(c: char) -> bool {
    c < ' ' && !c.is_whitespace() && c != '\u{1b}'
}

/// JSON that was written as a JSON string is read as what it was.
fn unquoted(document: Document) -> Document {
    let inner = document
        .value
        .as_str()
        .filter(|text| text.trim_start().starts_with(['{', '[']))
        .and_then(lenient::parse);
    inner.unwrap_or(document)
}

/// The fields of a form, by its shape: servers send forms as text/plain and as JSON, too.
fn form(text: &str) -> Option<Value> {
    let text = text.trim_start_matches(['?', '#', '&']);
    let (name, _) = text.split_once('=')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.[]%".contains(c);
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let mut members = Map::new();
    let fields =
        text.split(['&', ';', '\r', '\n']).flat_map(|field| form_urlencoded::parse(field.as_bytes()));
    fields.for_each(|(name, value)| {
        insert(&mut members, name.trim().to_owned(), Value::String(value.trim().to_owned()))
    });
    Some(Value::Object(members))
}

/// Decoded by its mark, else by where its NULs stand (RFC 4627 section 3), else as the type says, else UTF-8,
/// else ISO-8859-1.
fn text(bytes: &[u8], kind: &str) -> String {
    let says = |charset: &str| kind.contains("charset") && kind.contains(charset);
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [1..=255, 0, 0, 0, 1..=255, 0, 0, 0, ..] => utf32(bytes, u32::from_le_bytes),
        [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, 1..=255, 0, 0, 0, 1..=255, ..] => utf32(bytes, u32::from_be_bytes),
        [0xff, 0xfe, ..] | [1..=255, 0, 1..=255, 0, ..] => utf16(bytes, u16::from_le_bytes),
        [0xfe, 0xff, ..] | [0, 1..=255, 0, 1..=255, ..] => utf16(bytes, u16::from_be_bytes),
        _ if says("utf-16le") => utf16(bytes, u16::from_le_bytes),
        _ if says("utf-16") => utf16(bytes, u16::from_be_bytes),
        _ => bytewise(bytes),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.as_chunks().0.iter().map(|bytes| unit(*bytes));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn utf32(bytes: &[u8], unit: fn([u8; 4]) -> u32) -> String {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|bytes| char::from_u32(unit(*bytes)).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// UTF-8, of which a cut at the end may leave a part; everything else has a character a byte.
fn bytewise(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(error) if error.error_len().is_none() => String::from_utf8_lossy(bytes).into_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// White space, marks and padding around a body.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{200b}' | '\u{fffd}')
        || matches!(c, 'ï' | '»' | '¿')
}

#[cfg(test)]
mod tests;
