//! The spans of messages: names of attributes are OpenTelemetry's as far as it has any.

use crate::invalidation::{EXCHANGE, EventRef, Phase};
use crate::trace::{Kind, Span, Spans, Trace};

const SEND: &str = "send auth.invalidations";

/// Verifiers are told of an event.
pub(super) fn send(spans: &Spans, phase: Phase, event: &EventRef, trace: Trace) -> Option<Span> {
    let mut span = spans.begin(Kind::Producer, SEND, trace)?;
    message(&mut span, "send", EXCHANGE.to_owned());
    span.set("cloudevents.event_source", event.source.clone());
    span.set("cloudevents.event_id", event.id.clone());
    let phase = match phase {
        Phase::Requested => "requested",
        Phase::Confirmed => "confirmed",
    };
    span.set("revocation.phase", phase);
    Some(span)
}

/// What is done with a message, and where it is.
pub(in crate::worker) fn message(span: &mut Span, operation: &'static str, destination: String) {
    span.set("messaging.system", "rabbitmq");
    span.set("messaging.operation.name", operation);
    span.set("messaging.operation.type", operation);
    span.set("messaging.destination.name", destination);
}
