//! One broker user's floods: what another publishes behind them is met while they are still in hand, and they
//! take no more memory than `amqp.bytes_in_hand` says.

use futures::StreamExt;
use lapin::BasicProperties;
use revocation_worker::invalidation::Phase;
use serde_json::json;
use sqlx::Executor;

use crate::harness::{
    App, Feed, Logout, Operator, RawMessage, Stage, eventually, long, publish_raw, raw_header,
};
use crate::scripted_idp::{Reply, ScriptedIdp};

async fn idp() -> ScriptedIdp {
    ScriptedIdp::start(|_| Reply::status(200)).await
}

async fn publish(app: &App, bodies: impl Iterator<Item = String>) {
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_user_id(app.user().into());
    let sent = bodies.map(|body| {
        let properties = properties.clone();
        async move { app.publish_raw("auth.logout", body.as_bytes(), properties).await }
    });
    futures::stream::iter(sent).buffer_unordered(200).collect::<Vec<()>>().await;
}

async fn user(stage: &Stage, operator: &Operator, name: &str) -> App {
    let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
    App::connect(&operator.add_limited_user(stage, name, all).await).await
}

/// Each is a refusal of its own kind.
fn no_event(number: usize) -> String {
    match number % 4 {
        0 => format!("no event {number}"),
        1 => format!("{{\"id\": {number}}}"),
        2 => format!("[{number}]"),
        _ => json!({ "specversion": "1.0", "id": number.to_string(), "source": "/f", "type": "auth.login.v1",
            "data": {} })
        .to_string(),
    }
}

/// While none of them can be put on record, or acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_behind_thousands_of_refusals_waits_for_none_of_them() {
    const REFUSALS: i64 = 9_000;
    let (stage, idp) = (Stage::new().await, idp().await);
    let operator = Operator::of(&stage).await;
    let setup = stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__LOG__LEVEL", "error");
    assert!(setup.start().await.stop().await.success());
    let (flooder, shop) = (user(&stage, &operator, "flood").await, user(&stage, &operator, "shop").await);
    publish(&flooder, (0..usize::try_from(REFUSALS).expect("a count")).map(no_event)).await;
    let logout = &Logout::many(1)[0];
    publish(&shop, [logout.event().to_string()].into_iter()).await;

    let mut lock = stage.db.begin().await.expect("a transaction");
    lock.execute("LOCK TABLE revocation.rejected_events IN ACCESS EXCLUSIVE MODE").await.expect("the lock");
    let feed = Feed::listen(&stage.amqp_url).await;
    let mut worker = setup.start().await;
    feed.wait_for(Phase::Requested, &logout.id).await;
    stage.wait_for_count(2, "audit.revocations WHERE state = 'revoked'").await;
    lock.rollback().await.expect("unlock");

    stage.wait_for_count(REFUSALS, "audit.rejected_events").await;
    for part in 1..=3 {
        eventually("a third more of them is put away", async || {
            (i64::from(operator.ready("revocation.dead").await) >= part * REFUSALS / 3).then_some(())
        })
        .await;
    }
    assert!(worker.stop().await.success());
    assert_eq!(operator.ready("revocation.logout").await, 0, "each is acknowledged");
    assert_eq!(stage.count("audit.rejected_events").await, REFUSALS, "and on record once");
}

/// Headers that fill a frame, of values that take one byte there or a few, and far more in memory.
#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_follow_the_number_of_values_in_headers() {
    let array = |values: Vec<u8>| raw_header(b"a", b'A', &long(&values));
    let names = (0..18_000).flat_map(|number| raw_header(format!("{number:05}").as_bytes(), b'V', b""));
    let kinds = [
        ("voids", array(b"V".repeat(130_000))),
        ("booleans", array(b"t\x01".repeat(65_000))),
        ("names", names.collect()),
        ("empty tables", array([&b"F"[..], &long(b"")].concat().repeat(26_000))),
        ("arrays in each other", array([&b"A"[..], &long(b"V")].concat().repeat(21_000))),
        ("one text", raw_header(b"a", b'S', &long(&b"x".repeat(130_000)))),
    ];
    let (stage, idp) = (Stage::new().await, idp().await);
    let setup = stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__LOG__LEVEL", "error");
    assert!(setup.start().await.stop().await.success());
    let mut lock = stage.db.begin().await.expect("a transaction");
    lock.execute("LOCK TABLE revocation.rejected_events IN ACCESS EXCLUSIVE MODE").await.expect("the lock");
    let mut worker = setup.start().await;
    for (_, headers) in &kinds {
        let message = RawMessage::new("auth.events", b"auth.logout", b"{").headers(headers);
        publish_raw(&stage.amqp_url, &vec![message; 30]).await;
    }
    let in_hand = "revocation_deliveries_in_hand{queue=\"revocation.logout\"}";
    eventually("most are in hand", async || (worker.metric(in_hand).await >= 100.0).then_some(())).await;
    lock.rollback().await.expect("unlock");
    stage.wait_for_count(180, "audit.rejected_events").await;
    Operator::of(&stage).await.wait_for_ready(180, "revocation.dead").await;
    let peak = worker.memory_mib("VmHWM");
    assert!(peak <= 200, "{peak} MiB");
    assert!(worker.stop().await.success());
}
