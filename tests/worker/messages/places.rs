//! Where messages travel: exchanges, queues, routing keys, types.

use revocation_verifier::message::STATUS_TYPE;
use revocation_worker::broker::{DEAD, EVENTS_EXCHANGE, LOGOUT_QUEUE, MASS_QUEUE};
use revocation_worker::event::EventType;
use revocation_worker::invalidation::{
    BEATS_STREAM, CHECKPOINT_KEY, CHECKPOINT_TYPE, Composer, EXCHANGE, Entry, EventOf, EventRef,
    HEARTBEAT_KEY, HEARTBEAT_TYPE, MARK_KEY, MARK_TYPE, Phase, SNAPSHOT_TYPE, SNAPSHOTS_STREAM, STREAM, TYPE,
    VERIFIERS_EXCHANGE,
};
use serde_json::Value;
use time::OffsetDateTime;

use super::schema::{at, names, schema};

fn amqp(channel: &str) -> &'static Value {
    at(&format!("/channels/{channel}/bindings/amqp"))
}

#[test]
fn exchanges_queues_and_keys_are_the_codes() {
    let by_exchange = [
        ("logout", EVENTS_EXCHANGE, EventType::Logout.routing_key()),
        ("massRevocation", EVENTS_EXCHANGE, EventType::MassRevocation.routing_key()),
        ("invalidations", EXCHANGE, "invalidation.{provider}.{kind}"),
        ("heartbeats", EXCHANGE, HEARTBEAT_KEY),
        ("marks", EXCHANGE, MARK_KEY),
        ("checkpoints", EXCHANGE, CHECKPOINT_KEY),
        ("verifiers", VERIFIERS_EXCHANGE, "status.{service}"),
    ];
    for (channel, exchange, key) in by_exchange {
        let binding = amqp(channel);
        assert_eq!(
            (&binding["is"], &binding["exchange"]["name"]),
            (&"routingKey".into(), &exchange.into()),
            "{channel}"
        );
        assert_eq!(
            (&binding["exchange"]["type"], &binding["exchange"]["durable"]),
            (&"topic".into(), &true.into()),
            "{channel}"
        );
        assert_eq!(at(&format!("/channels/{channel}/address")), key);
    }
    let by_queue =
        [("log", STREAM), ("beats", BEATS_STREAM), ("snapshots", SNAPSHOTS_STREAM), ("refused", DEAD)];
    for (channel, queue) in by_queue {
        assert_eq!((&amqp(channel)["is"], &amqp(channel)["queue"]["name"]), (&"queue".into(), &queue.into()));
        assert_eq!(at(&format!("/channels/{channel}/address")), queue);
    }
    assert_eq!(
        names(at("/channels")).len(),
        by_exchange.len() + by_queue.len(),
        "every channel was looked at"
    );
    for (channel, queue) in [("logout", LOGOUT_QUEUE), ("massRevocation", MASS_QUEUE)] {
        assert!(at(&format!("/channels/{channel}/description")).as_str().expect("a text").contains(queue));
    }
}

#[test]
fn an_invalidation_is_routed_as_its_channel_says() {
    let event = EventRef { source: "s".to_owned(), id: "1".to_owned() };
    let event = EventOf { event, incident: None, traceparent: None };
    let entry = Entry::Issuer {
        iss: "i".to_owned(),
        not_before: OffsetDateTime::UNIX_EPOCH,
        expires_at: OffsetDateTime::UNIX_EPOCH,
    };
    let message = Composer::new("w")
        .invalidations(Phase::Requested, [(event, vec![("{provider}".into(), entry)])])
        .remove(0);
    assert_eq!(message.routing_key.replace("issuer", "{kind}"), *at("/channels/invalidations/address"));
}

#[test]
fn each_message_has_its_type() {
    let types = [
        ("logout", EventType::Logout.as_str()),
        ("massRevocation", EventType::MassRevocation.as_str()),
        ("invalidation", TYPE),
        ("heartbeat", HEARTBEAT_TYPE),
        ("mark", MARK_TYPE),
        ("checkpoint", CHECKPOINT_TYPE),
        ("snapshot", SNAPSHOT_TYPE),
        ("verifierStatus", STATUS_TYPE),
    ];
    for (message, name) in types {
        assert_eq!(schema(message)["properties"]["type"]["const"], name);
        assert_eq!(at(&format!("/components/messages/{message}/name")), name);
        assert_eq!(
            at(&format!("/components/messages/{message}/payload/$ref")),
            &format!("#/components/schemas/{message}")
        );
    }
    assert_eq!(
        names(at("/components/messages")).len(),
        types.len() + 1,
        "every message but the refused ones has a type"
    );
}
