//! `check` where logouts are on record: what verifiers will have to hold.

use serde_json::{Value, json};

use crate::harness::{App, Stage, canary_token, logout};
use crate::program::run;
use crate::scripted_idp::{Reply, ScriptedIdp};

#[tokio::test(flavor = "multi_thread")]
async fn what_verifiers_will_hold_is_computed_from_the_record() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let worker = stage.worker(&format!("{}/revoke", idp.url()));
    let _running = worker.start().await;
    let check = |arguments: &[&str]| run(&mut worker.command(), arguments);
    assert_eq!(check(&["check", "--json"]).json()["verifiers"], Value::Null, "nothing is on record");
    assert!(!check(&["check"]).stdout.contains("verifiers:"));

    let app = App::connect(&stage.amqp_url).await;
    for id in ["1", "2"] {
        app.publish(&logout(id, &canary_token(), &canary_token())).await;
    }
    stage.wait_for_count(4, "revocation.targets").await;
    // Four tokens a day, denied for 30 days each.
    let report = check(&["check", "--json"]).json();
    let expected = json!({
        "sampled_seconds": 86_400, "sampled_targets": 4, "entries": 120, "mib": 1,
        "without_refresh_tokens": { "entries": 60, "mib": 1 },
    });
    assert_eq!((&report["verifiers"], &report["ok"]), (&expected, &json!(true)), "{report}");
    let told = check(&["check"]).stdout;
    let line = told.lines().last().expect("a line");
    assert!(line.starts_with("note     verifiers: ") && line.contains("120 entries"), "{told}");
    assert!(line.contains("60 in 1 MiB where it is told to skip refresh tokens"), "{told}");
}
