//! A fleet's heartbeats: one a second for all of it, whoever dies; and what they cost the history.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use revocation_verifier::Denylist;

use crate::harness::{Feed, Operator, Servers, Setup, Stage, Worker, eventually};

fn fleet_setup(stage: &Stage) -> Setup {
    stage.worker("http://127.0.0.1:9/revoke")
}

async fn fleet(stage: &Stage, size: usize) -> Vec<Worker> {
    let mut workers: Vec<_> = (0..size)
        .map(|n| fleet_setup(stage).set("REVOCATION__INSTANCE", &format!("pod-{n}")).spawn())
        .collect();
    for worker in &mut workers {
        worker.ready().await;
    }
    workers
}

/// Waits for so many heartbeats from now on; returns how long they took, and the longest time between two.
async fn beats(feed: &Feed, wanted: usize) -> (Duration, Duration) {
    let (start, before) = (Instant::now(), feed.heartbeats());
    let (mut last, mut seen, mut gap) = (start, before, Duration::ZERO);
    eventually("heartbeats", async || {
        let now = feed.heartbeats();
        if now > seen {
            gap = gap.max(last.elapsed());
            (last, seen) = (Instant::now(), now);
        }
        (seen >= before + wanted).then_some(())
    })
    .await;
    (start.elapsed(), gap)
}

/// How many messages lie in the log.
async fn log_length(operator: &Operator) -> u64 {
    let channel = operator.channel();
    channel.basic_qos(100, BasicQosOptions::default()).await.expect("a prefetch");
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
    let consumer = channel
        .basic_consume(
            "auth.invalidations.log".into(),
            "log".into(),
            BasicConsumeOptions::default(),
            arguments,
        )
        .await;
    let mut consumer = consumer.expect("consume from the log");
    let mut messages = 0;
    while let Ok(Some(delivery)) = tokio::time::timeout(Duration::from_secs(1), consumer.next()).await {
        delivery.expect("a message");
        messages += 1;
    }
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_fleet_sends_one_heartbeat_a_second_and_leaves_the_history_short() {
    let stage = Stage::alone().await;
    let _fleet = fleet(&stage, 4).await;
    let feed = Feed::listen(&stage.amqp_url).await;
    // The start is over when each has said what it is about to say.
    beats(&feed, 10).await;
    let (took, _) = beats(&feed, 35).await;
    assert!(
        (23.0..=37.0).contains(&took.as_secs_f64()),
        "35 heartbeats took {took:?}; each of four repeats itself every 30 s"
    );
    // A minute or so: a start of a few marks each, and one mark in 15 s.
    let messages = log_length(&Operator::of(&stage).await).await;
    assert!(messages <= 4 * 5 + 5, "{messages} messages");
}

/// RabbitMQ writes a stream's name into that of its folder, some of its characters replaced.
fn is_of_log(path: &Path) -> bool {
    let letters: String = path.to_string_lossy().chars().filter(char::is_ascii_alphabetic).collect();
    letters.contains("authinvalidationslog")
}

/// The size of the log's segment files.
fn segments(folder: &Path, found: &mut u64) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            segments(&path, found);
        } else if path.extension().is_some_and(|end| end == "segment") && is_of_log(&path) {
            *found += entry.metadata().map_or(0, |data| data.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figure is what one wants to see")]
async fn the_marks_of_a_day_take_little_of_the_segment_files() {
    const BYTES_A_DAY: u64 = 10_000_000;
    let servers = Servers::private().await;
    let stage = Stage::on(&servers).await;
    let _fleet = fleet(&stage, 1).await;
    let feed = Feed::listen(&stage.amqp_url).await;
    beats(&feed, 18).await;
    let messages = log_length(&Operator::of(&stage).await).await;
    let mut bytes = 0;
    segments(&servers.broker(|broker| broker.data_dir()), &mut bytes);
    assert!(messages >= 2 && bytes > 0, "there are marks, and their files were found: {messages}, {bytes}");
    let a_day = 86_400 / 15 * bytes / messages;
    println!("{messages} marks take {bytes} bytes; those of a day take {a_day}");
    assert!(a_day < BYTES_A_DAY / 2, "{a_day} bytes a day");
}

async fn nobody_is_stale(
    verifiers: &[Denylist],
    work: impl Future<Output = (Duration, Duration)>,
) -> (Duration, Duration) {
    let watch = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            ticks.tick().await;
            let stale: Vec<_> = verifiers.iter().filter_map(Denylist::staleness).collect();
            assert!(stale.is_empty(), "{stale:?}");
        }
    };
    tokio::select! {
        done = work => done,
        () = watch => unreachable!("watches for ever"),
    }
}

/// Whose heartbeat was the last one: the instances say so in turn.
async fn holder(feed: &Feed, workers: usize) -> usize {
    let name = eventually("a heartbeat", async || feed.last_heartbeat()).await;
    (0..workers).find(|n| name == format!("pod-{n}")).expect("one of the fleet")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_verifier_notices_the_death_or_the_freezing_of_who_sends_the_heartbeats() {
    let stage = Stage::alone().await;
    let mut workers = fleet(&stage, 3).await;
    let feed = Feed::listen(&stage.amqp_url).await;
    let verifiers = [stage.verifier("shop-api", "a").await, stage.verifier("shop-api", "b").await];
    beats(&feed, 6).await;
    let sender = holder(&feed, 3).await;
    workers[sender].signal("STOP");
    workers[sender].frozen().await;
    let (_, gap) = nobody_is_stale(&verifiers, beats(&feed, 5)).await;
    assert!(gap < Duration::from_secs(2), "frozen: {gap:?}");
    let sender = holder(&feed, 3).await;
    workers[sender].kill();
    let (_, gap) = nobody_is_stale(&verifiers, beats(&feed, 5)).await;
    assert!(gap < Duration::from_secs(2), "killed: {gap:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_need_no_database() {
    let stage = Stage::new().await;
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let mut worker = fleet_setup(&stage).set("DATABASE_URL", nowhere).spawn();
    let denylist = stage.verifier("shop-api", "a").await;
    assert_eq!(denylist.staleness(), None);
    worker.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_older_workers_bound_is_unbound_and_a_setting_keeps_heartbeats_in_the_log() {
    let stage = Stage::new().await;
    let operator = Operator::of(&stage).await;
    let keys = async || {
        let mut keys: Vec<_> = operator.list("bindings").await;
        keys.retain(|binding| {
            binding["source"] == "auth.invalidations" && binding["destination"] == "auth.invalidations.log"
        });
        let mut keys: Vec<_> =
            keys.iter().map(|binding| crate::harness::text(&binding["routing_key"])).collect();
        keys.sort_unstable();
        keys
    };
    let (apart, both) = (vec!["invalidation.#", "mark"], vec!["heartbeat", "invalidation.#", "mark"]);
    for (in_log, expected) in [("false", &apart), ("true", &both), ("false", &apart)] {
        let mut worker =
            fleet_setup(&stage).set("REVOCATION__INVALIDATION__HEARTBEATS_IN_LOG", in_log).start().await;
        assert_eq!(keys().await, *expected);
        assert!(worker.stop().await.success());
        let bound = operator.channel().queue_bind(
            "auth.invalidations.log".into(),
            "auth.invalidations".into(),
            "#".into(),
            lapin::options::QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.expect("bind as older workers do");
    }
}
