//! `incident pause`, `resume`, `throttle`, `retry`, and what each state refuses.

use serde_json::json;

use crate::harness::Stage;
use crate::incident_record::{HOT, ORDERS, PARKED, REVOKED};

#[tokio::test(flavor = "multi_thread")]
async fn pause_and_resume() {
    let stage = Stage::new().await;
    stage.incident("leak", "running").await;
    stage.event("leak", 3).await;
    assert_eq!(
        stage.steered(&["pause", "leak"]),
        "incident leak: paused; effective within 2 s, on all workers\n"
    );
    assert_eq!(stage.of("leak", "state").await.as_deref(), Some("paused"));
    assert_eq!(stage.steered(&["pause", "leak"]), "incident leak: paused already; nothing was changed\n");
    let resumed = stage.steer(&["resume", "leak", "--actor", " carol ", "--json"]);
    assert_eq!(
        resumed.json(),
        json!({ "incident": "leak", "result": "running", "changed": true, "effective_within_s": 2 })
    );
    assert_eq!(stage.of("leak", "state").await.as_deref(), Some("running"));
    let again = stage.steer(&["resume", "leak", "--json"]).json();
    assert_eq!((&again["changed"], &again["result"]), (&json!(false), &json!("running")));

    let operations = stage.operations("leak").await;
    let done: Vec<_> = operations.iter().map(|o| (&o["actor"], &o["action"])).collect();
    assert_eq!(
        done,
        [(&json!("bob"), &json!("pause")), (&json!("carol"), &json!("resume"))],
        "repeats leave no row"
    );
    let role = stage.text("SELECT session_user::text").await;
    let detail = json!({
        "role": role, "from": "running", "to": "paused", "targets_expected": null, "targets_received": 3,
        "denied": 0, "pending": 3, "parked": 0, "revoked": 0,
    });
    assert_eq!(operations[0]["detail"], detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttle() {
    let stage = Stage::new().await;
    stage.incident("leak", "awaiting_approval").await;
    let text = stage.steered(&["throttle", "leak", "--rate", "50"]);
    assert_eq!(
        text,
        "incident leak: throttled to 50 targets a second over all workers; effective within 2 s, on all \
            workers\n"
    );
    assert_eq!(stage.of("leak", "throttle_per_s").await.as_deref(), Some("50"));
    assert!(stage.steered(&["throttle", "leak", "--rate", "50"]).contains("already"));
    assert!(
        stage.steered(&["throttle", "leak", "--off"]).starts_with("incident leak: not throttled; effective")
    );
    assert_eq!(stage.of("leak", "throttle_per_s").await, None);
    assert!(stage.steered(&["throttle", "leak", "--off"]).contains("already"));
    let details: Vec<_> =
        stage.operations("leak").await.into_iter().map(|mut o| o["detail"].take()).collect();
    assert_eq!(details.len(), 2);
    assert_eq!((&details[0]["before"], &details[0]["throttle_per_s"]), (&json!(null), &json!(50)));
    assert_eq!((&details[1]["before"], &details[1]["throttle_per_s"]), (&json!(50), &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_targets_are_tried_again() {
    let stage = Stage::new().await;
    for name in ["leak", "other"] {
        stage.incident(name, "running").await;
        let event = stage.event(name, 5).await;
        stage.change(event, 0..2, PARKED).await;
        stage.change(event, 2..3, HOT).await;
    }
    assert_eq!(
        stage.steered(&["retry", "leak"]),
        "incident leak: 2 targets became due; effective within 2 s, on all workers\n"
    );
    assert_eq!(stage.count("revocation.targets WHERE state = 'parked' AND incident = 'other'").await, 2);
    assert_eq!(
        stage.count("revocation.targets WHERE waiting AND incident = 'leak'").await,
        2,
        "what waits its turn goes on waiting"
    );
    let operation = &stage.operations("leak").await[0];
    assert_eq!(
        (&operation["action"], &operation["actor"], &operation["detail"]["targets"]),
        (&json!("retry"), &json!("bob"), &json!(2))
    );
    assert!(operation["detail"]["role"].is_string() && operation["detail"].get("pending").is_none());
    stage.steered(&["pause", "other"]);
    let paused = stage.steered(&["retry", "other"]);
    assert_eq!(paused, "incident other: 2 targets became due; they are tried after `incident resume`\n");
    let json = stage.steer(&["retry", "leak", "--json"]).json();
    assert_eq!(json, json!({ "incident": "leak", "due": 0, "state": "running", "effective_within_s": 2 }));
}

/// An incident's state, an order, and the sentence that refuses it.
const MISFITS: [(&str, &[&str], &str); 17] = [
    ("awaiting_approval", &["pause"], "it awaits approval: nothing of it runs that could be paused"),
    ("awaiting_approval", &["resume"], "it awaits approval: approve it instead"),
    ("running", &["approve"], "it is running: nothing of it waits for approval"),
    ("paused", &["approve"], "it is paused, and approved as far as it must be: resume it instead"),
    ("cancelled", &["pause"], "it is cancelled: nothing is left to pause"),
    ("cancelled", &["resume"], "it is cancelled: nothing is left to resume"),
    ("cancelled", &["approve"], "it is cancelled: nothing is left to approve"),
    ("cancelled", &["throttle", "--rate", "5"], "it is cancelled: nothing is left to throttle"),
    ("cancelled", &["throttle", "--off"], "it is cancelled: nothing is left to throttle"),
    ("cancelled", &["retry"], "it is cancelled: nothing is left to retry"),
    ("finished", &["pause"], "it is finished: nothing is left to pause"),
    ("finished", &["resume"], "it is finished: nothing is left to resume"),
    ("finished", &["approve"], "it is finished: nothing is left to approve"),
    ("finished", &["throttle", "--rate", "5"], "it is finished: nothing is left to throttle"),
    ("finished", &["throttle", "--off"], "it is finished: nothing is left to throttle"),
    ("finished", &["cancel", "--reason", "late"], "it is finished: nothing is left to cancel"),
    ("finished", &["retry"], "it is finished: nothing is left to retry"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_state_is_refused() {
    let stage = Stage::new().await;
    for state in ["awaiting_approval", "running", "paused", "cancelled"] {
        stage.incident(state, state).await;
    }
    stage.incident("finished", "running").await;
    stage.execute("UPDATE revocation.incidents SET finished_at = now() WHERE incident = 'finished'").await;
    let before = stage.rows("SELECT to_jsonb(i) FROM revocation.incidents i ORDER BY incident").await;
    for (state, order, sentence) in MISFITS {
        let arguments = [&order[..1], &[state], &order[1..]].concat();
        assert_eq!(stage.refused(&arguments), format!("incident {state}: {sentence}"), "{arguments:?}");
    }
    assert_eq!(stage.rows("SELECT to_jsonb(i) FROM revocation.incidents i ORDER BY incident").await, before);
    assert_eq!(stage.count(ORDERS).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_on_record_and_what_makes_no_sense() {
    let stage = Stage::new().await;
    stage.incident("leak", "running").await;
    let orders: [&[&str]; 9] = [
        &["show"],
        &["watch"],
        &["approve"],
        &["pause"],
        &["resume"],
        &["throttle", "--off"],
        &["cancel", "--reason", "x"],
        &["retry"],
        &["throttle", "--rate", "1"],
    ];
    for order in orders {
        let arguments = [&order[..1], &["nope"], &order[1..]].concat();
        assert_eq!(
            stage.refused(&arguments),
            "incident nope is not on record; it may still be in the broker, or was refused \
                (revocation-worker dead list)",
            "{arguments:?}"
        );
    }
    let wrong: [&[&str]; 10] = [
        &["pause"],
        &["pause", ""],
        &["pause", "leak", "--actor", " \t"],
        &["throttle", "leak"],
        &["throttle", "leak", "--rate", "0"],
        &["throttle", "leak", "--rate", "1", "--off"],
        &["cancel", "leak"],
        &["cancel", "leak", "--reason", " "],
        &["watch", "leak", "--every", "soon"],
        &["watch", "leak", "--every", "1ms"],
    ];
    for arguments in wrong {
        assert_eq!(stage.steer(arguments).code, 2, "{arguments:?}");
    }
    assert_eq!(stage.count(ORDERS).await, 0);
    assert_eq!(stage.of("leak", "state").await.as_deref(), Some("running"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_its_record_are_one() {
    let stage = Stage::new().await;
    stage.incident("leak", "running").await;
    let event = stage.event("leak", 2).await;
    stage.change(event, 0..2, REVOKED).await;
    stage.execute("ALTER TABLE revocation.operations ADD CONSTRAINT broken CHECK (false) NOT VALID").await;
    for order in
        [&["pause", "leak"][..], &["throttle", "leak", "--rate", "5"], &["cancel", "leak", "--reason", "x"]]
    {
        stage.refused(order);
    }
    assert_eq!(stage.of("leak", "state || coalesce(throttle_per_s, 0)").await.as_deref(), Some("running0"));
}
