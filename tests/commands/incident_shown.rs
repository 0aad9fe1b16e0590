//! `incident list`, `incident show`, and incidents in `status`.

use serde_json::{Value, json};

use crate::harness::Stage;
use crate::incident_record::{HELD, PARKED, REVOKED, UNSUPPORTED};
use crate::program::{command, run};

#[tokio::test(flavor = "multi_thread")]
async fn active_incidents_come_first_and_old_ones_are_hidden() {
    let stage = Stage::new().await;
    assert_eq!(stage.steered(&["list"]), "no incident is active, and none finished within 7 days\n");
    for (name, days) in [("long-ago", 8), ("last-week", 6)] {
        stage.incident(name, "cancelled").await;
        stage
            .execute(&format!(
                "UPDATE revocation.incidents SET finished_at = now() - interval '{days} days' \
                WHERE incident = '{name}'"
            ))
            .await;
    }
    for name in ["first", "second"] {
        stage.incident(name, "running").await;
    }
    stage.event("second", 4).await;
    let ran = stage.steer(&["list"]);
    let names: Vec<_> =
        ran.stdout.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["second", "first", "last-week"], "{}", ran.stdout);
    assert_eq!(ran.stderr, "1 incident that finished more than 7 days ago not shown: --all\n");
    let names = |json: &Value| {
        json["incidents"].as_array().into_iter().flatten().map(|i| i["incident"].clone()).collect::<Vec<_>>()
    };
    let json = stage.steer(&["list", "--json"]).json();
    assert_eq!(
        (names(&json), &json["hidden"]),
        (vec![json!("second"), json!("first"), json!("last-week")], &json!(1))
    );
    assert_eq!(json["incidents"][0]["pending"], 4);
    let all = stage.steer(&["list", "--all", "--json"]).json();
    assert_eq!((names(&all).len(), &all["hidden"]), (4, &json!(0)));
    assert_eq!(stage.steer(&["list", "--all"]).stderr, "");
}

/// A denied event with a target in each state that matters, an undenied one, and verifiers in each condition.
async fn half_done() -> Stage {
    let stage = Stage::new().await;
    stage.incident("leak", "running").await;
    let (denied, undenied) = (stage.event("leak", 8).await, stage.event("leak", 3).await);
    for (places, set) in
        [(0..1, REVOKED), (1..2, UNSUPPORTED), (2..3, PARKED), (4..5, UNSUPPORTED), (6..7, HELD)]
    {
        stage.change(denied, places, set).await;
    }
    stage.change(denied, 4..5, "deny_until = now() - interval '1 second'").await;
    let expired = "state = 'expired', waiting = false, token_expires_at = now(), finished_at = now(), due_at \
        = NULL, sealed = NULL, sealed_key = NULL";
    stage.change(denied, 5..6, expired).await;
    stage.change(undenied, 0..1, "deny_until = now() - interval '1 second'").await;
    stage.change(denied, 7..8, "provider = 'other', deny_until = deny_until + interval '5 minutes'").await;
    stage.deny(denied).await;
    stage.reported("pod-1", "now()", false).await;
    stage.reported("pod-2", "now() - interval '1 minute'", false).await;
    stage.reported("pod-3", "now()", true).await;
    stage.reported("pod-4", "NULL", false).await;
    stage.reported("gone", "NULL", true).await;
    stage
        .execute(
            "UPDATE revocation.verifier_reports SET last_seen_at = now() - interval '1 minute' WHERE \
        instance = 'gone'",
        )
        .await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_an_incident_is_on_one_screen() {
    let stage = half_done().await;
    stage.steered(&["throttle", "leak", "--rate", "5"]);
    stage
        .execute("INSERT INTO revocation.incident_samples VALUES ('leak', now() - interval '2 seconds', 0)")
        .await;
    let json = stage.steer(&["show", "leak", "--json"]).json();
    let silent = &json["residual_risk"]["silent_verifiers"];
    assert_eq!((silent[0]["instance"].as_str(), silent[1].is_null()), (Some("gone"), true), "{json}");
    assert_eq!(
        json["residual_risk"],
        json!({
            "undenied": 2, "live_verifiers": 4, "unverified_verifiers": 0,
            "verifiers_behind": ["shop-api/pod-2", "shop-api/pod-3", "shop-api/pod-4"],
            "not_revoked": 5, "not_revoked_until": "2100-01-02T03:09:05+00:00",
            "not_revoked_by_state": { "unsupported": 1, "parked": 1, "pending": 3 },
            "silent_verifiers": silent,
        })
    );
    let counts = |name: &str, value: &str, numbers: [u64; 6]| {
        let [pending, revoked, unsupported, expired, parked, cancelled] = numbers;
        json!({
            name: value, "pending": pending, "revoked": revoked, "unsupported": unsupported,
            "expired": expired, "parked": parked, "cancelled": cancelled,
        })
    };
    assert_eq!(
        json["providers"],
        json!([
            counts("provider", "main", [5, 1, 2, 1, 1, 0]),
            counts("provider", "other", [1, 0, 0, 0, 0, 0])
        ])
    );
    assert_eq!(json["kinds"], json!([counts("kind", "token", [6, 1, 2, 1, 1, 0])]));
    let numbers =
        ["targets_received", "targets", "denied", "pending", "revoked", "in_flight", "throttle_per_s"]
            .map(|m| json[m].clone());
    assert_eq!(numbers, [11, 11, 8, 6, 1, 1, 5].map(|n| json!(n)));
    let actions: Vec<_> =
        json["operations"].as_array().into_iter().flatten().map(|operation| &operation["action"]).collect();
    assert_eq!(actions, ["open", "throttle"]);
    assert!(json["rate_per_s"].as_f64() > Some(0.0) && json["eta_seconds"].as_f64() > Some(0.0), "{json}");

    let text = stage.steered(&["show", "leak"]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[..2],
        [
            "incident leak: RUNNING, 2 targets that the provider cannot revoke",
            ">>> 1 target parked: revocation-worker incident retry leak",
        ]
    );
    for line in [
        "received 11, denied 8 of 11, held by workers 1",
        "2 targets neither denied nor expired: verifiers accept them",
        "3 of 4 live verifiers may not refuse all of it yet: shop-api/pod-2, shop-api/pod-3, shop-api/pod-4",
        "until 2100-01-02 03:09 UTC 5 targets that the provider has not confirmed are kept out only by \
            verifiers: 1 parked, 3 pending, 1 unsupported",
    ] {
        assert!(lines.contains(&line), "{line:?} in {text}");
    }
    assert!(
        text.contains("6 pending, 1 revoked, 2 unsupported, 1 expired, 1 parked; rate ")
            && text.contains(", throttle 5/s\n"),
        "{text}"
    );
    let text = stage.steered(&["show", "leak", "--wide"]);
    assert!(
        text.lines().last().is_some_and(|line| line.contains(
            "  bob    throttled to 5 targets a second, before \
            without limit (database role "
        )),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_leaves_nothing_open() {
    let stage = Stage::new().await;
    stage.incident("leak", "running").await;
    let event = stage.event("leak", 2).await;
    stage.change(event, 0..2, REVOKED).await;
    stage.deny(event).await;
    stage.reported("pod-1", "now()", false).await;
    assert_eq!(stage.store().finish_incidents().await.expect("finish"), ["leak"]);
    let text = stage.steered(&["show", "leak"]);
    assert!(text.starts_with("incident leak: FINISHED\nopened by Alice via soc at 2"), "{text}");
    assert!(
        text.contains(
            "\nresidual risk\nnone: all of it is revoked or expired, and every verifier refuses it\n"
        ),
        "{text}"
    );
    let json = stage.steer(&["show", "leak", "--json"]).json();
    assert_eq!(
        (&json["state"], &json["residual_risk"]["not_revoked_until"]),
        (&json!("finished"), &json!(null))
    );

    // One that was cut off does not fade with time.
    for (seen_ago, policy, told) in [
        ("1 minute", "fail_open", Some("which may accept what was denied since: shop-api/pod-1 (fail_open")),
        ("20 hours", "fail_open", Some("which may accept what was denied since: shop-api/pod-1 (fail_open")),
        ("20 hours", "fail_closed", Some("which refuse every token without the feed: shop-api/pod-1")),
        ("0 seconds", "fail_open", None),
    ] {
        let applied = if told.is_some() { "now() - interval '1 day'" } else { "now()" };
        stage
            .execute(&format!(
                "UPDATE revocation.verifier_reports SET last_seen_at = now() - interval '{seen_ago}',
                     staleness_policy = '{policy}', applied_time = {applied}"
            ))
            .await;
        let text = stage.steered(&["show", "leak"]);
        assert_eq!(text.contains("\nnone: all of it"), told.is_none(), "{text}");
        assert!(told.is_none_or(|told| text.contains(told)), "{told:?} in {text}");
    }
    stage.execute("DELETE FROM revocation.verifier_reports").await;
    let text = stage.steered(&["show", "leak"]);
    assert!(text.contains("\nno verifier has reported: nobody can say"), "{text}");
    stage.reported("pod-1", "now()", false).await;

    let unverified =
        "INSERT INTO revocation.verifier_reports (service, instance, broker_user, verified, reported_at, \
            applied_time, entries, stale)
                      VALUES ('shop-api', 'pod-9', '', false, now(), now(), 7, false)";
    stage.execute(unverified).await;
    let text = stage.steered(&["show", "leak"]);
    assert!(
        text.contains(
            "\nresidual risk\nunverified, so that nobody can say what they refuse: 1 live verifier\n"
        ),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_person_is_loud() {
    let stage = Stage::new().await;
    stage.incident("a \u{1b}[2J", "paused").await;
    let text = stage.steered(&["show", "a \u{1b}[2J"]);
    assert!(text.contains("rate -, left -, paused, throttle off"), "{text}");
    assert!(
        text.contains(">>> paused, 0 targets wait: revocation-worker incident resume $'a \\x1b[2J'\n"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text:?}");
    stage.incident("leak", "awaiting_approval").await;
    stage.event("leak", 12).await;
    stage
        .execute("UPDATE revocation.incidents SET asks = ARRAY['client', 'issuer'] WHERE incident = 'leak'")
        .await;
    let text = stage.steered(&["show", "leak"]);
    let lines: Vec<_> = text.lines().take(3).collect();
    assert_eq!(lines[0], "incident leak: AWAITING APPROVAL");
    let (start, end) = (
        ">>> 12 targets wait for a second person's approval since ",
        " s: revocation-worker incident approve leak --targets 12",
    );
    assert!(lines[1].starts_with(start) && lines[1].ends_with(end), "{text}");
    assert_eq!(
        lines[2],
        ">>> by another person than alice, soc, whom [people] names; because of: client, issuer, 12 targets"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn status_names_what_waits() {
    let stage = Stage::new().await;
    for (name, state) in
        [("leak", "awaiting_approval"), ("list", "paused"), ("fine", "running"), ("over", "cancelled")]
    {
        stage.incident(name, state).await;
        stage.event(name, 3).await;
    }
    stage.execute("UPDATE revocation.incidents SET finished_at = now() WHERE incident = 'over'").await;
    stage.execute("ALTER TABLE revocation.incidents DISABLE TRIGGER USER").await;
    stage
        .execute(
            "UPDATE revocation.incidents SET opened_at = now() - interval '12 minutes', targets_expected = \
                200000 WHERE incident = 'leak'",
        )
        .await;
    // Due for long, and held back by their incident: nobody is to blame.
    stage
        .execute(
            "UPDATE revocation.targets SET waiting = false, due_at = now() - interval '1 hour' WHERE \
            incident IN ('leak', 'list')",
        )
        .await;
    let ran = run(&mut command(&stage), &["status"]);
    let lines: Vec<_> = ran.stdout.lines().collect();
    let waits = "incident leak: 200,000 targets wait for a second person's approval since 12 min: \
        revocation-worker incident approve leak --targets 200000";
    assert_eq!(
        lines[..3],
        [
            waits,
            "incident list: paused, 3 targets wait: revocation-worker incident resume list",
            "no worker is running"
        ]
    );
    assert!(lines.contains(&"incidents"), "{}", ran.stdout);
    let json = run(&mut command(&stage), &["status", "--json"]).json();
    let names: Vec<_> = json["incidents"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|i| i["incident"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(names, ["leak", "list", "fine"]);
    assert_eq!(json["wrong"].as_array().map(Vec::len), Some(3), "{json}");
    stage
        .execute(
            "UPDATE revocation.targets SET waiting = false, due_at = now() - interval '1 hour' WHERE \
        incident = 'fine'",
        )
        .await;
    let json = run(&mut command(&stage), &["status", "--json"]).json();
    assert!(
        json["wrong"][2].as_str().is_some_and(|late| late.contains("a target is due since 36")),
        "{json}"
    );
}
