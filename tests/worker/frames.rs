//! Headers up to the largest frame, and what else the broker may not take: it ends no connection that a
//! denial needs, and no wait.

use std::cell::Cell;

use lapin::BasicProperties;
use lapin::options::QueuePurgeOptions;
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use revocation_worker::event::RefusalCode;

use crate::harness::{
    App, CANARY, DeadLetter, Operator, Servers, Setup, Stage, canary_token, eventually, logout,
};
use crate::scripted_idp::{Memory, ScriptedIdp};

/// The largest payload of a frame with RabbitMQ's `frame_max` of 131072.
const LARGEST: usize = 131_064;
/// Class, weight, size, flags, `delivery_mode`, `message_id` of five bytes, the table's length.
const FIXED: usize = 14 + 1 + 6 + 4;

/// Headers whose frame has a payload of exactly so many bytes.
fn headers(payload: usize, shape: usize) -> FieldTable {
    let mut table = FieldTable::default();
    let mut left = payload - FIXED;
    let text = |bytes: usize| AMQPValue::LongString("h".repeat(bytes).into());
    match shape % 5 {
        0 => {}
        1 => {
            for number in 0..1500 {
                table.insert(format!("h{number:05}").into(), text(40));
                left -= 7 + 5 + 40;
            }
        }
        2 => {
            let inner = (0..3).fold(AMQPValue::LongInt(7), |inner, _| {
                let mut table = FieldTable::default();
                table.insert("n".into(), inner);
                AMQPValue::FieldTable(table)
            });
            table.insert("t".into(), inner);
            left -= 2 + 3 * (1 + 4 + 2) + 5;
        }
        3 => {
            table.insert("b".into(), AMQPValue::ByteArray(vec![0xff; 60_000].into()));
            left -= 2 + 5 + 60_000;
        }
        _ => {
            table.insert(
                "a".into(),
                AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::Boolean(true); 1000])),
            );
            left -= 2 + 5 + 2000;
        }
    }
    table.insert("x".into(), text(left - 2 - 5));
    table
}

fn properties(number: usize, payload: usize) -> BasicProperties {
    BasicProperties::default()
        .with_message_id(format!("{number:05}").into())
        .with_headers(headers(payload, number))
}

/// A provider that says yes, and a worker for it.
pub(crate) async fn yes(stage: &Stage) -> (ScriptedIdp, Setup) {
    let idp = Memory::default().serve().await;
    let setup = stage.worker(&format!("{}/revoke", idp.url()));
    (idp, setup)
}

/// Somebody's logout is denied and revoked.
pub(crate) async fn assert_denies(stage: &Stage, app: &App, id: &str) {
    app.publish(&logout(id, &canary_token(), &canary_token())).await;
    stage
        .wait_for_count(
            2,
            &format!(
                "audit.revocations WHERE event_id = '{id}' AND state = 'revoked' AND denied_at IS NOT NULL"
            ),
        )
        .await;
}

/// Either all of the publisher's headers, or a header that says how many are missing.
fn assert_kept_or_counted(letter: &DeadLetter, sent: &FieldTable) -> bool {
    assert!(RefusalCode::parse(&letter.header("x-refused-code").expect("a code")).is_some());
    let headers = letter.properties.headers().clone().expect("headers");
    let kept = sent.inner().iter().filter(|(name, value)| headers.inner().get(*name) == Some(*value)).count();
    let dropped = match headers.inner().get("x-refused-headers-dropped") {
        Some(AMQPValue::LongLongInt(count)) => usize::try_from(*count).expect("a count"),
        _ => 0,
    };
    assert_eq!(kept + dropped, sent.inner().len(), "{}", letter.message_id());
    dropped > 0
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_every_size_are_refused_and_stop_neither_queue() {
    let stage = Stage::new().await;
    let (_idp, setup) = yes(&stage).await;
    let mut worker = setup.start().await;
    let (app, operator) = (App::connect(&stage.amqp_url).await, Operator::of(&stage).await);
    let sizes: Vec<_> = (120_000..130_700).step_by(311).chain(130_700..=LARGEST).collect();
    for (number, size) in sizes.iter().enumerate() {
        let key = if number % 2 == 0 { "auth.logout" } else { "auth.mass_revocation.x" };
        app.publish_raw(key, b"{", properties(number, *size)).await;
    }
    assert_denies(&stage, &app, "behind").await;
    let mut dropping = 0;
    for letter in operator.dead_letters(sizes.len()).await {
        assert_eq!(letter.body, b"{");
        let number: usize = letter.message_id().parse().expect("a number");
        let sent = headers(sizes[number], number);
        dropping += usize::from(assert_kept_or_counted(&letter, &sent));
    }
    assert!((200..400).contains(&dropping), "only where they do not fit: {dropping}");
    assert_eq!(stage.count("audit.rejected_events").await, i64::try_from(sizes.len()).unwrap());
    assert!(worker.stop().await.success());
    let log = worker.log();
    // Sessions of their own, which no refused message is on: a stream that was just declared may have no
    // leader for a moment.
    let others = [
        "session on the heartbeats failed",
        "session on the verifiers' reports failed",
        "the log was not folded",
    ];
    let is_told = |line: &&str| {
        (line.contains("connection lost") || line.contains("trying again"))
            && !others.iter().any(|o| line.contains(o))
    };
    let tried_again: Vec<_> = log.lines().filter(is_told).collect();
    assert_eq!(tried_again, [""; 0], "every one at the first try");
}

/// Beside valid events with such headers, which need no refusal, and after a worker that died with them all
/// in hand: the broker then adds a header of its own to frames that have no room for it.
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_the_largest_at_once_stop_no_logout_and_no_start() {
    const BAD: usize = 320;
    let stage = Stage::new().await;
    let (_idp, setup) = yes(&stage).await;
    assert!(setup.start().await.stop().await.success());
    let app = App::connect(&stage.amqp_url).await;
    for number in 0..BAD {
        let key = if number % 16 == 0 { "auth.mass_revocation.x" } else { "auth.logout" };
        app.publish_raw(key, b"[]", properties(number, LARGEST - number % 3)).await;
    }
    let valid = logout("valid", &canary_token(), &canary_token()).to_string();
    app.publish_raw("auth.logout", valid.as_bytes(), properties(0, LARGEST)).await;

    let mut killed = setup.clone().set("DATABASE_URL", "postgres://127.0.0.1:1/x").spawn();
    killed.wait_for_log("event refused").await;
    killed.kill();
    let mut worker = setup.start().await;

    stage.wait_for_count(2, "audit.revocations WHERE event_id = 'valid' AND state = 'revoked'").await;
    assert_denies(&stage, &app, "behind").await;
    Operator::of(&stage).await.dead_letters(BAD).await;
    assert!(worker.stop().await.success());
    let mut worker = setup.start().await;
    assert_denies(&stage, &app, "later").await;
    assert!(worker.stop().await.success());
    assert!(!worker.log().contains(CANARY));
}

/// The broker's limit on bodies was lowered when they were in its queues already.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_does_not_take_back_is_left_to_it_and_delays_nobody() {
    let servers = Servers::private().await;
    let stage = Stage::on(&servers).await;
    let (_idp, setup) = yes(&stage).await;
    assert!(setup.start().await.stop().await.success());
    let app = App::connect(&stage.amqp_url).await;
    for number in 0..20 {
        let body = vec![b'['; if number % 2 == 0 { 3_000_000 } else { 30 }];
        app.publish_raw("auth.logout", &body, properties(5 * number, 200)).await;
    }
    servers
        .broker(|broker| broker.ctl(&["eval", "application:set_env(rabbit, max_message_size, 1000000)."]))
        .expect("set the limit");

    let mut worker = setup.start().await;
    let app = App::connect(&stage.amqp_url).await;
    assert_denies(&stage, &app, "behind").await;
    stage.wait_for_count(20, "audit.rejected_events").await;
    // Of one that was on its way when a large one ended its connection, there may be a copy.
    let (operator, large, small) = (Operator::of(&stage).await, Cell::new(0), Cell::new(0));
    eventually("all are put away", async || {
        while let Some(letter) = operator.dead_letter().await {
            let is_large = letter.body.len() == 3_000_000;
            assert_eq!(letter.header("x-refused-code").is_none(), is_large, "the others have their reason");
            let seen = if is_large { &large } else { &small };
            seen.set(seen.get() + 1);
        }
        (large.get() >= 10 && small.get() >= 10).then_some(())
    })
    .await;
    assert_eq!(large.get(), 10, "the broker has each of them once");
    assert_denies(&stage, &app, "after").await;
    assert!(worker.stop().await.success());
    let log = worker.log();
    assert!(
        log.contains("cannot be published to revocation.dead") && log.contains("\"body_bytes\":3000000"),
        "an operator hears of it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_refused_messages_are_counted_and_told_of_once() {
    let stage = Stage::new().await;
    let (_idp, setup) = yes(&stage).await;
    let worker = setup.start().await;
    let app = App::connect(&stage.amqp_url).await;
    for _ in 0..1000 {
        app.publish_to("revocation.dead", "", b"{", BasicProperties::default()).await;
    }
    worker.wait_for_log("many refused messages wait").await;
    assert!(worker.metric("revocation_dead_messages").await >= 1000.0);
    assert_denies(&stage, &app, "beside").await;
    assert_eq!(worker.log().matches("many refused messages wait").count(), 1);

    stage.wait_for_count(1, "audit.dead_letters WHERE messages = 1000 AND many_since < now()").await;
    let told = || {
        String::from_utf8(setup.command().arg("status").output().expect("run status").stdout).expect("UTF-8")
    };
    let said = told();
    let first = "revocation.dead holds 1,000 refused messages, too many since 2";
    assert!(
        said.starts_with(first) && said.lines().next().is_some_and(|line| line.contains("dead list")),
        "{said}"
    );
    Operator::of(&stage)
        .await
        .channel()
        .queue_purge("revocation.dead".into(), QueuePurgeOptions::default())
        .await
        .expect("purge");
    stage.wait_for_count(1, "audit.dead_letters WHERE messages = 0 AND many_since IS NULL").await;
    let said = told();
    assert!(said.starts_with("nothing is wrong\n"), "{said}");
}

/// The worker's own limit, from the query of its URL, below what publishers send.
#[tokio::test(flavor = "multi_thread")]
async fn headers_beyond_a_limit_of_the_workers_own_end_no_session() {
    let stage = Stage::new().await;
    let (_idp, setup) = yes(&stage).await;
    let mut worker = setup.set("AMQP_URL", &format!("{}?frame_max=8192", stage.amqp_url)).start().await;
    let app = App::connect(&stage.amqp_url).await;
    for (number, payload) in [8_184, 8_185, 20_000, LARGEST].into_iter().enumerate() {
        let event = logout(&number.to_string(), &canary_token(), &canary_token());
        app.publish_raw("auth.logout", event.to_string().as_bytes(), properties(5 * number, payload)).await;
    }
    stage.wait_for_count(8, "audit.revocations WHERE state = 'revoked'").await;
    assert!(worker.stop().await.success());
    assert!(!worker.log().contains("session failed"), "{}", worker.log());
}
