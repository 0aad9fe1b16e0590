//! The formats that an event may come in, by media type, headers and shape: one row and one file a format.

use super::json::Json;
use super::receipt::Receipt;
use super::refusal::quoted;
use super::{
    LogoutEvent, Origin, REFUSED_INPUT, Refusal, RefusalCode, RefusedInput, Rules, SignedInput, binary,
    cloudevents, keycloak,
};

/// What is read: an event, or nothing where it asks for nothing.
type Read = Result<Option<LogoutEvent>, Refusal>;

/// What a delivery is, by its properties and its size.
#[derive(Clone, Copy)]
pub enum Form {
    /// An event, in one of the formats.
    Event(Format),
    /// A token whose signature is verified first: then it is [`Form::VERIFIED`].
    Signed(SignedInput),
    /// A word of `receive`.
    RefusedInput,
}

/// What a delivery says.
pub enum Said {
    /// An event that asks for something.
    Event(Box<LogoutEvent>),
    /// An event of a kind that asks for nothing.
    Nothing,
    /// Of requests that `receive` refused.
    RefusedInput(RefusedInput),
}

/// One way of writing an event down.
#[derive(Clone, Copy)]
pub struct Format {
    /// The media types that say so, without parameters; the empty one is for a message that names none.
    media_types: &'static [&'static str],
    /// Reads a body.
    read: fn(&[u8], &Receipt<'_>) -> Result<Option<LogoutEvent>, Refusal>,
}

const FORMATS: [Format; 2] = [
    Format { media_types: &["application/cloudevents+json"], read: structured },
    Format { media_types: &["application/json", ""], read: json },
];
/// Attributes in the headers, whatever the body is: the media type is the data's.
const BINARY: Format = Format { media_types: &[], read: binary };

/// Inputs whose signature is verified first.
const SIGNED: [(&str, SignedInput); 2] = [
    ("application/secevent+jwt", SignedInput::SecurityEvent),
    ("application/logout+jwt", SignedInput::LogoutToken),
];

fn structured(body: &[u8], receipt: &Receipt<'_>) -> Read {
    cloudevents::event(Json::read(body)?, receipt).map(Some)
}

/// JSON that says by its shape what it is.
fn json(body: &[u8], receipt: &Receipt<'_>) -> Read {
    match Json::read(body)? {
        event if keycloak::is_one(&event) => keycloak::read(event, receipt),
        event => cloudevents::event(event, receipt).map(Some),
    }
}

fn binary(body: &[u8], receipt: &Receipt<'_>) -> Read {
    binary::read(body, receipt).map(Some)
}

fn verified(_token: &[u8], receipt: &Receipt<'_>) -> Read {
    let event = receipt.origin.verified.as_deref().unwrap_or_default();
    cloudevents::event(Json::read(event)?, receipt).map(Some)
}

impl Form {
    /// A token that was verified: it is read as the event that it means.
    pub const VERIFIED: Self = Self::Event(Format { media_types: &[], read: verified });

    /// Of a delivery whose properties and size allow to read it at all.
    ///
    /// # Errors
    /// They do not, or say nothing that is known.
    pub fn of(body: &[u8], origin: &Origin, rules: &Rules) -> Result<Self, Refusal> {
        check_readable(origin)?;
        check_size(body, rules)?;
        if origin.verified.is_some() {
            return Ok(Self::VERIFIED);
        }
        let media = media(origin);
        if media == REFUSED_INPUT {
            return Ok(Self::RefusedInput);
        }
        let is_one_of = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(media));
        // Attributes in the headers make the body an event's data, whatever it is. A media type of
        // CloudEvents says that the body has the attributes, too: then the headers are copies.
        if binary::has_attributes(origin) && !is_one_of(FORMATS[0].media_types) {
            return Ok(Self::Event(BINARY));
        }
        if let Some((_, input)) = SIGNED.iter().find(|(known, _)| known.eq_ignore_ascii_case(media)) {
            return Ok(Self::Signed(*input));
        }
        let format = FORMATS.iter().find(|format| is_one_of(format.media_types));
        format.map(|format| Self::Event(*format)).ok_or_else(|| unknown(origin, "is not known"))
    }

    /// Reads a delivery of this form.
    ///
    /// # Errors
    /// The refusal of the first broken rule; of a signed one, that nobody's signature counts.
    pub(super) fn read(self, body: &[u8], receipt: &Receipt<'_>) -> Result<Said, Refusal> {
        match self {
            Self::Event(format) => {
                let event = (format.read)(body, receipt)?;
                Ok(event.map_or(Said::Nothing, |event| Said::Event(Box::new(event))))
            }
            Self::RefusedInput => RefusedInput::read(body, receipt).map(Said::RefusedInput),
            Self::Signed(_) => Err(unknown(
                receipt.origin,
                "is a signed input, and no sender is configured whose signature counts (receive.senders)",
            )),
        }
    }
}

fn media(origin: &Origin) -> &str {
    let given = origin.content_type.as_deref().unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim()
}

fn unknown(origin: &Origin, problem: &str) -> Refusal {
    let known = FORMATS.iter().flat_map(|format| format.media_types).filter(|media| !media.is_empty());
    let known = known.copied().collect::<Vec<_>>().join(" or ");
    Refusal::new(
        RefusalCode::UnknownType,
        format!("content_type {} {problem}; send {known}", quoted(media(origin))),
    )
}

/// Whoever publishes what cannot be read is to hear of it, even where the body could do without.
fn check_readable(origin: &Origin) -> Result<(), Refusal> {
    if origin.unreadable.is_empty() {
        return Ok(());
    }
    let names = origin.unreadable.join(", ");
    Err(Refusal::new(
        RefusalCode::InvalidField,
        format!("AMQP {names}: not UTF-8, or nested too deep; what cannot be read is shown as ?"),
    ))
}

/// Before anything is parsed: parsing costs several times the body's size in memory.
fn check_size(body: &[u8], rules: &Rules) -> Result<(), Refusal> {
    if body.len() <= rules.max_message_bytes {
        return Ok(());
    }
    let (size, limit) = (body.len(), rules.max_message_bytes);
    Err(Refusal::new(
        RefusalCode::TooLarge,
        format!("the body has {size} bytes; limits.max_message_bytes is {limit}: send several events"),
    ))
}
