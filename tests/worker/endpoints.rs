//! Health, metrics, the heartbeat, and that a repeated or late event changes nothing.

use std::time::Instant;

use reqwest::{Client, Method, StatusCode};
use revocation_worker::invalidation::{Entry, Phase};
use serde_json::{Value, json};

use crate::harness::{App, Feed, Operator, Stage, Worker, canary_token, eventually, logout, logout_of};
use crate::scripted_idp::{Memory, Reply, ScriptedIdp};

async fn provider() -> (ScriptedIdp, Memory) {
    let memory = Memory::default();
    (memory.serve().await, memory)
}

/// The value of a series such as `revocation_attempts_total{provider="main",outcome="revoked"}`.
fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

async fn wait_for_value(worker: &Worker, series: &str, wanted: f64) {
    let what = format!("{series} is {wanted}");
    eventually(&what, async || (value(&worker.get("/metrics").await, series) == Some(wanted)).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happened() {
    let stage = Stage::new().await;
    let (stubborn, foreign) = (canary_token(), canary_token());
    let idp = {
        let (stubborn, foreign) = (stubborn.clone(), foreign.clone());
        ScriptedIdp::start(move |request| match request.field("token") {
            Some(token) if token == stubborn => Reply::status(503),
            Some(token) if token == foreign => Reply::status(403),
            _ => Reply::status(200),
        })
        .await
    };
    let setup = stage
        .worker(&format!("{}/revoke", idp.url()))
        .set("REVOCATION__RETRY__INITIAL", "1h")
        .set("REVOCATION__RETRY__MAX", "2h");
    let worker = setup.start().await;
    let app = App::connect(&stage.amqp_url).await;
    for _delivered_twice in 0..2 {
        app.publish(&logout("1", "access", "refresh")).await;
    }
    app.publish_raw("auth.logout", b"{", Default::default()).await;
    app.publish(&logout_of("2", json!([{ "token": stubborn }]))).await;
    app.publish(&logout_of("3", json!([{ "token": foreign }]))).await;

    for (series, wanted) in [
        (r#"revocation_events_accepted_total{lane="interactive"}"#, 3.0),
        ("revocation_events_duplicate_total", 1.0),
        (r#"revocation_events_refused_total{code="not_json"}"#, 1.0),
        (r#"revocation_attempts_total{provider="main",outcome="revoked"}"#, 2.0),
        (r#"revocation_attempts_total{provider="main",outcome="transient"}"#, 2.0),
        (r#"revocation_probes_total{provider="main",result="accepted"}"#, 1.0),
        ("revocation_denial_seconds_count", 4.0),
        (r#"revocation_denial_seconds_bucket{le="+Inf"}"#, 4.0),
        ("revocation_revocation_seconds_count", 2.0),
        (r#"revocation_revocation_seconds_bucket{le="+Inf"}"#, 2.0),
        (r#"revocation_breaker{provider="main"}"#, 0.0),
        (r#"revocation_in_flight_targets{provider="main"}"#, 0.0),
        (r#"revocation_broker_up{side="consume"}"#, 1.0),
        (r#"revocation_broker_up{side="publish"}"#, 1.0),
        ("revocation_database_up", 1.0),
        (&format!(r#"revocation_build_info{{version="{}"}}"#, env!("CARGO_PKG_VERSION")), 1.0),
        (r#"revocation_backlog_targets{provider="main",lane="interactive",state="pending"}"#, 2.0),
    ] {
        wait_for_value(&worker, series, wanted).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_read_only_and_few() {
    let stage = Stage::new().await;
    let worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    let client = Client::new();
    let ask = async |method: Method, path: &str| {
        client.request(method, format!("{}{path}", worker.http)).body("x").send().await.unwrap()
    };

    for (path, body) in [("/healthz", "alive\n"), ("/readyz", "ready\n")] {
        let answer = ask(Method::GET, path).await;
        assert_eq!((answer.status(), answer.text().await.unwrap().as_str()), (StatusCode::OK, body));
    }
    let metrics = ask(Method::GET, "/metrics").await;
    assert_eq!(metrics.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(!metrics.text().await.unwrap().contains("# EOF"));
    let asked =
        client.get(format!("{}/metrics", worker.http)).header("accept", "application/openmetrics-text");
    let metrics = asked.send().await.unwrap();
    assert_eq!(
        metrics.headers()["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(metrics.text().await.unwrap().ends_with("# EOF\n"));
    for path in ["/healthz", "/readyz", "/metrics"] {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert_eq!(
                ask(method.clone(), path).await.status(),
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {path}"
            );
        }
    }
    for path in ["/nothing", "/healthz/", "/metrics/../healthz/x", "/shutdown", "/debug", "/config", "/%00"] {
        for method in [Method::GET, Method::POST] {
            assert_eq!(ask(method, path).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
    assert_eq!(stage.count("revocation.events").await, 0);
    assert_eq!(worker.get("/readyz").await, "ready\n", "and it goes on");
}

/// `/readyz` says what is missing, one line each, and comes back; `/healthz` stays.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_the_topology() {
    let stage = Stage::new().await;
    let worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    let operator = Operator::of(&stage).await;
    let queue = "revocation.mass".into();
    operator.channel().queue_delete(queue, Default::default()).await.unwrap();
    eventually("the worker declares the queue again and is ready", async || {
        let ready = worker.get("/readyz").await == "ready\n";
        (ready && operator.queues().await.contains(&"revocation.mass".to_owned())).then_some(())
    })
    .await;
    assert_eq!(worker.get("/healthz").await, "alive\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_comes_about_once_a_second() {
    let stage = Stage::alone().await;
    let _worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    let feed = Feed::listen(&stage.amqp_url).await;
    let beats = async |count: usize| {
        eventually("heartbeats", async || (feed.heartbeats() >= count).then(Instant::now)).await
    };
    let first = beats(1).await;
    let took = beats(6).await - first;
    assert!((4.0..7.0).contains(&took.as_secs_f64()), "five heartbeats took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_again_changes_nothing_however_it_says_it() {
    let (stage, (idp, memory)) = (Stage::new().await, provider().await);
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let (app, operator, other) =
        (App::connect(&stage.amqp_url).await, Operator::of(&stage).await, canary_token());
    let first = logout("1", &canary_token(), &canary_token());
    app.publish(&first).await;
    stage
        .wait_for_count(
            2,
            "audit.revocations WHERE state = 'revoked' AND confirmed_at IS NOT NULL AND \
        denied_at IS NOT NULL",
        )
        .await;
    let everything =
        "SELECT jsonb_build_array((SELECT jsonb_agg(t ORDER BY ordinal) FROM revocation.targets \
        t), (SELECT jsonb_agg(e) FROM revocation.events e),
                          (SELECT jsonb_agg(a ORDER BY a) FROM revocation.attempts a), (SELECT count(*) FROM \
                          revocation.rejected_events))";
    let before = stage.rows(everything).await;

    app.publish(&first).await;
    let mut reworded = first.clone();
    reworded["data"]["reason"] = "another".into();
    app.publish(&reworded).await;

    wait_for_value(&worker, "revocation_events_duplicate_total", 2.0).await;
    assert_eq!(stage.rows(everything).await, before);
    assert!(!memory.is_revoked(&other), "no second call");
    assert_eq!(idp.ledger().len(), 2);
    assert_eq!(operator.ready("revocation.dead").await, 0);
    app.publish(&{
        let mut elsewhere = logout("1", &other, &other);
        elsewhere["source"] = "/apps/other".into();
        elsewhere
    })
    .await;
    stage.wait_for_count(3, "audit.revocations WHERE state = 'revoked'").await;
    assert!(worker.stop().await.success());
    assert_eq!(operator.ready("revocation.logout").await, 0, "each was acknowledged");
}

fn sign_out(id: &str, not_before: &str) -> Value {
    let mut event = logout_of(id, json!([{ "sub": "user-1" }]));
    event["data"]["not_before"] = not_before.into();
    event
}

/// The worker publishes each cutoff as it is; that the latest wins is for whoever applies them, in any order.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_cutoff_that_comes_later_withdraws_nothing() {
    let (stage, (idp, _memory)) = (Stage::new().await, provider().await);
    let _worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let (app, feed) = (App::connect(&stage.amqp_url).await, Feed::listen(&stage.amqp_url).await);
    for (id, not_before) in [("late", "2026-11-20T22:00:00Z"), ("early", "2026-11-20T20:00:00Z")] {
        app.publish(&sign_out(id, not_before)).await;
        let seen = feed.wait_for(Phase::Requested, id).await;
        let [Entry::Subject { not_before: cutoff, expires_at, .. }] = &seen.data.targets[..] else {
            panic!("one subject")
        };
        assert_eq!(
            cutoff.unix_timestamp(),
            time::OffsetDateTime::parse(not_before, &time::format_description::well_known::Rfc3339)
                .unwrap()
                .unix_timestamp()
        );
        assert!(
            *expires_at > time::OffsetDateTime::now_utc(),
            "the denial holds as long as a token issued before it may live"
        );
    }
    stage
        .wait_for_count(
            2,
            "audit.revocations WHERE target_kind = 'subject' AND sub = 'user-1' AND denied_at IS NOT NULL",
        )
        .await;
    let cutoffs =
        stage.text("SELECT max(not_before)::text FROM audit.revocations WHERE sub = 'user-1'").await.unwrap();
    assert_eq!(cutoffs, "2026-11-20 22:00:00+00");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_members_are_ignored() {
    let (stage, (idp, memory)) = (Stage::new().await, provider().await);
    let _worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let (access, refresh) = (canary_token(), canary_token());
    let mut event = logout("1", &access, &refresh);
    for place in ["", "/data", "/data/targets/0"] {
        let members = event.pointer_mut(place).unwrap().as_object_mut().unwrap();
        members.insert("newer".to_owned(), json!({ "deep": [1, null, { "token": 7 }] }));
        members.insert("Token".to_owned(), json!(false));
    }
    App::connect(&stage.amqp_url).await.publish(&event).await;
    stage.wait_for_count(2, "audit.revocations WHERE state = 'revoked'").await;
    assert!(memory.is_revoked(&access) && memory.is_revoked(&refresh));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_targets_go_out_in_two_messages_a_phase() {
    let (stage, (idp, _memory)) = (Stage::new().await, provider().await);
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let (app, feed) = (App::connect(&stage.amqp_url).await, Feed::listen(&stage.amqp_url).await);
    let targets: Vec<_> = (0..1000).map(|_| json!({ "token": canary_token() })).collect();
    for _delivered_twice in 0..2 {
        app.publish(&logout_of("1", json!(targets))).await;
    }

    stage
        .wait_for_count(1000, "audit.revocations WHERE state = 'revoked' AND confirmed_at IS NOT NULL")
        .await;
    assert_eq!((feed.digests(Phase::Requested).len(), feed.digests(Phase::Confirmed).len()), (1000, 1000));
    let sizes: Vec<_> = feed
        .seen()
        .iter()
        .filter(|seen| seen.data.phase == Phase::Requested)
        .map(|seen| seen.data.targets.len())
        .collect();
    assert!(sizes.len() >= 2 && sizes.iter().all(|size| *size == 500), "{sizes:?}");
    assert!(feed.seen().iter().all(|seen| seen.data.targets.len() <= 500));
    assert_eq!(idp.ledger().len(), 1000, "each once");
    assert!(worker.stop().await.success());
}
