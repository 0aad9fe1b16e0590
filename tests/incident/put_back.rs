//! Rights of broker users at a real broker, and `dead requeue`, which lends nobody's authority.

use std::time::Duration;

use lapin::types::{AMQPValue, FieldArray};
use serde_json::{Value, json};

use crate::harness::{
    Operator, RawMessage, Worker, canary_token, eventually, logout_of, long, publish_raw, raw_header,
};
use crate::program::{Ran, feed};
use crate::publishers::{Gateway, mass, subjects};
use crate::scene::{LEAK, Scene};

/// The broker user that commands connect as.
const COMMANDS: &str = "guest";

async fn scene(operators: &str) -> Scene {
    let shop = concat!(
        r#"{ "shop" = { sources = ["/apps/shop", "/apps/shop/*"], "#,
        r#"kinds = ["token", "session"], providers = ["main"] } }"#
    );
    Scene::new(Duration::ZERO)
        .await
        .set("REVOCATION__AUTHORIZATION__USERS", shop)
        .set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", &format!("soc,{COMMANDS}"))
        .set("REVOCATION__AUTHORIZATION__OPERATORS", operators)
        .approval_above(1000)
}

fn requeue_all(scene: &Scene) -> Ran {
    tokio::task::block_in_place(|| feed(&mut scene.worker().command(), &["dead", "requeue", "--all"], ""))
}

async fn refusals(scene: &Scene, count: i64, of: &str) {
    scene
        .stage
        .wait_for_count(count, &format!("audit.rejected_events WHERE code = 'not_allowed' AND {of}"))
        .await;
}

async fn dead(scene: &Scene, messages: u32) {
    Operator::of(&scene.stage).await.wait_for_ready(messages, "revocation.dead").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_outside_a_users_rights_is_refused_and_the_rest_goes_on() {
    let scene = scene("").await;
    let [_worker]: [Worker; 1] = scene.workers().await;
    let gateway = Gateway::of(&scene.stage).await;
    let foreign = |id: &str, source: &str| {
        let mut event = logout_of(id, json!([{ "token": canary_token() }]));
        event["source"] = json!(source);
        event
    };
    let bad: [(Value, &str); 3] = [
        (foreign("source", "/apps/shopping"), "source \"/apps/shopping\" is refused"),
        (
            logout_of("kind", json!([{ "token": canary_token() }, { "sub": "u" }])),
            "data.targets[1] is of kind subject",
        ),
        (logout_of("first", json!([{ "sub": "u" }])), "data.targets[0] is of kind subject"),
    ];
    for (event, _) in &bad {
        gateway.publish(Some("shop"), event).await;
        gateway.publish(None, event).await;
        gateway.publish(Some("portal"), event).await;
    }
    gateway.publish(Some("shop"), &foreign("child", "/apps/shop/eu")).await;
    gateway.publish(None, &foreign("unnamed", "/apps/shop")).await;
    scene.stage.wait_for_count(4 + 2, "audit.revocations").await;
    refusals(&scene, 3, "broker_user = 'shop'").await;
    refusals(&scene, 3, "broker_user IS NULL AND detail LIKE '%user_id%'").await;
    for (event, detail) in bad {
        let detail = detail.replace('\'', "''");
        let id = event["id"].as_str().expect("an id");
        assert_eq!(
            scene
                .stage
                .count(&format!("audit.rejected_events WHERE event_id = '{id}' AND detail LIKE '{detail}%'"))
                .await,
            2
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requeueing_lends_no_authority_however_often() {
    for operators in ["", COMMANDS] {
        let scene = scene(operators).await;
        let [worker]: [Worker; 1] = scene.workers().await;
        let gateway = Gateway::of(&scene.stage).await;
        gateway.publish(Some("intern"), &mass("intern", "leak", &subjects("i", 2))).await;
        gateway.publish(None, &mass("unnamed", "leak", &subjects("n", 2))).await;
        gateway.publish(Some("shop"), &logout_of("shop", json!(subjects("s", 1)))).await;
        refusals(&scene, 3, "true").await;
        for round in 2..=4 {
            dead(&scene, 3).await;
            let ran = requeue_all(&scene);
            assert_eq!((ran.code, ran.stdout.as_str()), (0, "3 messages requeued\n"), "{}", ran.stderr);
            refusals(&scene, 3 * round, "true").await;
        }
        dead(&scene, 3).await;
        assert_eq!(scene.stage.count("audit.revocations").await, 0, "nothing was ordered by {operators:?}");
        let on_record =
            |user: &str| format!("audit.rejected_events WHERE coalesce(broker_user, '') = '{user}'");
        let own: [i64; 4] = if operators.is_empty() { [1, 1, 1, 9] } else { [4, 4, 4, 0] };
        for (user, rows) in ["intern", "", "shop", COMMANDS].into_iter().zip(own) {
            assert_eq!(scene.stage.count(&on_record(user)).await, rows, "{user:?} by {operators:?}");
        }
        let told = worker.log().matches(r#""requeued_by":"guest""#).count();
        assert_eq!(told, if operators.is_empty() { 0 } else { 9 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_puts_back_what_its_sender_may_order_meanwhile() {
    let scene = scene(COMMANDS).await.set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", COMMANDS);
    let [worker]: [Worker; 1] = scene.workers().await;
    let gateway = Gateway::of(&scene.stage).await;
    gateway.publish(Some("soc"), &mass("late", "leak", &subjects("l", 2))).await;
    dead(&scene, 1).await;
    drop(worker);
    let scene = scene.set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", "soc");
    let [_worker]: [Worker; 1] = scene.workers().await;
    assert_eq!(requeue_all(&scene).code, 0);
    scene
        .stage
        .wait_for_count(2, "audit.revocations WHERE event_id = 'late' AND denied_at IS NOT NULL")
        .await;
    assert_eq!(
        scene.stage.count("revocation.events WHERE broker_user = 'soc'").await,
        1,
        "under who sent it"
    );
    let opened = "SELECT opened_via FROM revocation.incidents WHERE incident = 'leak'";
    assert_eq!(scene.stage.text(opened).await.as_deref(), Some("soc"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_header_of_a_publisher_wins_a_right() {
    let scene = scene("ops").await;
    let [_worker]: [Worker; 1] = scene.workers().await;
    let gateway = Gateway::of(&scene.stage).await;
    let text = |text: &str| AMQPValue::LongString(text.into());
    let list = |names: &[&str]| {
        AMQPValue::FieldArray(FieldArray::from(names.iter().map(|name| text(name)).collect::<Vec<_>>()))
    };
    let headers = [
        text("soc"),
        text(""),
        list(&["soc"]),
        list(&["soc", "ops"]),
        list(&["soc"; 9]),
        list(&[]),
        text(&"soc".repeat(100)),
        AMQPValue::Boolean(true),
        AMQPValue::LongInt(7),
        AMQPValue::Void,
    ];
    for (number, first) in headers.iter().enumerate() {
        for user in [Some("intern"), None] {
            gateway
                .publish_for(
                    user,
                    first.clone(),
                    &mass(&format!("{user:?}-{number}"), "leak", &subjects("u", 1)),
                )
                .await;
        }
    }
    refusals(&scene, 20, "true").await;
    dead(&scene, 20).await;
    assert_eq!(requeue_all(&scene).code, 0, "by no operator");
    refusals(&scene, 40, "true").await;
    assert_eq!(scene.stage.count("audit.revocations").await, 0);

    // By one who may, in the name of one who may not; by an operator, likewise; and both who may.
    gateway.publish_for(Some("soc"), text("intern"), &mass("no-1", "leak", &subjects("u", 1))).await;
    gateway.publish_for(Some("ops"), text("intern"), &mass("no-2", "leak", &subjects("u", 1))).await;
    gateway
        .publish_for(Some("ops"), AMQPValue::Boolean(true), &mass("no-3", "leak", &subjects("u", 1)))
        .await;
    gateway.publish_for(Some("ops"), text("soc"), &mass("yes", "leak", &subjects("u", 1))).await;
    refusals(&scene, 43, "true").await;
    eventually("the last is accepted", async || {
        (scene.stage.count("audit.revocations WHERE event_id = 'yes'").await == 1).then_some(())
    })
    .await;
}

/// An operator's word is all there is on who sent a message first: the operator may have made it up.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_approves_what_he_put_back_in_somebody_elses_name() {
    let scene = scene("ops").await;
    let [_worker]: [Worker; 1] = scene.workers().await;
    let gateway = Gateway::of(&scene.stage).await;
    let session = scene.stage.text("SELECT session_user::text").await;
    let clients = [json!({ "client_id": "shop" })];
    gateway
        .publish_for(Some("ops"), AMQPValue::LongString("soc".into()), &mass("made-up", LEAK, &clients))
        .await;
    scene.stage.wait_for_count(1, "audit.incidents WHERE state = 'awaiting_approval'").await;
    let people = json!({
        "alice": { "broker_users": ["soc"] },
        "bob": { "broker_users": ["ops"], "database_roles": [session] },
    });
    scene.stage.people(&people).await;
    let refused = scene.incident("alice", &["approve", LEAK]);
    assert_eq!(
        (refused.code, refused.stderr.contains("a second person must approve: alice, ops, soc")),
        (1, true),
        "{}",
        refused.stderr
    );
    let people = json!({
        "alice": { "broker_users": ["soc"] }, "bob": { "broker_users": ["ops"] },
        "carol": { "database_roles": [session] },
    });
    scene.stage.people(&people).await;
    assert_eq!(scene.incident("carol", &["approve", LEAK]).code, 0);
}

/// Messages that the broker gives up by itself, under headers that say a worker refused them and whose they
/// were.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_hides_the_brokers_own_headers_wins_a_right() {
    let scene = scene(COMMANDS).await;
    let [worker]: [Worker; 1] = scene.workers().await;
    drop(worker);
    let text = |name: &[u8], value: &[u8]| raw_header(name, b'S', &long(value));
    let death = |queue: &[u8]| {
        let table = [text(b"queue", queue), text(b"reason", b"rejected")].concat();
        raw_header(b"x-death", b'A', &long(&[&b"F"[..], &long(&table)].concat()))
    };
    let claims = [
        text(b"x-original-user", b"soc"),
        text(b"x-refused-code", b"not_allowed"),
        text(b"x-refused-user", b"soc"),
    ]
    .concat();
    // So near the limit of a frame that there is no room for the broker's.
    let filled = |width: usize| {
        let one = |number: usize| text(format!("f{number:05}").as_bytes(), &vec![b'x'; width]);
        let fillers = (130_950 - claims.len()) / one(0).len();
        [claims.clone(), (0..fillers).flat_map(one).collect()].concat()
    };
    let one_inside =
        [text(b"queue", b"revocation.mass"), text(b"queue", b"elsewhere"), text(b"reason", b"expired")]
            .concat();
    let disguises = [
        claims.clone(),
        [claims.clone(), death(b"elsewhere")].concat(),
        [claims.clone(), death(b"elsewhere"), death(b"elsewhere")].concat(),
        [claims.clone(), raw_header(b"x-death", b'A', &long(&[&b"F"[..], &long(&one_inside)].concat()))]
            .concat(),
        [claims.clone(), text(b"x-death", &[b'x'; 130_000])].concat(),
        [claims.clone(), (0..400).flat_map(|_| death(&[b'q'; 255])).collect()].concat(),
        filled(20),
        filled(80),
        filled(150),
        filled(100_000),
    ];
    let message = |(number, headers): (usize, &Vec<u8>)| {
        let body = mass(&format!("disguised-{number}"), "leak", &subjects("u", 1)).to_string();
        let message = RawMessage::new("auth.events", b"auth.mass_revocation", body.as_bytes());
        message.word("content_type", b"application/json").word("expiration", b"1").headers(headers)
    };
    let messages: Vec<_> = disguises.iter().enumerate().map(message).collect();
    publish_raw(&scene.stage.amqp_url, &messages).await;
    let disguised = u32::try_from(disguises.len()).expect("a few");
    dead(&scene, disguised).await;
    let [_worker]: [Worker; 1] = scene.workers().await;
    let ran = requeue_all(&scene);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    eventually("each is settled", async || {
        let refused = scene.stage.count("audit.rejected_events").await;
        let taken = scene.stage.count("audit.revocations").await;
        (refused + taken == i64::from(disguised)).then_some(())
    })
    .await;
    assert_eq!(scene.stage.count("audit.revocations").await, 0, "a right was won");
}
