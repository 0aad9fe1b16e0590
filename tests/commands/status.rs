//! `status`

use sqlx::{AssertSqlSafe, Executor};

use crate::harness::{App, Stage, eventually, logout};
use crate::program::{bare, command, run};
use crate::scripted_idp::{Reply, ScriptedIdp};

async fn execute(stage: &Stage, statement: &str) {
    stage.db.execute(AssertSqlSafe(statement)).await.expect("execute");
}

async fn verifier(stage: &Stage, instance: &str, stale_reason: &str, seen_s_ago: u32) {
    let statement = format!(
        "INSERT INTO revocation.verifier_reports
             (service, instance, broker_user, verified, last_seen_at, reported_at, applied_time, entries, \
             stale, stale_reason)
         VALUES ('shop-api', '{instance}', 'shop', true, now() - make_interval(secs => {seen_s_ago}), now(), \
         now(), 7, '{stale_reason}' <> '', nullif('{stale_reason}', ''))"
    );
    execute(stage, &statement).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_system_says_what_is_missing() {
    let stage = Stage::new().await;
    let ran = run(&mut command(&stage), &["status"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("no worker is running\n"), "{}", ran.stdout);
    let json = run(&mut command(&stage), &["status", "--json"]).json();
    let expected = serde_json::json!({
        "incidents": [], "backlog": [], "providers": [], "workers": [], "dead_letters": [], "verifiers": [],
        "wrong": ["no worker is running"],
    });
    assert_eq!(json, expected);
}

/// With a long lease, a worker is silent for long between two renewals; with a short one it is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_dead_once_its_own_lease_is_over() {
    let stage = Stage::new().await;
    for (instance, lease_s, silent_s) in [("short", 2, 5), ("usual", 30, 20), ("long", 600, 100)] {
        let statement = format!(
            "INSERT INTO revocation.workers (instance, version, last_seen_at, lease_until)
             VALUES ('{instance}', '1', now() - make_interval(secs => {silent_s}),
                 now() + make_interval(secs => {lease_s} - {silent_s}))"
        );
        execute(&stage, &statement).await;
    }
    let status = || run(&mut command(&stage), &["status", "--json"]).json();
    let dead = |wrong: &serde_json::Value| {
        let sentences = wrong.as_array().cloned().unwrap_or_default();
        sentences.iter().map(|sentence| sentence.as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let json = status();
    let live: Vec<_> =
        json["workers"].as_array().into_iter().flatten().map(|w| (&w["instance"], &w["live"])).collect();
    let [long, short, usual] = ["long", "short", "usual"].map(|name| serde_json::json!(name));
    let [yes, no] = [true, false].map(|is_live| serde_json::json!(is_live));
    assert_eq!(live, [(&long, &yes), (&short, &no), (&usual, &yes)]);
    let wrong = dead(&json["wrong"]);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("worker short: silent for "), "{wrong:?}");
    execute(&stage, "UPDATE revocation.workers SET lease_until = now()").await;
    let wrong = dead(&status()["wrong"]);
    assert_eq!((wrong.len(), wrong[3].as_str()), (4, "no worker is running"), "{wrong:?}");
}

/// What no owner vouches for is named, whoever it is by, and counts among nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn the_unverified_are_named_as_such() {
    let stage = Stage::new().await;
    verifier(&stage, "pod-1", "", 0).await;
    for (instance, user, seen_s_ago) in
        [("pod-1", "stranger", 0), ("pod-1", "", 0), ("pod-\u{1b}[2J", "stranger", 60)]
    {
        let statement = format!(
            "INSERT INTO revocation.verifier_reports (service, instance, broker_user, verified, \
                last_seen_at, reported_at, entries, stale)
             VALUES ('shop-api', '{instance}', '{user}', false, now() - make_interval(secs => {seen_s_ago}), \
             now(), 7, false)"
        );
        execute(&stage, &statement).await;
    }
    let ran = run(&mut command(&stage), &["status"]).stdout;
    let lines: Vec<_> = ran.lines().collect();
    let said = "reports for 2 verifiers are unverified and vouch for nothing: shop-api/pod-1 (by stranger, \
        who does not own the service), \
                shop-api/pod-1 (without user_id)";
    assert_eq!((lines[0], lines[1]), (said, "no worker is running"), "{ran}");
    execute(
        &stage,
        "INSERT INTO revocation.verifier_reports (service, instance, broker_user, verified, reported_at, \
            entries, stale)
         SELECT 'invented', n::text, 'stranger', false, now(), 0, false FROM generate_series(1, 500) n",
    )
    .await;
    let ran = run(&mut command(&stage), &["status"]).stdout;
    assert!(
        ran.starts_with("reports for 502 verifiers are unverified")
            && ran.lines().next().is_some_and(|line| line.ends_with("and 497 more")),
        "{ran}"
    );
    assert!(
        ran.ends_with("\nand 493 more that are unverified: --json shows all\n") && !ran.contains('\u{1b}'),
        "{ran}"
    );
    let json = run(&mut command(&stage), &["status", "--json"]).json();
    assert_eq!(json["verifiers"].as_array().map(Vec::len), Some(504));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_comes_first() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    stage.wait_for_count(1, "audit.providers WHERE breaker = 'closed'").await;
    let fine = run(&mut command(&stage), &["status"]).stdout;
    assert!(fine.starts_with("nothing is wrong\n"), "{fine}");
    verifier(&stage, "pod-1", "", 0).await;
    verifier(&stage, "pod-2", "silent", 0).await;
    verifier(&stage, "pod-\u{1b}[2J", "", 60).await;
    verifier(&stage, "long-gone", "", 3600).await;
    let ran = run(&mut command(&stage), &["status"]).stdout;
    let lines: Vec<_> = ran.lines().collect();
    assert_eq!(lines[0], "1 of 2 live verifiers not up to date: shop-api/pod-2 (silent)");
    let silent = "no report from 1 verifier, which may accept what was denied since: shop-api/pod-\\u{1b}[2J \
        (policy not known, silent for 6";
    assert!(lines[1].starts_with(silent), "{ran}");
    assert_eq!(lines[2], "", "nothing else is wrong: {ran}");
    assert!(!ran.contains('\u{1b}'));
    for number in 3..10 {
        verifier(&stage, &format!("pod-{number}"), "behind", 0).await;
    }
    let ran = run(&mut command(&stage), &["status"]).stdout;
    let first = "8 of 9 live verifiers not up to date: shop-api/pod-2 (silent), shop-api/pod-3 (behind), \
        shop-api/pod-4 (behind), \
                 shop-api/pod-5 (behind), shop-api/pod-6 (behind) and 3 more";
    assert_eq!(ran.lines().next(), Some(first));
    assert!(worker.stop().await.success());
}

/// Revoked at the provider, and one that verifies tokens may not have heard of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_verifier_is_not_known_to_have_applied_is_counted() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    App::connect(&stage.amqp_url).await.publish(&logout("1", "access-1", "refresh-1")).await;
    stage.wait_for_count(2, "audit.revocations WHERE state = 'revoked' AND denied_at IS NOT NULL").await;
    assert!(worker.stop().await.success());
    let (before, after) = ("now() - interval '1 hour'", "now()");
    for (policy, reason, applied, silent_s, counted) in [
        ("fail_open", "", after, 0, None),
        ("fail_open", "", before, 0, Some(2)),
        ("fail_open", "behind", before, 0, Some(2)),
        ("fail_open", "", before, 3600, Some(2)),
        ("fail_open", "", "NULL", 3600, Some(2)),
        ("fail_closed", "", before, 60, None),
        ("fail_open", "ended", before, 60, None),
    ] {
        execute(&stage, "DELETE FROM revocation.verifier_reports").await;
        verifier(&stage, "pod-1", reason, silent_s).await;
        let set = format!("staleness_policy = '{policy}', applied_time = {applied}");
        execute(&stage, &format!("UPDATE revocation.verifier_reports SET {set}")).await;
        let json = run(&mut command(&stage), &["status", "--json"]).json();
        let what = format!("{policy} {reason} {applied} {silent_s}: {json}");
        assert_eq!(json["unapplied"]["targets"].as_u64(), counted, "{what}");
        let ran = run(&mut command(&stage), &["status", "--event", "/apps/shop", "1"]).stdout;
        let is_told = ran.contains("which may accept what was denied since: shop-api/pod-1");
        assert_eq!(is_told, silent_s > 15 && counted.is_some(), "{what}: {ran}");
        let is_wrong = json["wrong"].to_string().contains("which may accept what was denied since");
        assert_eq!(is_wrong, silent_s > 15 && counted.is_some(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_that_nobody_takes_are_wrong() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(503)).await;
    let setup = stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__RETRY__INITIAL", "48h");
    let mut worker = setup.set("REVOCATION__RETRY__MAX", "48h").start().await;
    App::connect(&stage.amqp_url).await.publish(&logout("1", "access-1", "refresh-1")).await;
    stage.wait_for_count(1, "audit.backlog WHERE targets = 2 AND next_attempt_at > now()").await;
    assert!(worker.stop().await.success());
    let wrong = || run(&mut command(&stage), &["status", "--json"]).json()["wrong"].clone();
    assert_eq!(wrong(), serde_json::json!(["no worker is running"]), "waiting for a retry is not wrong");
    execute(&stage, "UPDATE revocation.targets SET due_at = now() - interval '100 seconds'").await;
    let late = wrong()[0].as_str().map(str::to_owned).unwrap_or_default();
    let (start, end) =
        ("provider main: in lane interactive a target is due since 10", " s and nobody takes it");
    assert!(late.starts_with(start) && late.ends_with(end), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused() {
    let stage = Stage::new().await;
    assert_eq!(run(&mut command(&stage), &["status", "--event", "/apps/shop"]).code, 2);
    let ran = run(&mut bare(&[]), &["status"]);
    assert_eq!((ran.code, ran.stderr.contains("database.url")), (2, true), "{}", ran.stderr);
    let ran = run(&mut bare(&[("DATABASE_URL", "postgres://127.0.0.1:1/x")]), &["status"]);
    assert_eq!((ran.code, ran.stderr.contains("Postgres cannot be reached")), (1, true), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_events_story() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    App::connect(&stage.amqp_url).await.publish(&logout("1", "access-1", "refresh-1")).await;
    stage.wait_for_count(2, "audit.revocations WHERE state = 'revoked' AND denied_at IS NOT NULL").await;
    assert!(worker.stop().await.success());
    verifier(&stage, "pod-1", "", 0).await;
    execute(&stage, "UPDATE revocation.verifier_reports SET applied_time = now() + interval '1 minute'")
        .await;
    verifier(&stage, "pod-2", "behind", 0).await;
    let ran = run(&mut command(&stage), &["status", "--event", "/apps/shop", "1"]).stdout;
    assert!(ran.contains("\napplied by 1 of 2 live verifiers; waiting for shop-api/pod-2\n"), "{ran}");
    assert_eq!(ran.matches("revoked").count(), 2, "{ran}");
    let json = run(&mut command(&stage), &["status", "--event", "/apps/shop", "1", "--json"]).json();
    assert_eq!(
        (json["propagation"]["applied_by"].as_u64(), json["revocations"].as_array().map(Vec::len)),
        (Some(1), Some(2))
    );
    let unknown = run(&mut command(&stage), &["status", "--event", "/apps/shop", "2"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("event 2 of /apps/shop: not on record"), "{}", unknown.stderr);
}

/// Whoever comes late reads of it for ten minutes, of one that said goodbye not at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_died_beside_others_is_named_and_its_work_is_not_lost() {
    let stage = Stage::new().await;
    let setup = stage.worker("http://127.0.0.1:9/revoke");
    let [dies, ends] = ["pod-dies", "pod-ends"].map(|name| setup.clone().set("REVOCATION__INSTANCE", name));
    let (mut dies, mut ends) = (dies.start().await, ends.start().await);
    let lives = setup.set("REVOCATION__INSTANCE", "pod-lives").start().await;
    let wrong = || run(&mut command(&stage), &["status", "--json"]).json()["wrong"].to_string();
    assert!(ends.stop().await.success());
    dies.kill();
    stage.wait_for_count(1, "audit.lost_workers").await;
    stage.wait_for_count(1, "audit.workers").await;
    let said = wrong();
    assert!(said.contains("worker pod-dies: ended without a word, last seen 20"), "{said}");
    assert!(said.contains("others have taken its work over, and nothing is lost"), "{said}");
    assert!(!said.contains("pod-ends") && !said.contains("pod-lives"), "{said}");
    eventually("the page says so", async || {
        lives.get("/").await.contains("worker pod-dies: ended without a word").then_some(())
    })
    .await;
    for (change, is_told) in [
        ("ended_at = now() - interval '9 minutes'", true),
        ("ended_at = now() - interval '11 minutes'", false),
        // Started again under its name.
        ("ended_at = now(), instance = 'pod-lives'", false),
    ] {
        execute(&stage, &format!("UPDATE revocation.workers SET {change} WHERE instance = 'pod-dies'")).await;
        assert_eq!(wrong().contains("ended without a word"), is_told, "{change}");
    }
}
