//! `reconcile`: the log of the invalidations beside the record.

use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::checkpoints::force;
use crate::harness::{App, Logout, Stage, logout_of};
use crate::program::{command, run};
use crate::queue::Broker;
use crate::scripted_idp::{Reply, ScriptedIdp};

fn reconcile(stage: &Stage, arguments: &[&str]) -> (i32, Value, String) {
    let ran = run(&mut command(stage), &[&["reconcile", "--json"], arguments].concat());
    (ran.code, serde_json::from_str(&ran.stdout).unwrap_or_default(), ran.stderr)
}

/// Publishes a denial that no worker made.
async fn forge(stage: &Stage, body: &[u8]) {
    let broker = Broker::connect(stage).await;
    let (exchange, key) = ("auth.invalidations".into(), "invalidation.main.subject".into());
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    broker
        .channel
        .basic_publish(exchange, key, options, body, properties)
        .await
        .expect("publish")
        .await
        .expect("it is confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_log_or_only_the_record_knows_is_found() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let app = App::connect(&stage.amqp_url).await;
    let logouts = Logout::many(20);
    for logout in &logouts {
        app.publish(&logout.event()).await;
    }
    app.publish(&logout_of("wide", json!([{ "sub": "user-1" }]))).await;
    stage.wait_for_count(40, "audit.revocations WHERE state = 'revoked' AND confirmed_at IS NOT NULL").await;
    stage.wait_for_count(1, "audit.revocations WHERE event_id = 'wide' AND denied_at IS NOT NULL").await;
    drop(worker);

    let (code, found, said) = reconcile(&stage, &["--lag", "0s"]);
    assert_eq!(
        (code, &found["ok"], &found["events"], &found["on_record"]),
        (0, &json!(true), &json!(21), &json!(21)),
        "{said}"
    );

    // A record that is older than the log, as after a restore; and one whose denial is in no log.
    force(
        &stage,
        "DELETE FROM revocation.targets USING revocation.events e
             WHERE targets.event_id = e.event_id AND e.id = 'wide';
         DELETE FROM revocation.events WHERE id = 'wide';
         UPDATE revocation.events SET id = 'renamed'
             WHERE event_id = (SELECT event_id FROM revocation.events ORDER BY event_id DESC LIMIT 1)",
    )
    .await;
    let (code, found, said) = reconcile(&stage, &["--since", "2000-01-01T00:00:00Z", "--lag", "0s"]);
    assert_eq!((code, &found["unrecorded"], &found["unlogged"]), (1, &json!(2), &json!(1)), "{said}");
    assert_eq!(found["without_denial"][0]["event_id"], "renamed");
    let wide =
        found["without_record"].as_array().into_iter().flatten().find(|event| event["event_id"] == "wide");
    assert!(
        wide.is_some_and(|event| event["by"]
            .as_str()
            .is_some_and(|by| by.starts_with("/revocation-worker/")))
    );
    let remedy = "have their sources send them again: nothing is known of their revocation; where these \
        never sent them, look who may publish to auth.invalidations";
    assert_eq!(said, format!("revocation-worker: 2 events denied, and not on record\n{remedy}\n"));

    let (code, found, _) = reconcile(&stage, &["--lag", "1h"]);
    assert_eq!(
        (code, &found["lagging"], &found["unrecorded"]),
        (0, &json!(2), &json!(0)),
        "they may be under way"
    );
    let (code, found, _) = reconcile(&stage, &["--lag", "0s"]);
    assert_eq!((code, &found["unrecorded"]), (1, &json!(2)));
    let now = OffsetDateTime::now_utc().format(&Rfc3339).expect("a time");
    let (code, found, _) = reconcile(&stage, &["--since", &now]);
    assert_eq!((code, &found["events"]), (0, &json!(0)), "nothing came since");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_that_no_worker_published_is_told_with_nothing_that_moves_the_cursor() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    drop(stage.worker(&format!("{}/revoke", idp.url())).start().await);
    let forged = json!({
        "specversion": "1.0", "id": "0197a3c4-0000-7000-8000-000000000000", "type": "auth.invalidation.v1",
        "source": "/somebody\u{1b}[2J", "time": "2026-11-20T22:30:00Z",
        "data": { "phase": "requested", "provider": "main", "incident": null, "targets": [],
                  "event": { "source": "/apps/\u{1b}[31m", "id": "x\u{202e}y" } } });
    forge(&stage, forged.to_string().as_bytes()).await;
    for body in [&b"{"[..], br#"{"type":"auth.invalidation.v1"}"#, b"\xff\xfe"] {
        forge(&stage, body).await;
    }
    let (code, found, _) = reconcile(&stage, &[]);
    assert_eq!((code, &found["unrecorded"], &found["unreadable"]), (1, &json!(1), &json!(3)));
    let ran = run(&mut command(&stage), &["reconcile"]);
    assert!(ran.stdout.starts_with("not on record: event x"), "{}", ran.stdout);
    assert!(!ran.stdout.contains(['\u{1b}', '\u{202e}']), "{:?}", ran.stdout);
}
