//! What a claim's value says: a name, or a moment.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::MAX_NAME_BYTES;
use super::scan::{Unreadable, Value};

/// A name as it can be stored and compared; any other counts as missing, in the worker as in verifiers.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && !text.contains('\0')
}

/// A string, or an integer as its decimal text; whether the text is exactly what was written, too.
pub(super) fn name(value: Value<'_>) -> Result<Option<(Cow<'_, str>, bool)>, Unreadable> {
    let (text, is_exact) = match value {
        Value::Text(quoted) => quoted.text()?,
        Value::Bare(bare) => match integer(bare) {
            Some(digits) => (Cow::Borrowed(digits), true),
            None if is_no_name(bare) => return Ok(None),
            None => return Err(Unreadable),
        },
        Value::Nested => return Ok(None),
    };
    Ok(is_name(&text).then_some((text, is_exact)))
}

/// An integer in JSON's form, of any size: no fraction, no exponent, no zeros in front.
fn integer(bare: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bare).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    match digits.as_bytes() {
        [b'0'] => Some(digits),
        [b'1'..=b'9', more @ ..] if more.iter().all(u8::is_ascii_digit) => Some(text),
        _ => None,
    }
}

/// The name that a reader of ISO-8859-1 sees, where the text is no UTF-8: the user whom the issuer writes so
/// may be known by it.
pub(super) fn twin(value: Value<'_>) -> Option<String> {
    let Value::Text(quoted) = value else { return None };
    quoted.in_latin1().filter(|text| is_name(text))
}

/// What no reader takes for text or an integer. Of other words (`007`, `0x1F`, text without quotes) lenient
/// readers make a name.
fn is_no_name(bare: &[u8]) -> bool {
    let is_number = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
        matches!(digits, [b'0', b'.' | b'e' | b'E', ..] | [b'1'..=b'9', ..]) && text.parse::<f64>().is_ok()
    };
    matches!(bare, b"true" | b"false" | b"null" | b"NaN" | b"Infinity" | b"-Infinity")
        || str::from_utf8(bare).is_ok_and(is_number)
}

/// [`name`] of a value that another parser has read.
pub(super) fn name_of_json(value: Json) -> Option<String> {
    let text = match value {
        Json::String(text) => text,
        Json::Number(number) if !number.is_f64() => number.to_string(),
        _ => return None,
    };
    is_name(&text).then_some(text)
}

/// A moment as JWTs write it (RFC 7519 section 2, NumericDate: seconds since 1970, perhaps with a fraction),
/// kept in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumericDate(i64);

/// What is done with the part of a millisecond.
#[derive(Clone, Copy)]
pub(super) enum Round {
    /// For `iat`: it makes a token older, never younger.
    Down,
    /// For `exp`: no denial ends before its token.
    Up,
}

impl Round {
    /// How far beyond the sizes of the table the next unit begins.
    fn margin(self) -> i64 {
        match self {
            Self::Down => 1,
            Self::Up => 10,
        }
    }
}

impl NumericDate {
    /// From whole seconds since 1970.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// From milliseconds since 1970.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.0
    }

    pub(super) fn of_value(value: Value<'_>, round: Round) -> Option<Self> {
        let Value::Bare(bare) = value else { return None };
        let text = str::from_utf8(bare).ok()?;
        match text.parse() {
            Ok(whole) => Some(Self::of_integer(whole, round)),
            // `f64` reads `NaN` and `inf`, too, which are no moments.
            Err(_) => text.parse().ok().and_then(|number| Self::of_float(number, round)),
        }
    }

    pub(super) fn of_json(value: &Json, round: Round) -> Option<Self> {
        match value.as_i64() {
            Some(whole) => Some(Self::of_integer(whole, round)),
            None => value.as_f64().and_then(|number| Self::of_float(number, round)),
        }
    }

    /// Issuers write milli-, micro- and nanoseconds, too. Seconds reach 1e11 in the year 5138, milliseconds
    /// were there in 1973:
    ///
    /// | absolute value | unit |
    /// |---|---|
    /// | below 1e11 | seconds |
    /// | below 1e14 | milliseconds |
    /// | below 1e17 | microseconds |
    /// | from there on | nanoseconds |
    ///
    /// An `exp` is read so only from ten times these sizes on, which it has in 2001: 253402300799, the end of
    /// 9999, is written for "never", and as milliseconds it would have refused the token since 1978.
    fn of_integer(number: i64, round: Round) -> Self {
        let per_milli = match number.unsigned_abs() / round.margin().unsigned_abs() {
            0..100_000_000_000 => return Self::from_seconds(number),
            100_000_000_000..100_000_000_000_000 => return Self(number),
            100_000_000_000_000..100_000_000_000_000_000 => 1000,
            _ => 1_000_000,
        };
        let whole = number.div_euclid(per_milli);
        match round {
            Round::Up if number.rem_euclid(per_milli) > 0 => Self(whole + 1),
            Round::Up | Round::Down => Self(whole),
        }
    }

    /// The same table. The conversion to an integer saturates.
    fn of_float(number: f64, round: Round) -> Option<Self> {
        let millis = match number.abs() / round.margin() as f64 {
            size if !size.is_finite() => return None,
            ..1e11 => number * 1e3,
            ..1e14 => number,
            ..1e17 => number / 1e3,
            _ => number / 1e6,
        };
        match round {
            Round::Down => Some(Self(millis.floor() as i64)),
            Round::Up => Some(Self(millis.ceil() as i64)),
        }
    }
}
