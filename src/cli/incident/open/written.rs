//! A target as a person wrote it, and sentences about it in that person's words. None of them quotes a value.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::event::{Refusal, RefusalCode};
use crate::target::Kind;
use crate::visible::flaw;

/// What a line may name: the members of the contract's targets, and the provider.
pub(super) const MEMBERS: [&str; 7] = [TOKEN, "token_type_hint", "sub", "sid", "client_id", "iss", PROVIDER];
const PROVIDER: &str = "provider";
const TOKEN: &str = "token";
/// What names less than a client, and at last than an issuer.
const NARROWER: [&str; 4] = [TOKEN, "sid", "sub", "client_id"];

/// A target whose names are what they look like, and that is not checked further yet.
#[derive(Clone)]
pub(super) struct Written {
    /// The provider that it names.
    pub(super) provider: Option<String>,
    /// The target as the event will have it: a JSON object without `provider`.
    pub(super) json: Zeroizing<String>,
    /// Members that stand there without a value: null, or an empty cell.
    vacant: Vec<&'static str>,
}

impl Written {
    /// A target of these members, each at most once.
    ///
    /// # Errors
    /// A value is not what a person sees of it.
    pub(super) fn of_members<'a>(
        members: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, String> {
        let mut written = Self { provider: None, json: Zeroizing::new(String::new()), vacant: Vec::new() };
        for (name, value) in members {
            check_seen(name, value)?;
            match name {
                PROVIDER => written.provider = Some(value.to_owned()),
                name => written.push(name, &Zeroizing::new(serde_json::Value::from(value).to_string())),
            }
        }
        Ok(written.ended())
    }

    /// A target of a line of NDJSON. A member that is given twice is left for the event's rules to refuse.
    ///
    /// # Errors
    /// The line is no JSON object, has a member that is not known, without which the line could mean more
    /// than it says, or a value that is not what a person sees of it.
    pub(super) fn of_json(line: &[u8]) -> Result<Self, String> {
        let Members(members) = serde_json::from_slice(line).map_err(|error| not_an_object(&error))?;
        let mut written = Self {
            provider: None,
            json: Zeroizing::new(String::with_capacity(line.len())),
            vacant: Vec::new(),
        };
        let mut has_provider = false;
        for (name, value) in members {
            match MEMBERS.into_iter().find(|known| *known == name) {
                None => return Err(unknown("has a member", &name, None)),
                Some(PROVIDER) if has_provider => return Err("provider is given twice".to_owned()),
                Some(PROVIDER) => {
                    has_provider = true;
                    written.provider = serde_json::from_str(value.get())
                        .map_err(|_| "provider must be a string".to_owned())?;
                    check_seen(PROVIDER, written.provider.as_deref().unwrap_or_default())?;
                }
                Some(name) if value.get() == "null" => written.vacant.push(name),
                Some(name) => {
                    // What is no text is left for the event's rules to refuse.
                    let text = serde_json::from_str(value.get()).map(Zeroizing::<String>::new);
                    text.map_or(Ok(()), |text| check_seen(name, &text))?;
                    written.push(name, value.get());
                }
            }
        }
        Ok(written.ended())
    }

    /// The same target, of a file that has these members too, empty.
    pub(super) fn with_vacant(self, vacant: Vec<&'static str>) -> Self {
        Self { vacant, ..self }
    }

    /// Refuses a client or an issuer that is a target only because a narrower member is empty: a hole in an
    /// export would log out everybody.
    pub(super) fn check_width(&self, kind: Kind) -> Result<(), String> {
        let (wide, narrower) = match kind {
            Kind::Client => ("client_id", &NARROWER[..3]),
            Kind::Issuer => ("iss", &NARROWER[..]),
            _ => return Ok(()),
        };
        match narrower.iter().find(|name| self.vacant.contains(name)) {
            None => Ok(()),
            Some(name) => Err(format!(
                "{name} is empty, and without it the line would mean everybody at its {wide}; where that is \
                    meant, give it a file without {name}"
            )),
        }
    }

    fn push(&mut self, name: &str, value: &str) {
        let before = if self.json.is_empty() { "{\"" } else { ",\"" };
        self.json.push_str(before);
        self.json.push_str(name);
        self.json.push_str("\":");
        self.json.push_str(value);
    }

    fn ended(mut self) -> Self {
        let end = if self.json.is_empty() { "{}" } else { "}" };
        self.json.push_str(end);
        self
    }
}

/// A name that nobody sees as it is would deny somebody else, or nobody. The event's own rule for tokens is
/// narrower.
fn check_seen(name: &str, value: &str) -> Result<(), String> {
    match flaw(value).filter(|_| name != TOKEN) {
        None => Ok(()),
        Some(flaw) => {
            Err(format!("{name} {flaw}; where it is part of the name, publish the event with `submit`"))
        }
    }
}

/// An object's members in the order given, repeated ones included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(MEMBERS.len());
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// serde_json quotes values where the type is wrong, and nothing where the syntax is.
fn not_an_object(error: &serde_json::Error) -> String {
    let problem = match error.classify() {
        Category::Data => return "must be a JSON object, one a line".to_owned(),
        _ => error.to_string(),
    };
    let place = format!(" at line {} column {}", error.line(), error.column());
    format!("is not JSON: {} at column {}", problem.trim_end_matches(&place), error.column())
}

/// A refusal of a name that is none of [`MEMBERS`]; `place` stands for a name that may be a token.
pub(super) fn unknown(what: &str, name: &str, place: Option<usize>) -> String {
    let shown = match (is_plain(name), place) {
        (true, _) => format!("{what} {name}"),
        (false, Some(place)) => {
            format!("{what} (number {place}; its name is not shown, as it may be a credential)")
        }
        (false, None) => format!("{what} (its name is not shown, as it may be a credential)"),
    };
    format!("{shown} that is not known; known are {}", MEMBERS.join(", "))
}

/// Whether this is a name and no credential: short, letters with separators, and not in a jumble of cases.
fn is_plain(name: &str) -> bool {
    let is_word = name.chars().all(|c| c.is_ascii_alphabetic() || "_- ".contains(c));
    let switches = name
        .as_bytes()
        .windows(2)
        .filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
        .count();
    (1..=20).contains(&name.len()) && is_word && switches <= 2
}

/// The worker's refusal of an event, said of the one target in it.
pub(super) fn of_target(refusal: &Refusal) -> String {
    match refusal.code {
        RefusalCode::TooLarge => refusal
            .detail
            .replace("the body has", "an event of this target alone has")
            .replace(": send several events", ""),
        // The name is not repeated: where two columns are swapped, it is a token.
        RefusalCode::UnknownProvider if refusal.detail.starts_with("data.provider") => {
            let known =
                refusal.detail.rsplit_once("configured are: ").map(|(_, known)| known).unwrap_or_default();
            format!("provider is not configured; configured are: {known}")
        }
        _ => refusal
            .detail
            .replace("data.targets[0].", "")
            .replace("data.targets[0] ", "")
            .replace("data.provider", "provider"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(line: &str) -> Result<(Option<String>, String), String> {
        Written::of_json(line.as_bytes()).map(|written| (written.provider, written.json.to_string()))
    }

    #[test]
    fn the_provider_is_taken_out_and_the_rest_stays_as_written() {
        assert_eq!(json(r#"{"sub":"u"}"#), Ok((None, r#"{"sub":"u"}"#.to_owned())));
        assert_eq!(
            json(r#" { "provider" : "main", "sid":"s" , "sub":null}"#),
            Ok((Some("main".to_owned()), r#"{"sid":"s"}"#.to_owned()))
        );
        assert_eq!(json(r#"{"provider":null}"#), Ok((None, "{}".to_owned())));
        assert_eq!(
            json(r#"{"sub":"a","sub":"b"}"#),
            Ok((None, r#"{"sub":"a","sub":"b"}"#.to_owned())),
            "for the event's rules to refuse"
        );
    }

    #[test]
    fn a_line_is_one_object_with_known_members() {
        for (line, sentence) in [
            (r#"{"sub":"a"},{"iss":"i"}"#, "is not JSON: trailing characters at column 12"),
            (r#"[{"sub":"secret"}]"#, "must be a JSON object, one a line"),
            (r#""secret""#, "must be a JSON object, one a line"),
            (r#"{"sub":"secret"#, "is not JSON: EOF while parsing a string at column 14"),
            (r#"{"provider":["secret"]}"#, "provider must be a string"),
            (r#"{"provider":"a","provider":"b"}"#, "provider is given twice"),
            (
                r#"{"sub":"u","tokn":"secret"}"#,
                "has a member tokn that is not known; known are token, token_type_hint, sub,",
            ),
            (
                r#"{"eyJhbGciOi.secret":1}"#,
                "has a member (its name is not shown, as it may be a credential) that is not known",
            ),
        ] {
            let why = json(line).unwrap_err();
            assert!(why.starts_with(sentence) && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn an_empty_member_does_not_make_a_target_of_everybody() {
        let check = |line: &str, kind| Written::of_json(line.as_bytes()).unwrap().check_width(kind);
        let why = check(r#"{"token":null,"client_id":"c"}"#, Kind::Client).unwrap_err();
        assert!(
            why.starts_with("token is empty, and without it the line would mean everybody at its client_id"),
            "{why}"
        );
        let why = check(r#"{"client_id":null,"iss":"i"}"#, Kind::Issuer).unwrap_err();
        assert!(
            why.starts_with("client_id is empty, and without it the line would mean everybody at its iss"),
            "{why}"
        );
        assert!(check(r#"{"sub":null,"iss":"i"}"#, Kind::Issuer).is_err());
        for (line, kind) in [
            (r#"{"client_id":"c","iss":null}"#, Kind::Client),
            (r#"{"iss":"i"}"#, Kind::Issuer),
            (r#"{"token":null,"sub":"u"}"#, Kind::Subject),
        ] {
            assert_eq!(check(line, kind), Ok(()), "{line}");
        }
    }

    #[test]
    fn values_are_quoted_as_json_quotes_them() {
        let written = Written::of_members([("sub", "a\"b\\"), ("provider", "p")]).unwrap();
        assert_eq!((written.provider.as_deref(), written.json.as_str()), (Some("p"), r#"{"sub":"a\"b\\"}"#));
    }

    #[test]
    fn every_name_is_what_a_person_sees_however_it_is_written() {
        for name in ["sub", "sid", "client_id", "iss", "provider"] {
            for value in [
                "u ",
                " u",
                "u\u{a0}",
                "u\u{200b}",
                "\u{feff}u",
                "u\u{2028}",
                "a\u{202e}b",
                "a\tb",
                "a\rb",
                "a\0b",
                "a\u{1b}[2Jb",
                " ",
            ] {
                let escaped = value.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect::<String>();
                let raw = serde_json::Value::from(value).to_string();
                for line in [format!(r#"{{"{name}":{raw}}}"#), format!(r#"{{"{name}":"{escaped}"}}"#)] {
                    let why = json(&line).unwrap_err();
                    assert!(
                        why.starts_with(&format!("{name} ")) && why.contains("remove it"),
                        "{line}: {why}"
                    );
                }
                assert!(Written::of_members([(name, value)]).is_err(), "{value:?}");
            }
        }
        assert!(json(r#"{"sub":"John Smith","iss":"https://id.example.com/ü"}"#).is_ok());
        assert!(json(r#"{"token":"a b"}"#).is_ok(), "for the event's rules to refuse");
    }

    #[test]
    fn only_words_are_repeated() {
        assert!(["tokn", "Client ID", "tokenTypeHint", "access-token"].map(is_plain) == [true; 4]);
        assert!(
            ["", "a1", "sKxUvQrTyPmN", "abcdefghijklmnopqrstu", "tok\u{1b}[2J"].map(is_plain) == [false; 5]
        );
    }
}
