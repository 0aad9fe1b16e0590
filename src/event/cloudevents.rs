//! CloudEvents 1.0 as JSON, structured mode: the event and its attributes are one object.

use super::json::Json;
use super::members::{Members, as_stored};
use super::receipt::Receipt;
use super::{LogoutEvent, Refusal, data, envelope, targets};

/// Reads a body.
///
/// # Errors
/// The refusal of the first broken rule. It carries the event's `source` and `id` where those could be read.
pub(super) fn read(body: &[u8], receipt: &Receipt<'_>) -> Result<LogoutEvent, Refusal> {
    let mut event = Members::event(Json::read(body)?)?;
    let source = event.required_word("source", envelope::MAX_SOURCE_BYTES);
    let id = event.required_word("id", envelope::MAX_ID_BYTES);
    let (known_source, known_id) = (source.as_ref().ok().cloned(), id.as_ref().ok().cloned());
    let identity = Identity { source, id };
    walk(event, identity, receipt).map_err(|refusal| refusal.of_event(known_source, known_id))
}

/// `source` and `id`, read ahead of everything else but judged in their turn.
struct Identity {
    source: Result<String, Refusal>,
    id: Result<String, Refusal>,
}

/// The walk from the outside in: version and type, identity, who may, then `data`.
fn walk(mut event: Members<'_>, identity: Identity, receipt: &Receipt<'_>) -> Result<LogoutEvent, Refusal> {
    let Receipt { origin, rules, at } = *receipt;
    envelope::check_version(&mut event)?;
    let event_type = envelope::event_type(&mut event)?;
    let (source, id) = (identity.source?, identity.id?);
    let limits = envelope::authorise(event_type, &source, origin, rules)?;
    let occurred_at = event.time("time")?;
    let received_at = as_stored(at);

    let mut data = event.data()?;
    let cutoff = data::cutoff(&mut data, event_type, occurred_at, received_at)?;
    let incident = data::incident(&mut data, event_type)?;
    Ok(LogoutEvent {
        source,
        id,
        event_type,
        occurred_at,
        received_at,
        not_before: cutoff.effective,
        asked_not_before: cutoff.asked,
        reason: data.text("reason", data::MAX_REASON_BYTES)?,
        actor: data.text("actor", data::MAX_ACTOR_BYTES)?,
        incident: incident.name,
        incident_targets: incident.targets,
        incident_kinds: incident.kinds,
        targets: targets::read(&mut data, &targets::Frame { rules, limits, event_type, received_at })?,
    })
}
