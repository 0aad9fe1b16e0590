//! `incident open`

mod unpublished;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use serde_json::{Value, json};

use crate::harness::{CANARY, Stage, canary_token, eventually};
use crate::program::{Ran, bare, command, feed, run};
use crate::queue::{Broker, declare};

/// Nothing listens there.
const NO_BROKER: [(&str, &str); 1] = [("AMQP_URL", "amqp://soc@127.0.0.1:1")];
const OPEN: [&str; 5] = ["incident", "open", "leak", "--reason", "theft"];

/// A file of a test's own, removed at its end.
struct Input(PathBuf);

impl Input {
    fn new(extension: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("incident-{}{extension}", uuid::Uuid::now_v7()));
        std::fs::write(&path, text).expect("write the file");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("remove the file");
    }
}

fn open(command: &mut Command, more: &[&str]) -> Ran {
    run(command, &[&OPEN[..], more].concat())
}

/// A queue of the test's own that takes mass revocations by this key.
async fn observe(stage: &Stage, key: &str) -> Broker {
    declare(stage).await;
    let broker = Broker::connect(stage).await;
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    broker.channel.queue_declare("seen".into(), durable, FieldTable::default()).await.expect("declare");
    let bound = broker.channel.queue_bind(
        "seen".into(),
        "auth.events".into(),
        key.into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.expect("bind");
    broker
}

/// An event as a queue got it.
struct Seen {
    key: String,
    user: String,
    event: Value,
}

impl Seen {
    fn id(&self) -> &str {
        self.event["id"].as_str().expect("an id")
    }

    fn targets(&self) -> usize {
        self.event["data"]["targets"].as_array().expect("targets").len()
    }
}

async fn seen(broker: &Broker) -> Vec<Seen> {
    let messages = broker.drain("seen").await.into_iter();
    let read = messages.map(|message| Seen {
        key: message.routing_key.to_string(),
        user: message.properties.user_id().as_ref().expect("a user_id").to_string(),
        event: serde_json::from_slice(&message.data).expect("JSON"),
    });
    read.collect()
}

fn ids(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(Seen::id).collect()
}

fn tokens(count: usize) -> String {
    (0..count).map(|_| format!("{}\n", json!({ "token": canary_token() }))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cutoffs_go_first_and_every_event_says_whose_order_it_is() {
    let stage = Stage::new().await;
    let broker = observe(&stage, "auth.mass_revocation.#").await;
    let file = Input::new(
        "",
        &format!("{}{{\"sid\":\"s-1\",\"provider\":\"card\"}}\n{{\"sub\":\"u-1\"}}\n", tokens(450)),
    );
    let more = [
        "--provider",
        "main",
        "--actor",
        "alice",
        "--not-before",
        "2026-11-20T12:00:00Z",
        "--sub",
        "u-2",
        "--json",
        file.path(),
    ];
    let ran = open(&mut command(&stage), &more);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let summary = ran.json();
    assert_eq!(summary["targets"]["by_provider"], json!({ "main": 452, "card": 1 }));
    assert_eq!(
        [&summary["events"], &summary["published"], &summary["published_targets"]],
        [&json!(5), &json!(5), &json!(453)]
    );

    let seen = seen(&broker).await;
    let [cutoff, token] = ["auth.mass_revocation.cutoff", "auth.mass_revocation"];
    assert_eq!(
        seen.iter().map(|event| event.key.as_str()).collect::<Vec<_>>(),
        [cutoff, cutoff, token, token, token]
    );
    let sizes: Vec<(&Value, usize)> =
        seen.iter().map(|event| (&event.event["data"]["provider"], event.targets())).collect();
    let (main, card) = (&json!("main"), &json!("card"));
    assert_eq!(sizes, [(card, 1), (main, 2), (main, 200), (main, 200), (main, 50)]);
    for Seen { user, event, .. } in &seen {
        let data = &event["data"];
        assert_eq!((user.as_str(), &event["source"]), ("guest", &json!("/revocation-worker/incident")));
        let said = ["incident", "incident_targets", "reason", "actor", "not_before"]
            .map(|member| data[member].clone());
        assert_eq!(
            said,
            [json!("leak"), json!(453), json!("theft"), json!("alice"), json!("2026-11-20T12:00:00Z")]
        );
    }
    assert_eq!(
        seen[1].event["data"]["targets"],
        json!([{ "sub": "u-2" }, { "sub": "u-1" }]),
        "the flags' targets before the file's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_sent_before_every_cutoff_is_confirmed() {
    let stage = Stage::new().await;
    let broker = observe(&stage, "auth.mass_revocation").await;
    let queues = ["revocation.mass", "revocation.cutoff"];
    for (queue, key) in queues
        .into_iter()
        .flat_map(|queue| [(queue, "auth.mass_revocation.#"), (queue, "auth.mass_revocation.cutoff")])
    {
        let unbound = broker.channel.queue_unbind(
            queue.into(),
            "auth.events".into(),
            key.into(),
            FieldTable::default(),
        );
        unbound.await.expect("unbind");
    }
    let ran = feed(
        &mut command(&stage),
        &[&OPEN[..], &["--json"]].concat(),
        &format!("{}{{\"sub\":\"u\"}}\n", tokens(3)),
    );
    assert_eq!((ran.code, &ran.json()["published"]), (1, &json!(0)));
    let error = ran.json()["error"].as_str().expect("an error").to_owned();
    assert!(
        error.starts_with("publish to auth.events: no queue takes it")
            && error.contains("0 of 2 events are confirmed"),
        "{error}"
    );
    assert_eq!(broker.length("seen").await, 0, "no token was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_targets_make_the_same_events_however_they_are_written() {
    let stage = Stage::new().await;
    let broker = observe(&stage, "auth.mass_revocation.#").await;
    let ndjson = "{\"token\":\"t-1\",\"sub\":\"u-1\"}\n{ \"provider\": \"card\", \"token\": \"t-2\" \
        }\n{\"sub\":\"u-3\"}\n";
    let (ndjson, csv) = (
        Input::new(".txt", ndjson),
        Input::new(".txt", "token,sub,provider\nt-1,u-1,\n\"t-2\",,card\n,u-3,\n"),
    );
    let mut found = Vec::new();
    for file in [&ndjson, &csv, &ndjson] {
        let ran = open(&mut command(&stage), &[file.path()]);
        let told =
            "3 events with 3 targets published; see how it goes: revocation-worker incident watch leak\n";
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, told, ""));
        found.push(seen(&broker).await);
    }
    assert_eq!((ids(&found[1]), ids(&found[2])), (ids(&found[0]), ids(&found[0])));
    for (first, other) in found[0].iter().zip(&found[1]) {
        assert_eq!(first.event["data"]["targets"], other.event["data"]["targets"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn good_lines_are_published_and_bad_ones_counted() {
    let stage = Stage::new().await;
    let broker = observe(&stage, "auth.mass_revocation.#").await;
    let ran = feed(
        &mut command(&stage),
        &OPEN,
        &format!("token\n{}\n\"{CANARY}\n{}\n", canary_token(), canary_token()),
    );
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.starts_with("1 event with 2 targets published; "), "{}", ran.stdout);
    let expected = "line 3 refused: has a quote that is not closed on the same line (a quote inside a quoted \
        field is written twice)\n\
                    revocation-worker: 1 of 3 lines refused; the others were published\n";
    assert!(ran.stderr.starts_with(expected) && ran.stderr.contains("\nmend the refused"), "{}", ran.stderr);
    assert_eq!(seen(&broker).await.iter().map(Seen::targets).collect::<Vec<_>>(), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_record_is_not_sent_again_and_does_no_harm_where_it_is() {
    let stage = Stage::new().await;
    let setup = stage
        .worker("https://127.0.0.1:1/revoke")
        .set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", "guest");
    let _worker = setup.start().await;
    let file = Input::new(".ndjson", &format!("{}{{\"sub\":\"u\"}}\n", tokens(450)));
    assert_eq!(open(&mut command(&stage), &[file.path()]).code, 0);
    let events = "revocation.events WHERE incident = 'leak' AND reason = 'theft' AND incident_targets = 451 \
        AND broker_user = 'guest'";
    stage.wait_for_count(4, events).await;
    stage.wait_for_count(451, "audit.revocations WHERE incident = 'leak' AND lane = 'mass'").await;

    let again = open(&mut command(&stage), &["--json", file.path()]);
    assert_eq!(
        (again.code, again.json()["published"].clone(), again.json()["skipped"].clone()),
        (0, json!(0), json!(4))
    );
    let more = Input::new(
        ".ndjson",
        &format!("{}{{\"sub\":\"other\"}}\n", std::fs::read_to_string(&file.0).expect("read")),
    );
    let ran = open(&mut command(&stage), &[more.path()]);
    assert!(
        ran.stdout.starts_with("1 event with 2 targets published; 3 of 4 events were on record already; "),
        "{}",
        ran.stdout
    );
    stage.wait_for_count(5, "revocation.events").await;

    let blind =
        open(command(&stage).env("DATABASE_URL", "postgres://127.0.0.1:1/x"), &["--json", file.path()]);
    assert_eq!((blind.code, &blind.json()["published"]), (0, &json!(4)));
    assert!(
        blind.stderr.starts_with("cannot tell what is on record already and publishes everything"),
        "{}",
        blind.stderr
    );
    let broker = Broker::connect(&stage).await;
    assert_eq!(open(&mut command(&stage), &["--sub", "last"]).code, 0);
    stage.wait_for_count(1, "audit.revocations WHERE sub = 'last'").await;
    eventually("the worker has taken everything", async || {
        (broker.length("revocation.mass").await == 0).then_some(())
    })
    .await;
    assert_eq!(stage.count("revocation.events").await, 6, "what arrived twice changed nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_order_says_how_far_it_came_and_goes_on_from_there() {
    let stage = Stage::new().await;
    let broker = observe(&stage, "auth.mass_revocation.#").await;
    let file = Input::new(".ndjson", &tokens(40_000));
    let mut child = command(&stage);
    let child = child
        .args(OPEN)
        .args(["--json", file.path()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = child.spawn().expect("start");
    eventually("an event arrives", async || (broker.length("seen").await > 0).then_some(())).await;
    assert!(
        Command::new("kill")
            .args(["-s", "INT", &child.id().to_string()])
            .status()
            .expect("run kill")
            .success()
    );
    let ended =
        eventually("the command ends", async || child.try_wait().expect("wait for the command")).await;
    assert_eq!(ended.code(), Some(1));
    let summary: Value =
        serde_json::from_slice(&child.wait_with_output().expect("its output").stdout).expect("JSON");
    let first = seen(&broker).await;
    assert_eq!((&summary["interrupted"], &summary["published"]), (&json!(true), &json!(first.len())));
    assert!((1..200).contains(&first.len()), "{} of 200 events were published", first.len());
    let error = summary["error"].as_str().expect("an error");
    let told = format!(
        "interrupted; {} of 200 events are confirmed; the same command with the same input goes on from \
            there",
        first.len()
    );
    assert_eq!(error, told);

    assert_eq!(open(&mut command(&stage), &[file.path()]).code, 0);
    let all = seen(&broker).await;
    assert_eq!(all.len(), 200);
    assert!(
        first.iter().all(|event| all.iter().any(|other| other.id() == event.id())),
        "the same events again"
    );
}
