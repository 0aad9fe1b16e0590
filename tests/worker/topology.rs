//! What stands at the broker, what stops the worker at start, and both sides of the delivery limit.

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::harness::{App, Operator, Setup, Stage, canary_token, logout, text};
use crate::scripted_idp::Memory;

/// Queue, kind, arguments (docs/contract.md, section 5). The stream is kept as long as a token may live: 30
/// days where nothing is set.
fn queues() -> Vec<(&'static str, &'static str, Value)> {
    let intake = json!({
        "x-queue-type": "quorum", "x-dead-letter-exchange": "revocation.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish", "x-delivery-limit": 100,
    });
    let stream = |bytes: u64, segment: u64| {
        json!({
            "x-queue-type": "stream", "x-max-length-bytes": bytes, "x-stream-max-segment-size-bytes": segment,
        })
    };
    vec![
        ("auth.invalidations.beats", "stream", stream(2_000_000, 500_000)),
        (
            "auth.invalidations.log",
            "stream",
            json!({ "x-queue-type": "stream", "x-max-age": "30D", "x-max-length-bytes": 5_000_000_000_u64 }),
        ),
        ("auth.invalidations.snapshots", "stream", stream(2_000_000_000, 64_000_000)),
        ("revocation.cutoff", "quorum", intake.clone()),
        (
            "revocation.dead",
            "quorum",
            json!({
                "x-queue-type": "quorum", "x-delivery-limit": 1_000_000, "x-max-length": 200_000,
                "x-max-length-bytes": 4_000_000_000_u64,
                "x-overflow": "reject-publish",
            }),
        ),
        ("revocation.logout", "quorum", intake.clone()),
        ("revocation.mass", "quorum", intake),
        ("revocation.verifiers", "classic", json!({ "x-queue-type": "classic", "x-message-ttl": 30_000 })),
    ]
}

/// Exchange and kind.
const EXCHANGES: [(&str, &str); 5] = [
    ("auth.events", "topic"),
    ("auth.invalidations", "topic"),
    ("auth.invalidations.snapshots", "fanout"),
    ("auth.verifiers", "topic"),
    ("revocation.dead", "fanout"),
];

/// Exchange, routing key, queue.
const BINDINGS: [(&str, &str, &str); 9] = [
    ("auth.events", "auth.logout.#", "revocation.logout"),
    ("auth.events", "auth.mass_revocation.#", "revocation.mass"),
    ("auth.events", "auth.mass_revocation.cutoff", "revocation.cutoff"),
    ("auth.invalidations", "heartbeat", "auth.invalidations.beats"),
    ("auth.invalidations", "invalidation.#", "auth.invalidations.log"),
    ("auth.invalidations", "mark", "auth.invalidations.log"),
    ("auth.invalidations.snapshots", "", "auth.invalidations.snapshots"),
    ("auth.verifiers", "status.#", "revocation.verifiers"),
    ("revocation.dead", "", "revocation.dead"),
];

fn worker(stage: &Stage) -> Setup {
    stage.worker("http://127.0.0.1:9/revoke")
}

/// Starts a worker that must end with exit code 1; returns what it said.
async fn refusal(setup: &Setup) -> String {
    let mut worker = setup.spawn();
    let status = worker.ended().await;
    assert_eq!(status.code(), Some(1), "{}", worker.log());
    worker.log()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_declared_as_the_contract_says_twice_with_the_same_result() {
    let stage = Stage::new().await;
    let operator = Operator::of(&stage).await;
    for _started_twice in 0..2 {
        let mut worker = worker(&stage).start().await;
        worker.wait_for_log("verifiers' reports are read").await;
        let mut found: Vec<_> = operator.list("queues").await;
        found.sort_by_key(|queue| text(&queue["name"]));
        let found: Vec<_> = found
            .iter()
            .map(|queue| {
                assert_eq!(
                    (&queue["durable"], &queue["auto_delete"]),
                    (&json!(true), &json!(false)),
                    "{}",
                    queue["name"]
                );
                (text(&queue["name"]), text(&queue["type"]), queue["arguments"].clone())
            })
            .collect();
        assert_eq!(
            found,
            queues()
                .into_iter()
                .map(|(name, kind, arguments)| (name.to_owned(), kind.to_owned(), arguments))
                .collect::<Vec<_>>()
        );
        assert_exchanges_and_bindings(&operator).await;
        assert!(worker.stop().await.success());
    }
}

async fn assert_exchanges_and_bindings(operator: &Operator) {
    let mut exchanges: Vec<_> = operator.list("exchanges").await;
    exchanges.retain(|exchange| {
        !text(&exchange["name"]).is_empty() && !text(&exchange["name"]).starts_with("amq.")
    });
    exchanges.sort_by_key(|exchange| text(&exchange["name"]));
    let expected: Vec<_> = EXCHANGES.map(|(name, kind)| (json!(name), json!(kind), json!(true))).into();
    assert_eq!(
        exchanges
            .iter()
            .map(|e| (e["name"].clone(), e["type"].clone(), e["durable"].clone()))
            .collect::<Vec<_>>(),
        expected
    );
    let mut bindings: Vec<_> = operator
        .list("bindings")
        .await
        .iter()
        .map(|b| ["source", "routing_key", "destination"].map(|m| text(&b[m])))
        .collect();
    // Every queue is bound to the default exchange.
    bindings.retain(|[source, ..]| !source.is_empty());
    bindings.sort_unstable();
    assert_eq!(bindings, BINDINGS.map(|(exchange, key, queue)| [exchange, key, queue].map(str::to_owned)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_another_delivery_limit_stops_the_start_and_is_named() {
    let stage = Stage::new().await;
    let operator = Operator::of(&stage).await;
    let mut arguments = FieldTable::default();
    for (name, value) in [
        ("x-queue-type", "quorum"),
        ("x-dead-letter-exchange", "revocation.dead"),
        ("x-dead-letter-strategy", "at-least-once"),
        ("x-overflow", "reject-publish"),
    ] {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(7));
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    operator.channel().queue_declare("revocation.logout".into(), options, arguments).await.unwrap();

    let said = refusal(&worker(&stage)).await;

    let last = said.lines().last().unwrap();
    assert!(
        last.contains("revocation.logout") && last.contains("x-delivery-limit") && last.contains('7'),
        "{last}"
    );
    let found = operator.list("queues").await;
    let queue = found.iter().find(|queue| queue["name"] == "revocation.logout").unwrap();
    assert_eq!(queue["arguments"]["x-delivery-limit"], 7, "the queue stays as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_declare_the_topology_is_only_looked_at() {
    let stage = Stage::new().await;
    let operator = Operator::of(&stage).await;
    let checking = worker(&stage).set("REVOCATION__AMQP__DECLARE", "false");

    let said = refusal(&checking).await;
    assert!(said.lines().last().unwrap().contains("auth.events"), "{said}");
    assert_eq!(operator.queues().await, [""; 0], "nothing is declared");

    assert!(worker(&stage).start().await.stop().await.success());
    assert!(checking.start().await.stop().await.success());
    operator.channel().queue_delete("revocation.mass".into(), QueueDeleteOptions::default()).await.unwrap();
    let said = refusal(&checking).await;
    assert!(said.lines().last().unwrap().contains("revocation.mass"), "{said}");
    assert!(
        !operator.queues().await.contains(&"revocation.mass".to_owned()),
        "the missing queue is not declared"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_end_the_start_without_showing_them() {
    let stage = Stage::new().await;
    let mut wrong: url::Url = stage.amqp_url.parse().expect("a URL");
    wrong.set_password(Some("hunter2-wrong")).expect("a password");

    let said = refusal(&worker(&stage).set("AMQP_URL", wrong.as_str())).await;

    let last = said.lines().last().unwrap();
    assert!(
        last.contains("reach the broker at amqp://127.0.0.1") && last.contains("ACCESS_REFUSED"),
        "{last}"
    );
    assert!(!said.contains("hunter2"), "the password is in the log");
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn thirty_crashes_in_a_row_dead_letter_nothing() {
    const WAITING: u32 = 200;
    let stage = Stage::new().await;
    let operator = Operator::of(&stage).await;
    let idp = Memory::default().serve().await;
    let setup = stage.worker(&format!("{}/revoke", idp.url()));
    assert!(setup.start().await.stop().await.success());
    let app = App::connect(&stage.amqp_url).await;
    for number in 0..WAITING {
        app.publish(&logout(&number.to_string(), &canary_token(), &canary_token())).await;
    }

    let crashing = setup.clone().set("KILL_AT", "received:1");
    for crash in 0..30 {
        let status = crashing.spawn().ended().await;
        assert_eq!(status.code(), None, "crash {crash} is a SIGKILL");
        operator.wait_for_ready(WAITING, "revocation.logout").await;
    }

    let _worker = setup.start().await;
    stage.wait_for_count(i64::from(2 * WAITING), "audit.revocations WHERE state = 'revoked'").await;
    assert_eq!(operator.ready("revocation.dead").await, 0);
    assert_eq!(stage.count("audit.rejected_events").await, 0);
}
