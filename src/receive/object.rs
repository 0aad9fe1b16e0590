//! A JSON object, read strictly: a member that is given twice refuses all of it, because readers disagree on
//! which one counts, and a member of a wrong type is never taken for an absent one.

use std::fmt;

use revocation_verifier::claims::MAX_NAME_BYTES;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// An object. Errors are sentences that name the member and quote nothing.
#[derive(Clone, Default)]
pub(super) struct Object(Map<String, Value>);

impl Object {
    /// Reads all of `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        match serde_json::from_slice(bytes) {
            Ok(Strict(Value::Object(members))) => Ok(Self(members)),
            Ok(_) => Err("is JSON but not an object"),
            Err(_) => Err("is not JSON, or has a member twice"),
        }
    }

    /// Whether a member is there, whatever it is.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A member, whatever it is.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The names of its members.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A text that may be empty.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{name} must be a string")),
        }
    }

    /// A text that names something: not empty, and no longer than names in events may be.
    pub(super) fn name(&self, name: &str) -> Result<Option<&str>, String> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match text {
            "" => Err(format!("{name} must not be empty")),
            text if text.len() > MAX_NAME_BYTES => {
                Err(format!("{name} is longer than {MAX_NAME_BYTES} bytes"))
            }
            text if text.contains('\0') => Err(format!("{name} contains U+0000, which cannot be stored")),
            text => Ok(Some(text)),
        }
    }

    /// Such a text that must be there.
    pub(super) fn required_name(&self, name: &str) -> Result<&str, String> {
        self.name(name)?.ok_or_else(|| format!("{name} is missing"))
    }

    /// A NumericDate (RFC 7519 section 2), in whole seconds.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<i64>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => whole(number)
                .filter(|seconds| *seconds >= 0)
                .map(Some)
                .ok_or_else(|| format!("{name} is no time: seconds since 1970")),
            Some(_) => Err(format!("{name} must be a number: seconds since 1970")),
        }
    }

    /// A list of objects in it; empty where it is absent.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<Self>, String> {
        let wrong = || format!("{name} must be a list of objects");
        let of_value = |value: &Value| match value {
            Value::Object(members) => Some(Self(members.clone())),
            _ => None,
        };
        match self.0.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => list.iter().map(of_value).collect::<Option<_>>().ok_or_else(wrong),
            Some(_) => Err(wrong()),
        }
    }

    /// An object in it.
    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(Self(members.clone()))),
            Some(_) => Err(format!("{name} must be an object")),
        }
    }
}

/// Some libraries write a time with a fraction.
fn whole(number: &Number) -> Option<i64> {
    /// Beyond it a double has no whole numbers any more.
    const EXACT: f64 = 9e15;
    let of_fraction = || number.as_f64().filter(|number| number.abs() < EXACT).map(|number| number as i64);
    number.as_i64().or_else(of_fraction)
}

/// A value in which no object has a member twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(value))) = map.next_entry::<String, Strict>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is given twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_given_twice_refuses_all_of_it_however_deep() {
        for twice in [r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"b":2}}"#, r#"{"a":[{"b":1,"\u0062":2}]}"#] {
            assert!(Object::read(twice.as_bytes()).is_err(), "{twice}");
        }
        for once in [r#"{"a":1,"b":1}"#, r#"{"a":{"a":1}}"#, "{}"] {
            assert!(Object::read(once.as_bytes()).is_ok(), "{once}");
        }
        for none in ["", "[]", "\"a\"", "1", "{} {}", "{\"a\":1", "\u{feff}{}"] {
            assert!(Object::read(none.as_bytes()).is_err(), "{none}");
        }
    }

    #[test]
    fn times_are_seconds_and_nothing_else() {
        let time = |text: &str| Object::read(format!(r#"{{"t":{text}}}"#).as_bytes()).unwrap().seconds("t");
        assert_eq!(time("1700000000"), Ok(Some(1_700_000_000)));
        assert_eq!(time("1700000000.75"), Ok(Some(1_700_000_000)));
        assert_eq!(time("1.7e9"), Ok(Some(1_700_000_000)));
        for bad in ["-1", "1e300", "\"1700000000\"", "null", "true", "[1]", "18446744073709551615"] {
            assert!(time(bad).is_err(), "{bad}");
        }
        assert_eq!(Object::read(b"{}").unwrap().seconds("t"), Ok(None));
    }

    #[test]
    fn names_are_texts_that_events_can_hold() {
        let name = |text: &str| Object::read(format!(r#"{{"n":{text}}}"#).as_bytes()).unwrap();
        assert_eq!(name(r#""user-1""#).name("n"), Ok(Some("user-1")));
        let long = format!("\"{}\"", "x".repeat(MAX_NAME_BYTES + 1));
        for bad in ["\"\"", "null", "1", "[\"user-1\"]", r#""a\u0000b""#, &long] {
            assert!(name(bad).name("n").is_err(), "{bad}");
        }
        assert!(name("1").required_name("m").is_err());
    }
}
