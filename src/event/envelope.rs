//! The outside of a CloudEvent: its version and type, and who may publish it.

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
