//! A raw target: what a line or a flag names, not checked by the event's rules yet, and sentences about it in
//! the words of whoever wrote it. None of them quotes a value.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::event::{Refusal, RefusalCode};
use crate::target::Kind;
use crate::visible::flaw;

/// What a line may name: the members of the contract's targets, and the provider.
pub(crate) const MEMBERS: [&str; 7] = [TOKEN, "token_type_hint", "sub", "sid", "client_id", "iss", PROVIDER];
const PROVIDER: &str = "provider";
const TOKEN: &str = "token";
/// What names less than a client, and at last than an issuer.
const NARROWER: [&str; 4] = [TOKEN, "sid", "sub", "client_id"];

/// A target whose names are what they look like, and that is not checked further yet.
#[derive(Clone)]
pub(crate) struct RawTarget {
    /// The provider that it names.
    pub(crate) provider: Option<String>,
    /// The target as the event will have it: a JSON object without `provider`.
    pub(crate) json: Zeroizing<String>,
    /// Members that stand there without a value: null, or an empty cell.
    vacant: Vec<&'static str>,
}

impl RawTarget {
    /// A target of these members, each at most once.
    ///
    /// # Errors
    /// A value is not what a person sees of it.
    pub(crate) fn of_members<'a>(
        members: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, String> {
        let mut raw = Self { provider: None, json: Zeroizing::new(String::new()), vacant: Vec::new() };
        for (name, value) in members {
            check_seen(name, value)?;
            match name {
                PROVIDER => raw.provider = Some(value.to_owned()),
                name => raw.push(name, &Zeroizing::new(serde_json::Value::from(value).to_string())),
            }
        }
        Ok(raw.ended())
    }

    /// A target of a line of NDJSON. A member that is given twice is left for the event's rules to refuse.
    ///
    /// # Errors
    /// The line is no JSON object, has a member that is not known, without which the line could mean more
    /// than it says, or a value that is not what a person sees of it.
    pub(crate) fn of_json(line: &[u8]) -> Result<Self, String> {
        let mut reader = serde_json::Deserializer::from_slice(line);
        let members = reader.deserialize_map(Members).and_then(|members| reader.end().map(|()| members));
        let members = members.map_err(|error| not_an_object(&error))?;
        let mut raw = Self {
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
                    raw.provider = serde_json::from_str(value.get())
                        .map_err(|_| "provider must be a string".to_owned())?;
                    check_seen(PROVIDER, raw.provider.as_deref().unwrap_or_default())?;
                }
                Some(name) if value.get() == "null" => raw.vacant.push(name),
                Some(name) => {
                    // What is no text is left for the event's rules to refuse.
                    let text = serde_json::from_str(value.get()).map(Zeroizing::<String>::new);
                    text.map_or(Ok(()), |text| check_seen(name, &text))?;
                    raw.push(name, value.get());
                }
            }
        }
        Ok(raw.ended())
    }

    /// The same target, of a file that has these members too, empty.
    pub(crate) fn with_vacant(self, vacant: Vec<&'static str>) -> Self {
        Self { vacant, ..self }
    }

    /// Refuses a client or an issuer that is a target only because a narrower member is empty: a hole in an
    /// export would log out everybody.
    pub(crate) fn check_width(&self, kind: Kind) -> Result<(), String> {
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

/// Reads an object's members in the order given, repeated ones included.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(MEMBERS.len());
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
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
pub(crate) fn unknown(what: &str, name: &str, place: Option<usize>) -> String {
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
pub(crate) fn of_target(refusal: &Refusal) -> String {
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
mod tests;
