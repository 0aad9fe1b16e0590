//! What verifiers report of themselves, and what an operator learns from it.

use lapin::BasicProperties;
use revocation_verifier::{Denylist, Options, StalenessPolicy};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::harness::{App, Setup, Stage, eventually, logout};
use crate::scripted_idp::{Reply, ScriptedIdp};

async fn worker(stage: &Stage) -> Setup {
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    stage.worker(&format!("{}/revoke", idp.url()))
}

fn seconds_ago(seconds: i64) -> String {
    (OffsetDateTime::now_utc() - time::Duration::seconds(seconds)).format(&Rfc3339).expect("a time")
}

fn status(instance: &str, entries: u64, applied_s_ago: i64) -> Value {
    json!({ "service": "shop-api", "instance": instance, "applied_offset": 812, "applied_time": seconds_ago(applied_s_ago), "entries": entries, "stale": false })
}

fn enveloped(status: &Value, made_s_ago: i64) -> Value {
    json!({ "specversion": "1.0", "id": "r-1", "source": "/revocation-verifier/shop-api", "type": "auth.verifier.status.v1", "time": seconds_ago(made_s_ago), "data": status })
}

async fn report(app: &App, report: &str) {
    app.publish_to("auth.verifiers", "status.shop-api", report.as_bytes(), BasicProperties::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_shapes_of_a_report_are_recorded_and_anything_else_is_survived() {
    let stage = Stage::new().await;
    let mut worker = worker(&stage).await.start().await;
    let app = App::connect(&stage.amqp_url).await;
    for nonsense in ["", "not JSON", "{}", "\u{0}", &"x".repeat(100_000)] {
        report(&app, &format!("{nonsense} ")).await;
    }
    report(&app, &status("bare", 5, 1).to_string()).await;
    report(&app, &enveloped(&status("enveloped", 7, 3), 1).to_string()).await;
    stage.wait_for_count(2, "audit.verifiers WHERE service = 'shop-api' AND up_to_date AND live AND applied_offset = 812").await;
    assert_eq!(stage.count("audit.verifiers WHERE instance = 'enveloped' AND entries = 7 AND lag_seconds BETWEEN 1.9 AND 2.1").await, 1);
    let metrics = worker.get("/metrics").await;
    assert!(metrics.contains("revocation_verifier_reports_total 7"), "{metrics}");
    assert!(worker.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_report_changes_nothing() {
    let stage = Stage::new().await;
    let _worker = worker(&stage).await.start().await;
    let app = App::connect(&stage.amqp_url).await;
    report(&app, &enveloped(&status("pod-7", 2, 1), 1).to_string()).await;
    stage.wait_for_count(1, "audit.verifiers WHERE entries = 2").await;
    report(&app, &enveloped(&status("pod-7", 1, 60), 60).to_string()).await;
    report(&app, &enveloped(&status("other", 1, 1), 1).to_string()).await;
    stage.wait_for_count(1, "audit.verifiers WHERE instance = 'other'").await;
    assert_eq!(stage.count("audit.verifiers WHERE instance = 'pod-7' AND entries = 2").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_stale_or_silent_is_not_up_to_date() {
    let stage = Stage::new().await;
    let _worker = worker(&stage).await.start().await;
    let app = App::connect(&stage.amqp_url).await;
    let mut stale = status("stale", 1, 1);
    (stale["stale"], stale["stale_reason"], stale["staleness_policy"]) = (true.into(), "truncated".into(), "fail_open".into());
    report(&app, &enveloped(&stale, 0).to_string()).await;
    report(&app, &enveloped(&status("gone", 1, 1), 0).to_string()).await;
    stage
        .wait_for_count(
            1,
            "audit.verifiers WHERE live AND NOT up_to_date AND stale_reason = 'truncated' AND staleness_policy = 'fail_open'",
        )
        .await;
    stage.wait_for_count(1, "audit.verifiers WHERE instance = 'gone' AND up_to_date").await;
    sqlx::query("UPDATE revocation.verifiers SET last_seen_at = now() - interval '16 seconds' WHERE instance = 'gone'")
        .execute(&stage.db)
        .await
        .expect("age a row");
    assert_eq!(stage.count("audit.verifiers WHERE instance = 'gone' AND NOT live AND NOT up_to_date").await, 1);
    report(&app, &enveloped(&status("gone", 9, 600), 600).to_string()).await;
    stage.wait_for_count(1, "audit.verifiers WHERE instance = 'gone' AND live AND entries = 9").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_says_which_verifiers_have_applied_it() {
    let stage = Stage::new().await;
    let _worker = worker(&stage).await.start().await;
    let app = App::connect(&stage.amqp_url).await;
    let options = Options::new(&*stage.amqp_url, "orders", StalenessPolicy::FailClosed).instance("real");
    let _denylist = Denylist::connect(options).expect("usable options");
    app.publish(&logout("1", "access-1", "refresh-1")).await;
    stage
        .wait_for_count(1, "audit.propagation WHERE event_id = '1' AND applied_by = 1 AND live_verifiers = 1 AND waiting_for = '{}'")
        .await;
    report(&app, &status("late", 5, 600).to_string()).await;
    let waits = "audit.propagation WHERE event_id = '1' AND applied_by = 1 AND live_verifiers = 2 AND waiting_for = '{shop-api/late}'";
    stage.wait_for_count(1, waits).await;
    eventually("both have applied it", async || {
        report(&app, &status("late", 5, -5).to_string()).await;
        (stage.count("audit.propagation WHERE event_id = '1' AND applied_by = 2 AND live_verifiers = 2").await == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_share_the_reports() {
    let stage = Stage::new().await;
    let setup = worker(&stage).await;
    let (_one, mut other) = (setup.start().await, setup.start().await);
    let app = App::connect(&stage.amqp_url).await;
    for number in 0..20 {
        report(&app, &status(&format!("pod-{number}"), 1, 1).to_string()).await;
    }
    stage.wait_for_count(20, "audit.verifiers WHERE up_to_date").await;
    assert!(other.stop().await.success());
    report(&app, &status("pod-20", 1, 1).to_string()).await;
    stage.wait_for_count(21, "audit.verifiers").await;
}
