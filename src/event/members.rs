//! Reading an object's members, each refusal naming the member by its path.

use std::fmt;

pub(super) use revocation_verifier::claims::MAX_NAME_BYTES;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::json::{Entries, Json};
use super::{Refusal, RefusalCode};

/// Where in the event an object stands.
#[derive(Clone, Copy)]
enum Place {
    Event,
    Data,
    Target(usize),
}

/// Writes what stands before a member's name in its path.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event => Ok(()),
            Self::Data => f.write_str("data."),
            Self::Target(index) => write!(f, "data.targets[{index}]."),
        }
    }
}

/// An object whose members are taken out one by one; what is left is ignored.
pub(super) struct Members<'a> {
    place: Place,
    entries: Entries<'a>,
}

impl<'a> Members<'a> {
    /// The event itself; `not_json` if it is no object.
    pub(super) fn event(json: Json<'a>) -> Result<Self, Refusal> {
        match json {
            Json::Object(entries) => Ok(Self { place: Place::Event, entries }),
            _ => Err(Refusal::new(
                RefusalCode::NotJson,
                "the body is JSON but not an object; a CloudEvents JSON event is one",
            )),
        }
    }

    /// The event's `data`.
    pub(super) fn data(&mut self) -> Result<Self, Refusal> {
        match self.take("data")? {
            Some(Json::Object(entries)) => Ok(Self { place: Place::Data, entries }),
            Some(_) => Err(self.invalid("data", "must be an object")),
            None => Err(self.missing("data")),
        }
    }

    /// The same of data that came encoded.
    pub(super) fn of_data(json: Json<'a>) -> Result<Self, Refusal> {
        match json {
            Json::Object(entries) => Ok(Self { place: Place::Data, entries }),
            _ => Err(Refusal::new(RefusalCode::InvalidField, "data_base64 must hold an object")),
        }
    }

    /// `data.targets[index]`.
    pub(super) fn target(index: usize, json: Json<'a>) -> Result<Self, Refusal> {
        match json {
            Json::Object(entries) => Ok(Self { place: Place::Target(index), entries }),
            _ => Err(Refusal::new(
                RefusalCode::InvalidField,
                format!("data.targets[{index}] must be an object"),
            )),
        }
    }

    /// Takes a member. `null` counts as absent (CloudEvents JSON format section 2.2). Twice is refused:
    /// readers disagree on which one counts, and a token that was dropped in silence would live on.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<Json<'a>>, Refusal> {
        let mut places =
            self.entries.iter().enumerate().filter(|(_, (given, _))| given == name).map(|(place, _)| place);
        let Some(place) = places.next() else { return Ok(None) };
        if places.next().is_some() {
            return Err(self.invalid(name, "is given twice"));
        }
        let (_, value) = self.entries.swap_remove(place);
        Ok(Some(value).filter(|value| !matches!(value, Json::Null)))
    }

    /// Takes a text that may be empty.
    pub(super) fn text(&mut self, name: &str, max_bytes: usize) -> Result<Option<String>, Refusal> {
        let text = match self.take(name)? {
            None => return Ok(None),
            Some(Json::Text(text)) => text,
            Some(_) => return Err(self.invalid(name, "must be a string")),
        };
        if text.len() > max_bytes {
            return Err(self.invalid(name, &format!("is longer than {max_bytes} bytes")));
        }
        if text.contains('\0') {
            return Err(self.invalid(name, "contains U+0000, which cannot be stored"));
        }
        Ok(Some(text.into_owned()))
    }

    /// Takes a text that may be absent but not empty.
    pub(super) fn word(&mut self, name: &str, max_bytes: usize) -> Result<Option<String>, Refusal> {
        match self.text(name, max_bytes)? {
            Some(word) if word.is_empty() => Err(self.invalid(name, "must not be empty")),
            word => Ok(word),
        }
    }

    /// Takes a text that must be there and not be empty.
    pub(super) fn required_word(&mut self, name: &str, max_bytes: usize) -> Result<String, Refusal> {
        self.word(name, max_bytes)?.ok_or_else(|| self.missing(name))
    }

    /// Takes an RFC 3339 time. One before 1970 is a clock or a variable that was never set, and as a cutoff
    /// would deny nothing.
    pub(super) fn time(&mut self, name: &str) -> Result<Option<OffsetDateTime>, Refusal> {
        let Some(text) = self.word(name, MAX_NAME_BYTES)? else { return Ok(None) };
        let time = OffsetDateTime::parse(&text, &Rfc3339)
            .ok()
            .and_then(|time| time.checked_to_offset(UtcOffset::UTC));
        match time {
            Some(time) if time >= OffsetDateTime::UNIX_EPOCH => Ok(Some(as_stored(time))),
            Some(_) => Err(self.invalid(name, "lies before 1970")),
            None => Err(self.invalid(name, "must be an RFC 3339 time such as 2026-11-20T22:30:00.123Z")),
        }
    }

    /// `missing_field`
    pub(super) fn missing(&self, name: &str) -> Refusal {
        self.refuse(RefusalCode::MissingField, name, "is required and absent")
    }

    /// `invalid_field`
    pub(super) fn invalid(&self, name: &str, problem: &str) -> Refusal {
        self.refuse(RefusalCode::InvalidField, name, problem)
    }

    /// A refusal that starts with the member's path.
    pub(super) fn refuse(&self, code: RefusalCode, name: &str, problem: &str) -> Refusal {
        Refusal::new(code, format!("{}{name} {problem}", self.place))
    }
}

/// A time as Postgres keeps it, in whole microseconds, so that memory and database agree.
pub(super) fn as_stored(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(time.nanosecond() / 1000 * 1000).unwrap_or(time)
}
