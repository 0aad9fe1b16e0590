//! JSON as a tree that borrows the body.
//!
//! Two reasons not to use `serde_json::Value`: strings stay slices of the body, so that a token is copied
//! once, into the type that wipes it; and an object keeps a member that was given twice, which `Value` would
//! silently drop.

mod mend;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Refusal, RefusalCode};

/// An object's members in the order given, repeated ones included.
pub(super) type Entries<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// One JSON value.
pub(super) enum Json<'a> {
    Null,
    Bool,
    /// A number without fraction or exponent that fits.
    Integer(i64),
    /// Any other number: no member takes one.
    Float,
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Entries<'a>),
}

impl<'a> Json<'a> {
    /// Reads a whole body: `not_json` or `too_deep` where it cannot be. The refusal gives the place and
    /// quotes nothing.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(body).map_err(|error| {
            Refusal::new(
                RefusalCode::NotJson,
                format!("the body is not UTF-8 from byte {} on; send uncompressed JSON", error.valid_up_to()),
            )
        })?;
        let of_mended = || {
            let mended = mend::mended(text)?;
            serde_json::from_str::<Json<'_>>(&mended).ok().map(Json::owned)
        };
        serde_json::from_str(text).or_else(|error| of_mended().ok_or_else(|| refusal(&error)))
    }

    /// The same, borrowing nothing.
    fn owned(self) -> Json<'static> {
        match self {
            Self::Null => Json::Null,
            Self::Bool => Json::Bool,
            Self::Integer(number) => Json::Integer(number),
            Self::Float => Json::Float,
            Self::Text(text) => Json::Text(Cow::Owned(text.into_owned())),
            Self::List(list) => Json::List(list.into_iter().map(Json::owned).collect()),
            Self::Object(entries) => {
                let owned =
                    |(name, value): (Cow<'_, str>, Json<'_>)| (Cow::Owned(name.into_owned()), value.owned());
                Json::Object(entries.into_iter().map(owned).collect())
            }
        }
    }
}

/// serde_json stops at 128 levels and says so only in the text of its error.
fn refusal(error: &serde_json::Error) -> Refusal {
    let place = format!("line {} column {}", error.line(), error.column());
    if error.to_string().starts_with("recursion limit exceeded") {
        return Refusal::new(
            RefusalCode::TooDeep,
            format!("the body is nested 128 levels deep or more at {place}"),
        );
    }
    Refusal::new(RefusalCode::NotJson, format!("the body is not JSON: {error}"))
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Json::Float, Json::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Json::Float)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    /// Strings with escapes arrive here.
    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(8);
        // A name is read as a `Json` too, because that is what borrows; in JSON it is always text.
        while let Some((Json::Text(name), value)) = map.next_entry()? {
            entries.push((name, value));
        }
        Ok(Json::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &[u8]) -> Option<RefusalCode> {
        Json::read(body).err().map(|refusal| refusal.code)
    }

    #[test]
    fn strings_without_escapes_are_not_copied() {
        let Ok(Json::List(list)) = Json::read(br#"["plain", "esc\u0061ped"]"#) else { panic!("a list") };
        assert!(matches!(list[0], Json::Text(Cow::Borrowed("plain"))));
        assert!(matches!(&list[1], Json::Text(Cow::Owned(text)) if text == "escaped"));
    }

    #[test]
    fn repeated_members_stay_visible() {
        let Ok(Json::Object(entries)) = Json::read(br#"{"a":1,"a":2.5}"#) else { panic!("an object") };
        assert!(matches!(&entries[..], [(_, Json::Integer(1)), (_, Json::Float)]));
    }

    #[test]
    fn the_depth_limit_is_the_one_that_the_refusal_names() {
        let nested = |levels: usize| [b"[".repeat(levels), b"]".repeat(levels)].concat();
        assert_eq!(code(&nested(127)), None);
        assert_eq!(code(&nested(128)), Some(RefusalCode::TooDeep));
        assert_eq!(code(&b"[".repeat(100_000)), Some(RefusalCode::TooDeep));
        assert_eq!(code(&br#"{"a":"#.repeat(100_000)), Some(RefusalCode::TooDeep));
    }

    #[test]
    fn what_only_a_type_cannot_hold_is_json() {
        for body in [&b"[1e999]"[..], br#"["\ud800"]"#, br#"{"\udc00x":-1e999}"#] {
            assert_eq!(code(body), None, "{body:?}");
        }
    }

    #[test]
    fn what_is_not_json_is_told_by_its_place() {
        for body in [&b""[..], b"{", b"{} x", b"{'a':1}", b"\x1f\x8b\x08", b"\"\xff\"", b"\xef\xbb\xbf{}"] {
            assert_eq!(code(body), Some(RefusalCode::NotJson), "{body:?}");
        }
        let detail = Json::read(b"{\"a\": nope}").err().map(|refusal| refusal.detail);
        assert_eq!(detail.as_deref(), Some("the body is not JSON: expected ident at line 1 column 8"));
    }
}
