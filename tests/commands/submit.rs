//! `submit`

use std::io::Write;
use std::process::Stdio;

use lapin::options::ExchangeDeleteOptions;
use lapin::types::FieldTable;
use serde_json::{Value, json};

use crate::harness::{CANARY, Stage, canary_token, eventually, logout, logout_of};
use crate::program::{bare, command, feed, run};
use crate::queue::{Broker, declare};

fn mass(id: &str) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/soc", "type": "auth.mass_revocation.v1",
            "data": { "provider": "main", "incident": "leak", "targets": [{ "sub": "u-1" }] } })
}

fn many(events: usize) -> String {
    (1..=events).map(|id| format!("{}\n", logout_of(&id.to_string(), json!([{ "sub": "u" }])))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn good_lines_arrive_unchanged_and_bad_ones_are_refused_by_number() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let good = logout("e-1", &canary_token(), &canary_token()).to_string();
    let bad = good.replace("refresh_token", CANARY).replace("e-1", "e-2");
    let input = format!("{good}\r\n\n{CANARY}\n{bad}\n{}", mass("e-3"));

    let ran = feed(&mut command(&stage), &["submit", "--json", "-"], &input);

    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let summary = ran.json();
    assert_eq!(
        (&summary["lines"], &summary["valid"], &summary["published"]),
        (&json!(4), &json!(2), &json!(2))
    );
    let refused: Vec<_> =
        summary["refused"].as_array().expect("a list").iter().map(|r| (&r["line"], &r["code"])).collect();
    assert_eq!(refused, [(&json!(3), &json!("not_json")), (&json!(4), &json!("invalid_field"))]);
    assert!(
        summary["refused"][1]["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("data.targets[1].token_type_hint"))
    );
    let said = "revocation-worker: 2 of 4 lines refused; the others were published\n\
                mend the refused lines and submit them again\n";
    assert_eq!(ran.stderr, said);
    assert!(!ran.stdout.contains(CANARY), "no content of a line is shown");

    let broker = Broker::connect(&stage).await;
    let logouts = broker.drain("revocation.logout").await;
    assert_eq!(logouts.len(), 1);
    assert_eq!(logouts[0].data, good.as_bytes());
    assert_eq!(logouts[0].routing_key.as_str(), "auth.logout");
    let properties = &logouts[0].properties;
    assert_eq!(properties.delivery_mode(), &Some(2));
    let texts = [properties.message_id(), properties.user_id(), properties.content_type()]
        .map(|text| text.as_ref().map(|t| t.as_str()));
    assert_eq!(texts, [Some("e-1"), Some("guest"), Some("application/cloudevents+json")]);
    let wide = broker.drain("revocation.mass").await;
    assert_eq!(wide.iter().map(|m| m.routing_key.as_str()).collect::<Vec<_>>(), ["auth.mass_revocation"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_larger_than_the_window_arrives_whole() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let file = std::env::temp_dir().join(format!("submit-{}.ndjson", uuid::Uuid::now_v7()));
    std::fs::write(&file, many(1000)).expect("write the file");
    let ran = run(&mut command(&stage), &["submit", file.to_str().expect("UTF-8")]);
    std::fs::remove_file(&file).expect("remove the file");
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "1,000 events published\n", ""));
    let mut ids: Vec<u32> = Vec::new();
    for message in Broker::connect(&stage).await.drain("revocation.logout").await {
        ids.push(
            message.properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok()).expect("an id"),
        );
    }
    assert_eq!(ids, (1..=1000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitted_mass_revocation_is_ordered_by_the_broker_user() {
    let stage = Stage::new().await;
    let setup = stage
        .worker("https://127.0.0.1:1/revoke")
        .set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", "guest");
    let _worker = setup.start().await;
    assert_eq!(feed(&mut command(&stage), &["submit"], &mass("m-1").to_string()).code, 0);
    stage
        .wait_for_count(1, "audit.revocations WHERE event_id = 'm-1' AND incident = 'leak' AND lane = 'mass'")
        .await;
}

#[test]
fn a_dry_run_needs_no_broker_and_lists_bad_lines_on_standard_error() {
    let broker = [("AMQP_URL", "amqp://127.0.0.1:1")];
    let ran = feed(&mut bare(&broker), &["submit", "--dry-run"], &many(2));
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "2 events valid; nothing was published\n", "")
    );
    let ran = feed(&mut bare(&broker), &["submit", "--dry-run"], &format!("{}[]\n", many(1)));
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "1 event valid; nothing was published\n"));
    assert!(ran.stderr.starts_with("line 2 refused: not_json: "), "{}", ran.stderr);
}

#[test]
fn limits_and_providers_of_the_configuration_hold() {
    let mut limited =
        bare(&[("AMQP_URL", "amqp://127.0.0.1:1"), ("REVOCATION__LIMITS__MAX_MESSAGE_BYTES", "1024")]);
    let long = mass(&"x".repeat(1024)).to_string();
    let ran = feed(&mut limited, &["submit", "--dry-run", "--json"], &format!("{long}\n{}", mass("short")));
    let summary = ran.json();
    assert_eq!((&summary["valid"], &summary["refused"][0]["code"]), (&json!(1), &json!("too_large")));
    let size = format!("the line has {} bytes", long.len());
    assert!(
        summary["refused"][0]["detail"].as_str().is_some_and(|detail| detail.starts_with(&size)),
        "{summary}"
    );

    let mut other =
        bare(&[("AMQP_URL", "amqp://127.0.0.1:1"), ("REVOCATION__PROVIDERS__OTHER__KIND", "baanx")]);
    let ran = feed(&mut other, &["submit", "--dry-run", "--json"], &mass("1").to_string());
    assert_eq!(ran.json()["refused"][0]["code"], "unknown_provider");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_is_named() {
    let ran = feed(&mut bare(&[]), &["submit"], &many(1));
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("amqp.url"), "{}", ran.stderr);

    let ran = feed(&mut bare(&[("AMQP_URL", "amqp://127.0.0.1:1")]), &["submit"], &many(1));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("reach the broker at amqp://127.0.0.1:1"), "{}", ran.stderr);

    let ran = run(&mut bare(&[("AMQP_URL", "amqp://127.0.0.1:1")]), &["submit", "/no/such/file"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("read /no/such/file: No such file"), "{}", ran.stderr);

    let stage = Stage::new().await;
    let ran = feed(&mut command(&stage), &["submit"], &many(1));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("exchange auth.events, which a running worker declares"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_no_queue_takes_is_not_published() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let broker = Broker::connect(&stage).await;
    let (queue, exchange, key) = ("revocation.logout".into(), "auth.events".into(), "auth.logout.#".into());
    broker.channel.queue_unbind(queue, exchange, key, FieldTable::default()).await.expect("unbind");
    let ran = feed(&mut command(&stage), &["submit", "--json"], &many(1));
    assert_eq!((ran.code, &ran.json()["published"]), (1, &json!(0)));
    assert!(
        ran.json()["error"]
            .as_str()
            .is_some_and(|error| error.starts_with("line 1: publish to auth.events: no queue takes it"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_fails_midway_leaves_a_count_of_what_was_confirmed() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let broker = Broker::connect(&stage).await;
    let mut child = command(&stage);
    let child =
        child.args(["submit", "--json"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("start");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(many(3).as_bytes()).expect("write");
    eventually("three events are in the queue", async || {
        (broker.length("revocation.logout").await == 3).then_some(())
    })
    .await;

    broker
        .channel
        .exchange_delete("auth.events".into(), ExchangeDeleteOptions::default())
        .await
        .expect("delete the exchange");
    input.write_all(many(1).as_bytes()).expect("write");

    // Its standard input stays open: it must end all the same.
    let ended =
        eventually("the command ends", async || child.try_wait().expect("wait for the command")).await;
    assert_eq!(ended.code(), Some(1));
    drop(input);
    let output = child.wait_with_output().expect("its output");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&summary["published"], &summary["lines"]), (&json!(3), &json!(4)), "{summary}");
    let error = summary["error"].as_str().expect("an error");
    assert!(
        error.starts_with("line 4: publish to auth.events") && error.contains("3 confirmed of 4 lines read"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_cancelled_incident_are_refused_and_the_others_go_out() {
    let stage = Stage::new().await;
    declare(&stage).await;
    for (incident, state) in [("leak", "cancelled"), ("other", "paused"), ("done", "running")] {
        stage.incident(incident, state).await;
    }
    let of = |id: &str, incident: &str| {
        let mut event = mass(id);
        event["data"]["incident"] = json!(incident);
        format!("{event}\n")
    };
    let input =
        [of("1", "leak"), of("2", "other"), of("3", "leak"), of("4", "unheard-of"), of("5", "done"), many(1)]
            .concat();
    let ran = feed(&mut command(&stage), &["submit", "--json"], &input);
    let summary = ran.json();
    assert_eq!((ran.code, &summary["published"]), (1, &json!(4)), "{}", ran.stderr);
    for (place, line) in [(0, 1), (1, 3)] {
        let detail = "incident leak was cancelled, which is final: order it under another name";
        assert_eq!(
            summary["refused"][place],
            json!({ "line": line, "code": "not_allowed", "detail": detail })
        );
    }
}
