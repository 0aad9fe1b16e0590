//! The outside of an event: size, content type, CloudEvents version and type, and who may publish it.

use super::members::Members;
use super::refusal::quoted;
use super::{EventType, Origin, Refusal, RefusalCode, Rules};
use crate::authorization::Limit;

/// Longest `id`. With `source` it is the key of the index that finds duplicates.
pub(super) const MAX_ID_BYTES: usize = 255;
/// Longest `source`.
pub(super) const MAX_SOURCE_BYTES: usize = 1024;
/// Longest `specversion` and `type` that are looked at.
const MAX_TYPE_BYTES: usize = 1024;

const ACCEPTED: [&str; 2] = ["application/cloudevents+json", "application/json"];
const SIGNED: [&str; 2] = ["application/secevent+jwt", "application/logout+jwt"];

/// Whoever publishes what cannot be read is to hear of it, even where the body could do without.
pub(super) fn check_readable(origin: &Origin) -> Result<(), Refusal> {
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
pub(super) fn check_size(body: &[u8], rules: &Rules) -> Result<(), Refusal> {
    if body.len() <= rules.max_message_bytes {
        return Ok(());
    }
    let (size, limit) = (body.len(), rules.max_message_bytes);
    Err(Refusal::new(
        RefusalCode::TooLarge,
        format!("the body has {size} bytes; limits.max_message_bytes is {limit}: send several events"),
    ))
}

/// Accepts the two JSON types, with parameters or without, and a message that names none.
pub(super) fn check_content_type(origin: &Origin) -> Result<(), Refusal> {
    let given = origin.content_type.as_deref().unwrap_or_default();
    let media = given.split(';').next().unwrap_or_default().trim();
    let is_one_of = |known: [&str; 2]| known.iter().any(|known| known.eq_ignore_ascii_case(media));
    if media.is_empty() || is_one_of(ACCEPTED) {
        return Ok(());
    }
    let problem =
        if is_one_of(SIGNED) { "is a signed input, which this worker does not take" } else { "is not known" };
    let detail = format!("content_type {} {problem}; send {}", quoted(media), ACCEPTED.join(" or "));
    Err(Refusal::new(RefusalCode::UnknownType, detail))
}

/// CloudEvents `specversion`: only 1.0.
pub(super) fn check_version(event: &mut Members<'_>) -> Result<(), Refusal> {
    match event.required_word("specversion", MAX_TYPE_BYTES)?.as_str() {
        "1.0" => Ok(()),
        _ => Err(event.refuse(RefusalCode::UnknownType, "specversion", "must be \"1.0\"")),
    }
}

/// CloudEvents `type`: one of the contract's.
pub(super) fn event_type(event: &mut Members<'_>) -> Result<EventType, Refusal> {
    let given = event.required_word("type", MAX_TYPE_BYTES)?;
    EventType::parse(&given).ok_or_else(|| {
        let known = EventType::ALL.map(EventType::as_str).join(", ");
        event.refuse(
            RefusalCode::UnknownType,
            "type",
            &format!("{} is not known; known are {known}", quoted(&given)),
        )
    })
}

/// Whether whoever sent this may order events of this type and source. Returns the limits on its targets.
pub(super) fn authorise<'r>(
    event_type: EventType,
    source: &str,
    origin: &'r Origin,
    rules: &'r Rules,
) -> Result<Vec<Limit<'r>>, Refusal> {
    let limits = rules.authority.limits(origin);
    let refused = rules.authority.refuse_type(origin, event_type);
    let refused = refused.or_else(|| limits.iter().find_map(|limit| limit.refuse_source(source)));
    refused.map_or(Ok(limits), |detail| Err(Refusal::new(RefusalCode::NotAllowed, detail)))
}
