//! CloudEvents 1.0: an object of attributes and data.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::json::Json;
use super::members::{Members, as_stored};
use super::receipt::Receipt;
use super::{LogoutEvent, Refusal, data, envelope, targets};
use crate::trace::Trace;

/// Reads an event, whichever way its attributes came.
///
/// # Errors
/// The refusal of the first broken rule. It carries the event's `source` and `id` where those could be read.
pub(super) fn event(event: Json<'_>, receipt: &Receipt<'_>) -> Result<LogoutEvent, Refusal> {
    let mut event = Members::event(event)?;
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
    let (received_at, trace) = (as_stored(at), trace(&mut event).or(origin.trace));

    let encoded = encoded(&mut event)?;
    let mut data = match &encoded {
        Some(bytes) => Members::of_data(Json::read(bytes)?)?,
        None => event.data()?,
    };
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
        trace,
        targets: targets::read(&mut data, &targets::Frame { rules, limits, event_type, received_at })?,
    })
}

/// The extension `traceparent` (CloudEvents distributed tracing). A malformed one is none, and refuses
/// nothing.
fn trace(event: &mut Members<'_>) -> Option<Trace> {
    match event.take("traceparent") {
        Ok(Some(Json::Text(text))) => Trace::parse(&text),
        _ => None,
    }
}

/// `data_base64`, in place of `data` (CloudEvents JSON format section 3.1.1). What it holds is JSON all the
/// same; it may be tokens, so it is wiped.
fn encoded(event: &mut Members<'_>) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    let text = match event.take("data_base64")? {
        None => return Ok(None),
        Some(Json::Text(text)) => text,
        Some(_) => return Err(event.invalid("data_base64", "must be a string")),
    };
    if event.take("data")?.is_some() {
        return Err(event.invalid("data_base64", "stands beside data; an event has one of the two"));
    }
    let bytes = STANDARD.decode(text.as_bytes()).map(Zeroizing::new);
    bytes.map(Some).map_err(|_| event.invalid("data_base64", "is not base64"))
}
