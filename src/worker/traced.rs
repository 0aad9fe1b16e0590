//! The spans of an event's walk: what each says, where spans are kept at all (docs/tracing.md). Names of
//! attributes are OpenTelemetry's as far as it has any. None holds a token, a user or a session.

use super::announce::message;
use super::job::Finished;
use super::parts::Worker;
use crate::broker::Received;
use crate::event::LogoutEvent;
use crate::trace::{Kind, Span, Spans};

/// The delivery of an event is processed since it came. What follows is a part of that.
pub(super) fn process(worker: &Worker, received: &mut Received, event: &mut LogoutEvent) {
    let (ports, origin) = (&worker.ports, &received.origin);
    let span = ports.spans.take_up(&mut event.trace, &origin.queue, ports.clock.at(received.came));
    let Some(mut span) = span else { return };
    message(&mut span, "process", origin.queue.to_string());
    span.set("messaging.rabbitmq.destination.routing_key", origin.routing_key.clone());
    span.set("messaging.message.body.size", number(received.body.bytes().len()));
    span.set("cloudevents.event_source", event.source.clone());
    span.set("cloudevents.event_id", event.id.clone());
    span.set("cloudevents.event_type", event.event_type.as_str());
    span.set("revocation.targets", number(event.targets.len()));
    received.span = Some(span);
}

/// The results of attempts are written to the record.
pub(super) fn record(spans: &Spans, finished: &[Finished]) -> Vec<Span> {
    finished.iter().filter_map(|finished| recorded(spans, finished)).collect()
}

fn recorded(spans: &Spans, finished: &Finished) -> Option<Span> {
    let Finished { job, answer, settlement, .. } = finished;
    let mut span = spans.begin(Kind::Internal, "record", job.context.trace?)?;
    span.set("db.system.name", "postgresql");
    span.set("revocation.id", job.id.to_string());
    span.set("revocation.provider", job.target.provider.to_string());
    span.set("revocation.attempt", i64::from(job.attempt));
    span.set("revocation.outcome", answer.verdict.outcome());
    span.set("revocation.state", settlement.state.as_str());
    Some(span)
}

fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
