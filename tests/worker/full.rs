//! `revocation.dead` when it is full, when it is gone, and when an older release declared it.

use std::collections::BTreeSet;

use lapin::BasicProperties;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};

use crate::frames::{assert_denies, yes};
use crate::harness::{App, DeadLetter, Operator, Servers, Setup, Stage, Worker, eventually};

const DEAD: &str = "revocation.dead";

/// Bad messages of many sizes, in both queues.
async fn publish_bad(app: &App, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let key = if number % 5 == 0 { "auth.mass_revocation.x" } else { "auth.logout" };
        let body = vec![b'['; 1 + number % 7 * 6000];
        app.publish_raw(key, &body, BasicProperties::default().with_message_id(number.to_string().into()))
            .await;
    }
}

fn assert_each_once(letters: &[DeadLetter], count: usize) {
    let numbers: BTreeSet<usize> =
        letters.iter().map(|letter| letter.message_id().parse().expect("a number")).collect();
    assert_eq!((numbers.len(), letters.len(), numbers.last().copied()), (count, count, Some(count - 1)));
    for letter in letters {
        let number: usize = letter.message_id().parse().expect("a number");
        assert_eq!(letter.body, vec![b'['; 1 + number % 7 * 6000]);
    }
}

/// What 600 of them take is 24 MB; those that are tried again keep theirs, and the others a kilobyte each.
const MUCH: f64 = 15_000_000.0;

/// What `check` says.
fn check(setup: &Setup) -> String {
    String::from_utf8(setup.command().arg("check").output().expect("run check").stdout).expect("UTF-8")
}

/// Waits until the window has no more in it.
async fn wait_for_little_in_hand(worker: &Worker, most_bytes: f64) {
    eventually("refused messages leave the window", async || {
        let mut bytes = 0.0;
        for queue in ["logout", "mass"] {
            bytes +=
                worker.metric(&format!("revocation_bytes_in_hand{{queue=\"revocation.{queue}\"}}")).await;
        }
        (bytes <= most_bytes).then_some(())
    })
    .await;
}

/// A broker that tries again soon what it could not dead-letter; by default it waits three minutes.
async fn hasty() -> Servers {
    let servers = Servers::private().await;
    let set = "application:set_env(rabbit, dead_letter_worker_publisher_confirm_timeout, 1000).";
    servers.broker(|broker| broker.ctl(&["eval", set])).expect("set the time");
    servers
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_dead_letter_queue_logouts_go_on_and_nothing_is_lost() {
    const BAD: usize = 600;
    let servers = hasty().await;
    let stage = Stage::on(&servers).await;
    let (_idp, setup) = yes(&stage).await;
    let mut worker = setup.start().await;
    let (app, operator) = (App::connect(&stage.amqp_url).await, Operator::of(&stage).await);
    operator.limit(DEAD, 5).await;
    let fillers = operator.fill(DEAD).await;

    publish_bad(&app, 0..BAD).await;
    assert_denies(&stage, &app, "behind").await;
    stage.wait_for_count(BAD as i64, "audit.rejected_events").await;
    wait_for_little_in_hand(&worker, 0.0).await;
    assert_eq!(operator.ready(DEAD).await as usize, fillers, "it is full");
    worker.wait_for_log("revocation.dead is full").await;
    assert_denies(&stage, &app, "meanwhile").await;
    assert!(worker.stop().await.success());
    let log = worker.log();
    assert_eq!(log.matches("revocation.dead is full").count(), 1);
    assert!(log.contains("dead discard") && !log.contains("trying again"), "nothing is tried in vain");
    // Also by a worker that starts with it full.
    let mut worker = setup.start().await;
    assert_denies(&stage, &app, "later").await;

    operator.limit(DEAD, 10_000).await;
    let mut letters = operator.dead_letters(fillers + BAD).await;
    letters.retain(|letter| letter.body != b"filler");
    assert_each_once(&letters, BAD);
    assert_eq!(stage.count("audit.rejected_events").await, BAD as i64);
    publish_bad(&app, 0..1).await;
    assert!(operator.dead_letters(1).await[0].header("x-refused-code").is_some(), "with its reason again");
    assert!(worker.stop().await.success());
}

/// The source queues have no dead-letter exchange: what the broker were to put away, it would drop.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_broker_would_drop_them_they_are_set_aside() {
    const BAD: usize = 600;
    let stage = Stage::new().await;
    let (_idp, setup) = yes(&stage).await;
    assert!(setup.start().await.stop().await.success());
    let (app, operator) = (App::connect(&stage.amqp_url).await, Operator::of(&stage).await);
    for (queue, key) in
        [("revocation.logout", "auth.logout.#"), ("revocation.mass", "auth.mass_revocation.#")]
    {
        operator.channel().queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
        declare(&operator, queue, &[]).await;
        let bound = operator.channel().queue_bind(
            queue.into(),
            "auth.events".into(),
            key.into(),
            Default::default(),
            FieldTable::default(),
        );
        bound.await.unwrap();
    }
    let mut worker = setup.set("REVOCATION__AMQP__DECLARE", "false").start().await;
    operator.limit(DEAD, 5).await;
    let fillers = operator.fill(DEAD).await;

    publish_bad(&app, 0..BAD).await;
    assert_denies(&stage, &app, "behind").await;
    stage.wait_for_count(BAD as i64, "audit.rejected_events").await;
    wait_for_little_in_hand(&worker, MUCH).await;
    assert_denies(&stage, &app, "meanwhile").await;

    operator.limit(DEAD, 10_000).await;
    operator.wait_for_ready((fillers + BAD) as u32, DEAD).await;
    let mut letters = operator.dead_letters(fillers + BAD).await;
    letters.retain(|letter| letter.body != b"filler");
    assert_each_once(&letters, BAD);
    assert!(letters.iter().all(|letter| letter.header("x-refused-code").is_some()));
    wait_for_little_in_hand(&worker, 0.0).await;
    assert!(worker.stop().await.success());
    assert_eq!(worker.log().matches("revocation.dead is full").count(), 1);
}

/// Declares a durable quorum queue with these arguments besides.
async fn declare(operator: &Operator, queue: &str, arguments: &[(&str, AMQPValue)]) {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    operator.channel().queue_declare(queue.into(), options, table).await.expect("declare");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_queue_that_is_deleted_comes_back_and_nothing_is_lost() {
    let stage = Stage::new().await;
    let (_idp, setup) = yes(&stage).await;
    let mut worker = setup.start().await;
    let (app, operator) = (App::connect(&stage.amqp_url).await, Operator::of(&stage).await);
    operator.channel().queue_delete(DEAD.into(), QueueDeleteOptions::default()).await.unwrap();

    publish_bad(&app, 0..50).await;
    assert_denies(&stage, &app, "behind").await;
    eventually("the queue is back", async || {
        operator.queues().await.contains(&DEAD.to_owned()).then_some(())
    })
    .await;
    assert_each_once(&operator.dead_letters(50).await, 50);
    assert_eq!(stage.count("audit.rejected_events").await, 50);
    assert!(worker.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_queue_that_somebody_else_must_declare_is_waited_for() {
    const BAD: usize = 600;
    let stage = Stage::new().await;
    let (_idp, setup) = yes(&stage).await;
    assert!(setup.start().await.stop().await.success());
    let (app, operator) = (App::connect(&stage.amqp_url).await, Operator::of(&stage).await);
    let mut worker = setup.set("REVOCATION__AMQP__DECLARE", "false").start().await;
    operator.channel().queue_delete(DEAD.into(), QueueDeleteOptions::default()).await.unwrap();

    publish_bad(&app, 0..BAD).await;
    assert_denies(&stage, &app, "behind").await;
    wait_for_little_in_hand(&worker, MUCH).await;
    assert_denies(&stage, &app, "meanwhile").await;

    declare(&operator, DEAD, &[]).await;
    let bound = operator.channel().queue_bind(
        DEAD.into(),
        DEAD.into(),
        "".into(),
        Default::default(),
        FieldTable::default(),
    );
    bound.await.unwrap();
    operator.wait_for_ready(BAD as u32, DEAD).await;
    assert_each_once(&operator.dead_letters(BAD).await, BAD);
    assert!(worker.stop().await.success());
}

/// The queue as releases before this one declared it.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_releases_dead_letter_queue_goes_on_and_other_differences_stop_the_start() {
    let limit = ("x-delivery-limit", AMQPValue::LongLongInt(1_000_000));
    let stage = Stage::new().await;
    let (_idp, setup) = yes(&stage).await;
    let operator = Operator::of(&stage).await;
    declare(&operator, DEAD, std::slice::from_ref(&limit)).await;
    let mut worker = setup.start().await;
    publish_bad(&App::connect(&stage.amqp_url).await, 0..10).await;
    assert_each_once(&operator.dead_letters(10).await, 10);
    assert!(worker.stop().await.success());
    let log = worker.log();
    assert_eq!(log.matches("rabbitmqctl set_policy").count(), 1, "told once");
    let checked = check(&setup);
    assert!(
        checked.contains("note     broker: queue revocation.dead was declared by an older release"),
        "{checked}"
    );

    let other = |name, value| (name, AMQPValue::LongLongInt(value));
    let text = |name, value: &str| (name, AMQPValue::LongString(value.into()));
    for (named, arguments) in [
        ("x-delivery-limit", vec![other("x-delivery-limit", 7)]),
        ("x-max-length", vec![limit.clone(), other("x-max-length", 7)]),
        ("x-max-length-bytes", vec![limit.clone(), other("x-max-length-bytes", 7)]),
        ("x-overflow", vec![limit.clone(), text("x-overflow", "drop-head")]),
        ("x-message-ttl", vec![limit.clone(), other("x-message-ttl", 60_000)]),
    ] {
        operator.channel().queue_delete(DEAD.into(), QueueDeleteOptions::default()).await.unwrap();
        declare(&operator, DEAD, &arguments).await;
        let mut worker = setup.spawn();
        assert_eq!(worker.ended().await.code(), Some(1), "{named}");
        let log = worker.log();
        let last = log.lines().last().unwrap();
        assert!(last.contains(DEAD) && last.contains(&format!("'{named}'")), "{named}: {last}");
        let checked = check(&setup);
        assert!(
            checked.contains("PROBLEM  broker") && checked.contains(&format!("'{named}'")),
            "{named}: {checked}"
        );
    }
}
