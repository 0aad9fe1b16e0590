//! `incident cancel`: what is open is given up, what is done stays.

use std::process::{Output, Stdio};

use serde_json::json;
use uuid::Uuid;

use crate::harness::Stage;
use crate::incident_record::{HELD, HOT, ORDERS, PARKED, REVOKED};
use crate::program::{command, run};

/// A denied event with two targets in each stage, and one of five whose denial is held back.
async fn mixed(stage: &Stage, name: &str) -> [Uuid; 2] {
    stage.incident(name, "running").await;
    let (event, held_back) = (stage.event(name, 10).await, stage.event(name, 5).await);
    for (places, set) in [(0..2, REVOKED), (2..4, HOT), (4..6, PARKED), (8..10, HELD)] {
        stage.change(event, places, set).await;
    }
    stage.deny(event).await;
    stage.hold(held_back).await;
    [event, held_back]
}

fn spawn(stage: &Stage, arguments: &[&str]) -> tokio::task::JoinHandle<Output> {
    let mut command = tokio::process::Command::from(command(stage));
    let command = command
        .env("USER", "bob")
        .args([&["incident"], arguments].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.kill_on_drop(true).spawn().expect("start");
    tokio::spawn(async { child.wait_with_output().await.expect("wait for the command") })
}

const OPEN: &str = "revocation.targets WHERE incident = 'leak' AND finished_at IS NULL";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_is_given_up_and_what_is_done_stays() {
    let stage = Stage::new().await;
    let [event, _] = mixed(&stage, "leak").await;
    mixed(&stage, "other").await;
    let others = "SELECT string_agg(t::text, ' ' ORDER BY event_id, ordinal) FROM revocation.targets t WHERE \
        incident = 'other'";
    let before = stage.text(others).await;
    let cancelling = spawn(&stage, &["cancel", "leak", "--reason", "the list was wrong"]);
    stage.wait_for_count(2, OPEN).await;
    // One is revoked after all; the other would have been tried again.
    stage.change(event, 8..9, REVOKED).await;
    stage
        .change(event, 9..10, "lease_owner = NULL, leased_at = NULL, due_at = now() + interval '1 hour'")
        .await;
    let ended = cancelling.await.expect("no panic");
    let (stdout, stderr) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{stderr}");
    let told = "incident leak: cancelled; effective within 2 s, on all workers\nalready denied tokens stay \
        denied until they expire: 10\n\
                revoked at the provider: 3\ngiven up: 12\n";
    assert_eq!(
        (stdout.as_ref(), stderr.as_ref()),
        (told, "incident leak: cancelled; giving up what is open\n")
    );
    assert_eq!(stage.count(OPEN).await, 0);
    assert_eq!(
        stage
            .count(
                "revocation.targets WHERE incident = 'leak' AND (waiting OR sealed IS NOT NULL OR due_at \
            IS NOT NULL)"
            )
            .await,
        0
    );
    assert_eq!(
        stage.count("revocation.events WHERE incident = 'leak' AND deny_at IS NOT NULL").await,
        0,
        "no denial is held back any more"
    );
    let row = stage.of("leak", "(state, cancelled_by, cancel_reason, finished_at IS NOT NULL)").await;
    assert_eq!(row.as_deref(), Some("(cancelled,bob,\"the list was wrong\",t)"));
    assert_eq!(stage.text(others).await, before, "the other incident is as it was");
    let operations = stage.operations("leak").await;
    let detail = &operations[0]["detail"];
    assert_eq!((operations.len(), &operations[0]["action"]), (1, &json!("cancel")));
    assert_eq!(
        (&detail["reason"], &detail["state"], &detail["pending"]),
        (&json!("the list was wrong"), &json!("running"), &json!(11))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_waits_for_approval_or_is_paused_can_be_cancelled() {
    let stage = Stage::new().await;
    for state in ["awaiting_approval", "paused"] {
        stage.incident(state, state).await;
        let event = stage.event(state, 3).await;
        stage.hold(event).await;
        let json = stage.steer(&["cancel", state, "--reason", "no", "--json"]).json();
        assert!(json["finished_at"].is_string(), "{json}");
        let numbers =
            ["denied", "revoked", "cancelled", "in_flight", "changed"].map(|member| json[member].clone());
        assert_eq!(numbers, [json!(0), json!(0), json!(3), json!(0), json!(true)]);
    }
    let again = stage.steer(&["cancel", "paused", "--reason", "again", "--json"]).json();
    assert_eq!((&again["changed"], &again["cancelled"]), (&json!(false), &json!(3)));
    assert_eq!(stage.of("paused", "cancel_reason").await.as_deref(), Some("no"));
    assert_eq!(stage.count(ORDERS).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_workers_hold_too_long_is_told() {
    let stage = Stage::new().await;
    let [event, _] = mixed(&stage, "leak").await;
    let text = stage.steered(&["cancel", "leak", "--reason", "no"]);
    assert!(
        text.ends_with(
            "\ngiven up: 11\nstill held by workers: 2 targets; they end as soon as these are settled\n"
        ),
        "{text}"
    );
    assert_eq!(stage.of("leak", "finished_at").await, None);
    stage.change(event, 8..10, PARKED).await;
    let store = stage.store();
    assert_eq!(store.finish_incidents().await.expect("finish"), [""; 0], "two are open");
    assert_eq!(store.sweep_cancelled(10).await.expect("sweep"), 2);
    assert_eq!(store.finish_incidents().await.expect("finish"), ["leak"]);
}

/// The command died after its first transaction: workers do the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_was_killed_is_finished_by_workers() {
    let stage = Stage::new().await;
    let [event, _] = mixed(&stage, "leak").await;
    mixed(&stage, "other").await;
    stage.change(event, 8..10, REVOKED).await;
    let store = stage.store();
    assert_eq!(store.sweep_cancelled(4).await.expect("sweep"), 0, "nothing is cancelled");
    let cancel = "UPDATE revocation.incidents SET state = 'cancelled', cancelled_by = 'bob', cancel_reason = \
        'no' WHERE incident = 'leak'";
    stage.execute(cancel).await;
    assert_eq!(
        store.sweep_cancelled(4).await.expect("sweep"),
        5,
        "four targets and the one denial held back"
    );
    assert_eq!(store.finish_incidents().await.expect("finish"), [""; 0]);
    assert_eq!(stage.count(OPEN).await, 7);
    let mut swept = Vec::new();
    while swept.last() != Some(&0) {
        swept.push(store.sweep_cancelled(4).await.expect("sweep"));
    }
    assert_eq!(swept, [4, 3, 0]);
    assert_eq!(store.finish_incidents().await.expect("finish"), ["leak"]);
    assert_eq!(
        stage
            .count(
                "audit.incidents WHERE incident = 'leak' AND cancelled = 11 AND pending + parked \
        = 0 AND revoked = 4"
            )
            .await,
        1
    );
    assert_eq!(stage.count("audit.incidents WHERE incident = 'other' AND cancelled = 0").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_names_what_was_cancelled_before_it_was_denied() {
    let stage = Stage::new().await;
    for (name, denied) in [("never", 0), ("partly", 1), ("wholly", 2)] {
        stage.incident(name, "running").await;
        for nth in 0..2 {
            let event = stage.event(name, 3).await;
            if nth < denied {
                stage.deny(event).await;
            } else {
                stage.hold(event).await;
            }
        }
        stage.steered(&["cancel", name, "--reason", "wrong list"]);
    }
    let shown = run(&mut command(&stage), &["status"]).stdout;
    assert!(
        shown.contains("cancelled before all was denied: verifiers accept the rest")
            && !shown.contains("wholly"),
        "{shown}"
    );
    let status = run(&mut command(&stage), &["status", "--json"]).json();
    let undenied = status["undenied"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|i| (i["incident"].as_str(), i["undenied"].as_u64()));
    assert_eq!(undenied.collect::<Vec<_>>(), [(Some("never"), Some(6)), (Some("partly"), Some(3))]);
}
