//! What verifiers report ends in the audit: who is up to date, and who has applied a denial.

use revocation_verifier::message::Staleness;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};
use time::{Duration, OffsetDateTime};

use crate::harness::{App, Setup, Stage, Worker, canary_token, eventually, logout, status};
use crate::scripted_idp::Memory;

fn idle(stage: &Stage) -> Setup {
    stage.worker("http://127.0.0.1:9/revoke")
}

async fn begun() -> (Stage, Worker, App) {
    let stage = Stage::new().await;
    let worker = idle(&stage).start().await;
    let app = App::connect(&stage.amqp_url).await;
    (stage, worker, app)
}

/// As if the verifier had not reported for so long.
async fn silent_for(stage: &Stage, interval: &str) {
    let update =
        format!("UPDATE revocation.verifier_reports SET last_seen_at = now() - interval '{interval}'");
    stage.db.execute(AssertSqlSafe(update)).await.expect("set back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_in_either_shape_ends_in_the_audit() {
    let (stage, _worker, app) = begun().await;
    let (now, mut said) = (OffsetDateTime::now_utc(), status("shop-api", "enveloped"));
    said.applied_time = Some(now - Duration::seconds(7));
    app.report(said.clone(), now - Duration::seconds(1)).await;
    said.instance = "bare".to_owned();
    said.applied_time = Some(now + Duration::hours(1));
    app.publish_report("status.shop-api", &serde_json::to_vec(&said).expect("JSON")).await;
    let said =
        "service = 'shop-api' AND applied_offset = 812 AND entries = 1042 AND staleness_policy = 'fail_open' \
            AND stale_reason IS NULL
        AND up_to_date AND last_seen_at > now() - interval '10 seconds'";
    stage
        .wait_for_count(
            1,
            &format!("audit.verifiers WHERE instance = 'enveloped' AND {said} AND lag_seconds = 6"),
        )
        .await;
    // Its clock is ahead of ours.
    stage
        .wait_for_count(1, &format!("audit.verifiers WHERE instance = 'bare' AND {said} AND lag_seconds = 0"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_older_report_changes_nothing_and_a_clock_set_back_is_believed() {
    let (stage, worker, app) = begun().await;
    let (now, mut said) = (OffsetDateTime::now_utc(), status("shop-api", "pod-7"));
    app.report(said.clone(), now).await;
    stage.wait_for_count(1, "audit.verifiers WHERE entries = 1042").await;
    said.entries = 1;
    app.report(said.clone(), now - Duration::seconds(5)).await;
    eventually("it was read", async || {
        (worker.metric(r#"revocation_verifier_reports_total{result="written"}"#).await >= 2.0).then_some(())
    })
    .await;
    assert_eq!(stage.count("audit.verifiers WHERE entries = 1042").await, 1, "the older one lost");

    silent_for(&stage, "2 minutes").await;
    app.report(said, now - Duration::hours(1)).await;
    stage
        .wait_for_count(
            1,
            "audit.verifiers WHERE entries = 1 AND last_seen_at > now() - interval '10 seconds'",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_or_gone_is_not_up_to_date() {
    let (stage, worker, app) = begun().await;
    let mut said = status("shop-api", "pod-7");
    app.report(said.clone(), OffsetDateTime::now_utc()).await;
    stage.wait_for_count(1, "audit.verifiers WHERE up_to_date").await;
    said.stale = true;
    said.stale_reason = Some(Staleness::Silent);
    said.applied_time = None;
    app.report(said, OffsetDateTime::now_utc()).await;
    stage
        .wait_for_count(
            1,
            "audit.verifiers WHERE NOT up_to_date AND stale_reason = 'silent' AND lag_seconds IS NULL",
        )
        .await;
    app.report(status("shop-api", "pod-7"), OffsetDateTime::now_utc()).await;
    stage.wait_for_count(1, "audit.verifiers WHERE up_to_date AND stale_reason IS NULL").await;

    silent_for(&stage, "14 seconds").await;
    assert_eq!(stage.count("audit.verifiers WHERE up_to_date").await, 1);
    silent_for(&stage, "15 seconds").await;
    assert_eq!(stage.count("audit.verifiers WHERE up_to_date OR live").await, 0);
    let gone = async || (worker.metric(r#"revocation_verifiers{state="gone"}"#).await == 1.0).then_some(());
    eventually("the metrics show it", gone).await;
    assert_eq!(worker.metric(r#"revocation_verifiers{state="up_to_date"}"#).await, 0.0);

    silent_for(&stage, "23 hours").await;
    assert_eq!(stage.count("audit.verifiers").await, 1);
    silent_for(&stage, "25 hours").await;
    stage.wait_for_count(0, "audit.verifiers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_is_applied_by_the_verifiers_that_have_read_past_it() {
    let (stage, memory) = (Stage::new().await, Memory::default());
    let idp = memory.serve().await;
    let _worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let app = App::connect(&stage.amqp_url).await;
    let _verifiers = (stage.verifier("shop-api", "a").await, stage.verifier("shop-api", "b").await);
    stage
        .wait_for_count(
            2,
            "audit.verifiers WHERE service = 'shop-api' AND up_to_date AND staleness_policy = 'fail_closed'",
        )
        .await;
    app.publish(&logout("1", &canary_token(), &canary_token())).await;
    stage
        .wait_for_count(
            1,
            "audit.propagation WHERE event_id = '1' AND applied_by = 2 AND live_verifiers = 2 \
            AND waiting_for = '{}'",
        )
        .await;

    // Live, the first two count for no event: it stopped reading before, is stale, or has read nothing.
    let (mut before, mut stale, mut nothing) =
        (status("slow", "before"), status("slow", "stale"), status("slow", "nothing"));
    before.applied_time = Some(OffsetDateTime::now_utc() - Duration::hours(1));
    (stale.stale, nothing.applied_time) = (true, None);
    for said in [before, stale, nothing] {
        app.report(said, OffsetDateTime::now_utc()).await;
    }
    let waiting = "'{slow/before,slow/nothing,slow/stale}'";
    let three = format!(
        "audit.propagation WHERE event_id = '1' AND applied_by = 2 AND live_verifiers = 5 AND waiting_for = \
            {waiting}"
    );
    stage.wait_for_count(1, &three).await;
    stage
        .db
        .execute(
            "UPDATE revocation.verifier_reports SET last_seen_at = now() - interval '16 s' WHERE \
            service = 'slow'",
        )
        .await
        .expect("set back");
    stage
        .wait_for_count(1, "audit.propagation WHERE event_id = '1' AND applied_by = 2 AND live_verifiers = 2")
        .await;
    stage.forget_denials().await;
    let unknown = "audit.propagation WHERE denied_at IS NULL AND applied_by = 0 AND live_verifiers = 2 AND \
        waiting_for = '{shop-api/a,shop-api/b}'";
    assert_eq!(stage.count(unknown).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_survived_and_counted_and_shown_nowhere() {
    let (stage, mut worker, app) = begun().await;
    let odd = |member: &str, value: serde_json::Value| {
        let mut report = serde_json::to_value(status("odd", "odd")).expect("JSON");
        report[member] = value;
        report.to_string().into_bytes()
    };
    let bodies = [
        Vec::new(),
        b"c4n4ry-garbage".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"[".repeat(100_000),
        odd("service", json!("nul\0nul")),
        odd("instance", json!("x".repeat(201))),
        odd("entries", json!(u64::MAX)),
        odd("applied_time", json!("-9999-01-01T00:00:00Z")),
        json!({ "type": "auth.logout.v1", "data": {} }).to_string().into_bytes(),
    ];
    for body in &bodies {
        app.publish_report("status.odd", body).await;
    }
    app.report(status("shop-api", "pod-7"), OffsetDateTime::now_utc()).await;
    stage.wait_for_count(1, "audit.verifiers").await;
    let counted = async || worker.metric(r#"revocation_verifier_reports_total{result="unreadable"}"#).await;
    eventually("all are counted", async || (counted().await == bodies.len() as f64).then_some(())).await;
    eventually("nothing is left in the queue", async || {
        (app.depth("revocation.verifiers").await == (0, 1)).then_some(())
    })
    .await;
    assert!(
        worker.log().contains("a verifier's report cannot be read")
            && !worker.log().contains("c4n4ry-garbage")
    );
    assert!(worker.stop().await.success());
    assert_eq!(app.depth("revocation.verifiers").await.0, 0, "all were acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_the_reports_and_either_is_enough() {
    let (stage, worker, app) = begun().await;
    let mut other = idle(&stage).start().await;
    eventually("both consume", async || (app.depth("revocation.verifiers").await.1 == 2).then_some(())).await;
    let report_all = async || {
        for number in 0..300 {
            app.report(status("shop-api", &format!("pod-{number}")), OffsetDateTime::now_utc()).await;
        }
    };
    report_all().await;
    stage.wait_for_count(300, "audit.verifiers WHERE up_to_date").await;
    let written =
        async |worker: &Worker| worker.metric(r#"revocation_verifier_reports_total{result="written"}"#).await;
    let (one, two) = (written(&worker).await, written(&other).await);
    assert!(one > 0.0 && two > 0.0 && one + two == 300.0, "{one} and {two}");
    other.kill();
    stage.db.execute("DELETE FROM revocation.verifier_reports").await.expect("delete");
    report_all().await;
    stage.wait_for_count(300, "audit.verifiers WHERE up_to_date").await;
}

/// Names that somebody invents fill neither the table nor the memory, and keep nobody known out.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_ten_thousand_are_kept() {
    let (stage, _worker, app) = begun().await;
    app.report(status("shop-api", "known"), OffsetDateTime::now_utc()).await;
    stage.wait_for_count(1, "audit.verifiers").await;
    let fill = "INSERT INTO revocation.verifier_reports (service, instance, broker_user, verified, \
        reported_at, entries, stale)
                SELECT 'invented', n::text, 'account-' || n % 10, false, now(), 0, false FROM \
                generate_series(2, 10000) n";
    stage.db.execute(fill).await.expect("fill");
    let mut known = status("shop-api", "known");
    known.entries = 7;
    app.report(status("shop-api", "new"), OffsetDateTime::now_utc()).await;
    app.report(known, OffsetDateTime::now_utc()).await;
    stage.wait_for_count(1, "audit.verifiers WHERE instance = 'known' AND entries = 7").await;
    assert_eq!(stage.count("audit.verifiers").await, 10_000);
    assert_eq!(stage.count("audit.verifiers WHERE instance = 'new'").await, 0);
}

/// Reports are dropped while the database cannot take them, and the next ones are written.
#[tokio::test(flavor = "multi_thread")]
async fn reports_that_cannot_be_written_are_dropped_and_later_ones_are_not() {
    let (stage, worker, app) = begun().await;
    stage.db.execute("ALTER TABLE revocation.verifier_reports RENAME TO elsewhere").await.expect("rename");
    app.report(status("shop-api", "lost"), OffsetDateTime::now_utc()).await;
    let dropped = async || worker.metric(r#"revocation_verifier_reports_total{result="dropped"}"#).await;
    eventually("it is dropped", async || (dropped().await == 1.0).then_some(())).await;
    stage.db.execute("ALTER TABLE revocation.elsewhere RENAME TO verifier_reports").await.expect("rename");
    app.report(status("shop-api", "kept"), OffsetDateTime::now_utc()).await;
    stage.wait_for_count(1, "audit.verifiers WHERE instance = 'kept'").await;
    assert_eq!(stage.count("audit.verifiers").await, 1);
    assert_eq!(worker.readiness().await, Some(200));
}

/// Somebody deletes the queue: the session declares it again, and the events notice nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_queue_comes_back() {
    let (stage, worker, app) = begun().await;
    eventually("it is consumed", async || (app.depth("revocation.verifiers").await.1 == 1).then_some(()))
        .await;
    app.delete_queue("revocation.verifiers").await;
    worker.wait_for_log("session on the verifiers' reports failed").await;
    let mut returned = App::connect(&stage.amqp_url).await;
    eventually("the queue is back", async || match returned.try_depth("revocation.verifiers").await {
        Some((_, 1)) => Some(()),
        Some(_) => None,
        None => {
            // The broker closes a channel that asks for what is not there.
            returned = App::connect(&stage.amqp_url).await;
            None
        }
    })
    .await;
    returned.report(status("shop-api", "pod-7"), OffsetDateTime::now_utc()).await;
    stage.wait_for_count(1, "audit.verifiers").await;
    assert!(!worker.log().contains("consuming session failed"));
}
