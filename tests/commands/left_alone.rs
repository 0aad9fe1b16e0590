//! What `status` and `provider` say of providers that do not fare well.

use serde_json::Value;
use uuid::Uuid;

use crate::harness::Stage;
use crate::incident_record::{HOT, PARKED, REVOKED};
use crate::program::{command, run};

const REFUSED: &str = "POST https://id.example.com/revoke answered 401 invalid_client; x";
const DOWN: &str = "POST https://id.example.com/revoke answered 503; will be tried again";

/// A running incident `leak` with so many targets that are due, and a worker that has told of `main`.
async fn scene(targets: u32) -> (Stage, Uuid) {
    let stage = Stage::new().await;
    stage.incident("leak", "running").await;
    let event = stage.event("leak", targets).await;
    stage.change(event, 0..targets, HOT).await;
    stage
        .execute(
            "INSERT INTO revocation.workers (instance, version, lease_until)
             VALUES ('pod-1', '0.1.0', now() + interval '1 hour')",
        )
        .await;
    stage
        .execute(
            "INSERT INTO revocation.provider_status (worker_no, provider, breaker, calls_5m, failures_5m)
             SELECT worker_no, 'main', 'closed', 20, 20 FROM revocation.workers",
        )
        .await;
    (stage, event)
}

async fn told(stage: &Stage, set: &str) {
    stage.execute(&format!("UPDATE revocation.provider_status SET {set}")).await;
}

fn wrong(stage: &Stage) -> Vec<String> {
    let json = run(&mut command(stage), &["status", "--json"]).json();
    let sentences = json["wrong"].as_array().cloned().unwrap_or_default();
    sentences.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_left_alone_has_a_reason_and_is_not_overdue() {
    let (stage, event) = scene(3).await;
    stage.change(event, 0..3, "due_at = now() - interval '100 seconds'").await;
    let shown = |arguments: &[&str]| run(&mut command(&stage), arguments).stdout;
    for (breaker, reason, held, error, said, typed, remedy) in [
        (
            "open",
            "'misconfigured'",
            "NULL",
            REFUSED,
            "open: misconfigured",
            "provider resume main",
            "restart each worker, one after the other",
        ),
        // Of a worker from before reasons, or to an operator without a worker's rights.
        ("half_open", "NULL", "NULL", REFUSED, "half_open: misconfigured", "provider resume main", "mend"),
        ("open", "'failing'", "NULL", DOWN, "open: failing", "provider show main", "at once: "),
        ("open", "NULL", "NULL", DOWN, "open: failing", "provider show main", "again within 75 s"),
        (
            "open",
            "'retry_after'",
            "now() + interval '1 hour'",
            DOWN,
            "open: retry_after",
            "incident throttle leak --rate 10",
            "set providers.main.rate_per_s to what it allows and restart each worker",
        ),
    ] {
        let set = format!(
            "breaker = '{breaker}', reason = {reason}, held_until = {held}, order_no = 1000, \
                last_error = '{error}', last_failure_at = now()"
        );
        told(&stage, &set).await;
        let wrong = wrong(&stage);
        let [one] = wrong.as_slice() else { panic!("{set}: {wrong:?}") };
        let starts = format!("provider main: breaker {said}");
        assert!(one.starts_with(&starts) && one.ends_with(&format!("revocation-worker {typed}")), "{one}");
        for arguments in [&["status"][..], &["provider", "list"], &["provider", "show", "main"]] {
            let shown = shown(arguments);
            assert!(shown.contains(said), "{arguments:?}: {shown}");
        }
        let show = shown(&["provider", "show", "main"]);
        assert!(show.contains(remedy), "{show}");
        let member = |name: &str| show.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        assert_eq!(member("held until").is_some(), held != "NULL", "{show}");
        assert!(member("next attempt").is_some_and(|line| line.ends_with("  now due")), "{show}");
        let resumed = run(&mut command(&stage), &["provider", "resume", "main"]).stdout;
        assert_eq!(resumed.contains("was started with"), said.contains("misconfigured"), "{resumed}");
    }
    told(&stage, "breaker = 'closed', reason = NULL, held_until = NULL").await;
    stage.execute("UPDATE revocation.incidents SET state = 'running'").await;
    let late = wrong(&stage);
    assert!(late[0].starts_with("provider main: in lane mass a target is due since 1"), "{late:?}");
}

/// A throttle that is too much is halved; one that nobody runs is not named.
#[tokio::test(flavor = "multi_thread")]
async fn what_crowds_a_provider_that_asks_for_rest_is_named() {
    let (stage, event) = scene(2).await;
    told(&stage, "breaker = 'open', reason = 'retry_after', held_until = now() + interval '1 hour'").await;
    for (set, typed) in [
        ("throttle_per_s = 50", "incident throttle leak --rate 25"),
        ("throttle_per_s = 3", "incident throttle leak --rate 2"),
        ("throttle_per_s = NULL", "incident throttle leak --rate 10"),
        ("state = 'paused'", "provider show main"),
    ] {
        stage.execute(&format!("UPDATE revocation.incidents SET {set}")).await;
        let wrong = wrong(&stage);
        let main = wrong.iter().find(|said| said.starts_with("provider main")).expect("it is told of");
        assert!(main.ends_with(&format!(": revocation-worker {typed}")), "{set}: {main}");
        assert_eq!(main.contains("incident leak has 2 targets there"), typed.contains("leak"), "{main}");
    }
    stage.execute("UPDATE revocation.incidents SET state = 'running'").await;
    stage.change(event, 0..2, REVOKED).await;
    let wrong = wrong(&stage);
    assert!(wrong[0].contains("set providers.main.rate_per_s"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_that_fail_again_and_again_are_told_of() {
    let (stage, event) = scene(9).await;
    let later = "due_at = now() + interval '1 hour', attempts = 9, last_http_status = 500";
    stage.change(event, 0..9, later).await;
    assert_eq!(wrong(&stage), Vec::<String>::new());
    for (set, many) in [
        ("failures = 4", None),
        ("failures = 5", Some("4 targets fail again and again (500); target cancel ID gives one up")),
        ("last_http_status = NULL", Some("4 targets fail again and again (no answer); target cancel ID")),
    ] {
        stage.change(event, 0..4, set).await;
        let wanted = many.map(|many| format!("provider main: {many}"));
        let wrong = wrong(&stage);
        assert_eq!(wrong.len(), usize::from(wanted.is_some()), "{set}: {wrong:?}");
        let audit = ": revocation-worker audit --state pending --provider main";
        let is_told = |wanted: &String| wrong[0].starts_with(wanted.as_str()) && wrong[0].ends_with(audit);
        assert!(wanted.as_ref().is_none_or(is_told), "{set}: {wrong:?}");
    }
    stage.change(event, 0..1, "last_http_status = 500").await;
    stage.change(event, 1..2, "last_http_status = 503").await;
    assert!(wrong(&stage)[0].contains("4 targets fail again and again (500, 503)"));
    // What is finished, or parked, or due, does not fail again.
    stage.change(event, 1..2, REVOKED).await;
    stage.change(event, 2..3, PARKED).await;
    stage.change(event, 3..4, "due_at = now()").await;
    assert!(
        wrong(&stage).iter().any(|said| said.contains("1 target fails again and again (500); target cancel"))
    );
    told(&stage, "breaker = 'open', reason = 'failing'").await;
    assert!(!wrong(&stage).iter().any(|said| said.contains("again and again")), "all fail");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_messages_stand_in_the_first_sentence() {
    let (stage, event) = scene(1).await;
    stage.change(event, 0..1, REVOKED).await;
    for (messages, first) in [
        (0, "nothing is wrong"),
        (1, "nothing is wrong; 1 refused message waits: revocation-worker dead list"),
        (2, "nothing is wrong; 2 refused messages wait: revocation-worker dead list"),
        (999, "nothing is wrong; 999 refused messages wait: revocation-worker dead list"),
    ] {
        let set = format!("UPDATE revocation.workers SET dead_messages = {messages}, dead_seen_at = now()");
        stage.execute(&set).await;
        let shown = run(&mut command(&stage), &["status"]).stdout;
        assert_eq!(shown.lines().next(), Some(first), "{shown}");
    }
}
