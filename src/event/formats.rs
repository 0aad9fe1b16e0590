//! The formats that an event may come in, by media type, headers and shape: one row and one file a format.

use super::json::Json;
use super::receipt::Receipt;
use super::refusal::quoted;
use super::{
    LogoutEvent, Origin, REFUSED_INPUT, Refusal, RefusalCode, Rules, SignedInput, binary, cloudevents,
    keycloak,
};

/// What is read: an event, or nothing where it asks for nothing.
type Read = Result<Option<LogoutEvent>, Refusal>;

/// One way of writing an event down.
pub(super) struct Format {
    /// The media types that say so, without parameters; the empty one is for a message that names none.
    media_types: &'static [&'static str],
    /// Reads a body.
    pub(super) read: fn(&[u8], &Receipt<'_>) -> Result<Option<LogoutEvent>, Refusal>,
}

const FORMATS: [Format; 2] = [
    Format { media_types: &["application/cloudevents+json"], read: structured },
    Format { media_types: &["application/json", ""], read: json },
];
/// Attributes in the headers, whatever the body is: the media type is the data's.
const BINARY: Format = Format { media_types: &[], read: binary };

/// A token that was verified, as the event that it means.
const VERIFIED: Format = Format { media_types: &[], read: verified };

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

/// What has to be verified of a delivery before it is read, where its properties and size allow to read it at
/// all.
pub(super) fn signed(body: &[u8], origin: &Origin, rules: &Rules) -> Result<Option<SignedInput>, Refusal> {
    check_readable(origin)?;
    check_size(body, rules)?;
    let media = media(origin);
    let named = SIGNED.iter().find(|(known, _)| known.eq_ignore_ascii_case(media));
    // Attributes in the headers make the body an event's data, whatever it is.
    Ok(named.filter(|_| !binary::has_attributes(origin)).map(|(_, input)| *input))
}

/// Whether it is no event but a word of `receive`.
pub(super) fn is_refused_input(body: &[u8], origin: &Origin, rules: &Rules) -> Result<bool, Refusal> {
    check_readable(origin)?;
    check_size(body, rules)?;
    Ok(media(origin) == REFUSED_INPUT)
}

fn media(origin: &Origin) -> &str {
    let given = origin.content_type.as_deref().unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim()
}

/// The format of a delivery whose properties and size allow to read it at all.
pub(super) fn of(body: &[u8], origin: &Origin, rules: &Rules) -> Result<&'static Format, Refusal> {
    check_readable(origin)?;
    check_size(body, rules)?;
    if origin.verified.is_some() {
        return Ok(&VERIFIED);
    }
    let media = media(origin);
    let is_one_of = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(media));
    // A media type of CloudEvents says that the body has the attributes, too: then the headers are copies.
    if binary::has_attributes(origin) && !is_one_of(FORMATS[0].media_types) {
        return Ok(&BINARY);
    }
    FORMATS.iter().find(|format| is_one_of(format.media_types)).ok_or_else(|| {
        let problem = if is_one_of(&SIGNED.map(|(media, _)| media)) {
            "is a signed input, and no sender is configured whose signature counts (receive.senders)"
        } else {
            "is not known"
        };
        let known: Vec<_> = FORMATS
            .iter()
            .flat_map(|format| format.media_types)
            .filter(|media| !media.is_empty())
            .copied()
            .collect();
        let detail = format!("content_type {} {problem}; send {}", quoted(media), known.join(" or "));
        Refusal::new(RefusalCode::UnknownType, detail)
    })
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
