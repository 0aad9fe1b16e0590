//! Exchanges, queues and bindings (docs/contract.md, section 5): one table, declared or checked.

mod declare;
mod look;

use std::collections::BTreeMap;
use std::time::Duration;

use lapin::ExchangeKind;
use lapin::types::{AMQPValue, FieldTable};

use crate::config::InvalidationConfig;
use crate::event::CUTOFF_ROUTING_KEY;
use crate::invalidation;

pub(super) use declare::{declare_dead, ensure, ensure_reports, lacks_limit};
pub(super) use look::look;

/// Exchange that applications publish events to.
pub const EVENTS_EXCHANGE: &str = "auth.events";
/// Queue of ordinary logouts.
pub const LOGOUT_QUEUE: &str = "revocation.logout";
/// Queue of mass revocations.
pub const MASS_QUEUE: &str = "revocation.mass";
/// Queue of mass revocations that name a session, a subject, a client or an issuer: short, so that a cutoff
/// waits behind no backlog of tokens.
pub const CUTOFF_QUEUE: &str = "revocation.cutoff";
/// The queues of events.
pub const QUEUES: [&str; 3] = [LOGOUT_QUEUE, CUTOFF_QUEUE, MASS_QUEUE];
/// Exchange and queue of refused messages.
pub const DEAD: &str = "revocation.dead";
/// Queue of verifiers' reports.
pub const VERIFIERS_QUEUE: &str = "revocation.verifiers";

/// How often the broker returns a message before it dead-letters it.
///
/// It must be a positive number: -1 drops at the first return on RabbitMQ 3.10, and a missing one means 20 on
/// 4.x. Low enough that a message which ends every worker it is delivered to leaves the queue in time; high
/// enough that a worker that crashes at every start does not dead-letter innocent messages before somebody
/// looks.
const DELIVERY_LIMIT: i64 = 100;
/// The dead-letter queue must lose nothing, however often it is listed.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000;
/// What the dead-letter queue holds at most: messages, and bytes of their bodies. What comes then stays in
/// its own queue.
const DEAD_MESSAGES: i64 = 200_000;
const DEAD_BYTES: i64 = 4_000_000_000;
/// The arguments that say so. A queue that an older release declared has none of them, and none can be added
/// to it.
const LIMITS: [&str; 3] = ["x-max-length", "x-max-length-bytes", "x-overflow"];
/// Reports of verifiers are worth nothing when they are old.
const VERIFIERS_TTL_MS: i64 = 30_000;

struct QueueSpec {
    name: &'static str,
    arguments: FieldTable,
}

/// Heartbeats are worth nothing when they are old: those of an hour or so are kept, in segments small enough
/// to be dropped.
const BEATS_BYTES: i64 = 2_000_000;
const BEATS_SEGMENT_BYTES: i64 = 500_000;
/// A few snapshots of the largest denylist: a million entries take some 300 MB.
const SNAPSHOTS_BYTES: i64 = 2_000_000_000;
const SNAPSHOTS_SEGMENT_BYTES: i64 = 64_000_000;

pub(super) const EXCHANGES: [(&str, ExchangeKind); 5] = [
    (EVENTS_EXCHANGE, ExchangeKind::Topic),
    (DEAD, ExchangeKind::Fanout),
    (invalidation::EXCHANGE, ExchangeKind::Topic),
    (invalidation::SNAPSHOTS_STREAM, ExchangeKind::Fanout),
    (invalidation::VERIFIERS_EXCHANGE, ExchangeKind::Topic),
];

/// (exchange, routing key, queue)
pub(super) const BINDINGS: [(&str, &str, &str); 8] = [
    (EVENTS_EXCHANGE, "auth.logout.#", LOGOUT_QUEUE),
    (EVENTS_EXCHANGE, "auth.mass_revocation.#", MASS_QUEUE),
    // In the queue above too: the second copy changes nothing.
    (EVENTS_EXCHANGE, CUTOFF_ROUTING_KEY, CUTOFF_QUEUE),
    (DEAD, "", DEAD),
    (invalidation::EXCHANGE, "invalidation.#", invalidation::STREAM),
    (invalidation::EXCHANGE, invalidation::MARK_KEY, invalidation::STREAM),
    (invalidation::EXCHANGE, invalidation::HEARTBEAT_KEY, invalidation::BEATS_STREAM),
    (invalidation::SNAPSHOTS_STREAM, "", invalidation::SNAPSHOTS_STREAM),
];

/// The same for the verifiers' reports, whose queue is on one node alone: who reads them declares it and its
/// exchange, and nobody else misses them.
pub(super) const REPORTS_BINDING: (&str, &str, &str) =
    (invalidation::VERIFIERS_EXCHANGE, "status.#", VERIFIERS_QUEUE);

/// What older releases bound the log by: everything, heartbeats included.
const OLD_LOG_KEY: &str = "#";

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn arguments<const N: usize>(pairs: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in pairs {
        table.insert(key.into(), value);
    }
    table
}

fn intake_queue(name: &'static str) -> QueueSpec {
    let arguments = arguments([
        ("x-queue-type", text("quorum")),
        ("x-dead-letter-exchange", text(DEAD)),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
        ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT)),
    ]);
    QueueSpec { name, arguments }
}

/// A stream that is kept up to a length alone.
fn short_stream(name: &'static str, bytes: i64, segment_bytes: i64) -> QueueSpec {
    let arguments = arguments([
        ("x-queue-type", text("stream")),
        ("x-max-length-bytes", AMQPValue::LongLongInt(bytes)),
        ("x-stream-max-segment-size-bytes", AMQPValue::LongLongInt(segment_bytes)),
    ]);
    QueueSpec { name, arguments }
}

fn dead_queue() -> QueueSpec {
    let arguments = arguments([
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", AMQPValue::LongLongInt(DEAD_DELIVERY_LIMIT)),
        ("x-max-length", AMQPValue::LongLongInt(DEAD_MESSAGES)),
        ("x-max-length-bytes", AMQPValue::LongLongInt(DEAD_BYTES)),
        ("x-overflow", text("reject-publish")),
    ]);
    QueueSpec { name: DEAD, arguments }
}

/// As older releases declared it.
fn without_limits(queue: &QueueSpec) -> QueueSpec {
    let kept = queue.arguments.inner().iter().filter(|(name, _)| !LIMITS.contains(&name.as_str()));
    QueueSpec {
        name: queue.name,
        arguments: kept.map(|(name, value)| (name.clone(), value.clone())).collect::<BTreeMap<_, _>>().into(),
    }
}

fn queues(stream: &InvalidationConfig) -> [QueueSpec; 7] {
    let log = arguments([
        ("x-queue-type", text("stream")),
        ("x-max-age", text(&max_age(stream.stream_max_age))),
        (
            "x-max-length-bytes",
            AMQPValue::LongLongInt(i64::try_from(stream.stream_max_length_bytes).unwrap_or(i64::MAX)),
        ),
    ]);
    [
        intake_queue(LOGOUT_QUEUE),
        intake_queue(MASS_QUEUE),
        intake_queue(CUTOFF_QUEUE),
        dead_queue(),
        QueueSpec { name: invalidation::STREAM, arguments: log },
        short_stream(invalidation::BEATS_STREAM, BEATS_BYTES, BEATS_SEGMENT_BYTES),
        short_stream(invalidation::SNAPSHOTS_STREAM, SNAPSHOTS_BYTES, SNAPSHOTS_SEGMENT_BYTES),
    ]
}

fn reports_queue() -> QueueSpec {
    let arguments = arguments([
        ("x-queue-type", text("classic")),
        ("x-message-ttl", AMQPValue::LongLongInt(VERIFIERS_TTL_MS)),
    ]);
    QueueSpec { name: VERIFIERS_QUEUE, arguments }
}

/// RabbitMQ's notation of an age: the largest unit of D, h, m, s that holds it exactly.
fn max_age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (unit, name) = [(86_400, "D"), (3600, "h"), (60, "m")]
        .into_iter()
        .find(|(unit, _)| seconds.is_multiple_of(*unit))
        .unwrap_or((1, "s"));
    format!("{}{name}", seconds / unit)
}

/// Whether the dead-letter queue may be without a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// It has one, or somebody else declares it.
    Set,
    /// An older release declared it. A policy may limit it; that does not show here.
    Unset,
}

/// How to give the dead-letter queue of an older release a limit.
pub(super) fn how_to_limit(vhost: &str) -> String {
    format!(
        "queue {DEAD} was declared by an older release, without a limit, and is used as it is; unless a \
            policy limits it already, set one: \
         rabbitmqctl set_policy -p '{vhost}' --apply-to queues {DEAD} '^revocation\\.dead$' \
         '{{\"max-length\":{DEAD_MESSAGES},\"max-length-bytes\":{DEAD_BYTES},\
         \"overflow\":\"reject-publish\"}}'"
    )
}

/// Whether one of the queues has this name.
pub(super) fn is_queue(name: &str) -> bool {
    BINDINGS.iter().chain([&REPORTS_BINDING]).any(|(_, _, queue)| *queue == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_in_the_brokers_notation() {
        for (seconds, notation) in [(7 * 86_400, "7D"), (36 * 3600, "36h"), (90 * 60, "90m"), (61, "61s")] {
            assert_eq!(max_age(Duration::from_secs(seconds)), notation);
        }
    }
}
