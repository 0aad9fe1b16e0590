//! `provider`

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use sqlx::Executor;

use crate::harness::{App, Stage, Worker, canary_token, eventually, logout_of};
use crate::incident_record::{HOT, PARKED};
use crate::program::{command, run};
use crate::scripted_idp::{Memory, Reply, ScriptedIdp};

/// Two workers at a provider that answers its first `holds` calls with 429 and `retry_after`, and later ones
/// as it should.
struct Scene {
    stage: Stage,
    workers: [Worker; 2],
    memory: Memory,
    token: String,
    idp: ScriptedIdp,
}

impl Scene {
    async fn new(holds: usize, retry_after: String) -> Self {
        let (stage, memory, calls) = (Stage::new().await, Memory::default(), Arc::new(AtomicUsize::new(0)));
        let idp = {
            let memory = memory.clone();
            ScriptedIdp::start(move |request| match calls.fetch_add(1, Ordering::SeqCst) {
                call if call < holds => Reply::status(429).header("Retry-After", retry_after.clone()),
                _ => memory.answer(request),
            })
            .await
        };
        let setup =
            stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__RETRY__RETRY_AFTER_MAX", "6h");
        let workers = [setup.start().await, setup.start().await];
        Self { stage, workers, memory, token: canary_token(), idp }
    }

    fn provider(&self, arguments: &[&str]) -> Value {
        let ran =
            run(command(&self.stage).env("USER", "alice"), &[&["provider"], arguments, &["--json"]].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        ran.json()
    }

    /// Publishes a logout of one token and waits until all workers hold the provider back, as the database
    /// has it.
    async fn held(&self) {
        let targets = json!([{ "token": self.token, "token_type_hint": "access_token" }]);
        App::connect(&self.stage.amqp_url).await.publish(&logout_of("1", targets)).await;
        self.stage
            .wait_for_count(
                2,
                "revocation.provider_status WHERE held_until > now() + interval '30 minutes' \
                AND breaker = 'open'",
            )
            .await;
    }
    async fn revoked(&self) {
        self.stage.wait_for_count(1, "audit.revocations WHERE state = 'revoked'").await;
        assert!(self.memory.is_revoked(&self.token));
    }
}

/// Seconds, a date, and a number that no clock holds: what was asked for is on record, the bound is waited
/// for, and an operator ends it at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_of_hours_shows_and_ends_on_all_workers() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2 * 3600));
    for (retry_after, asked, hours) in [
        ("3600", "retry_after_ms = 3600000", 1),
        (date.as_str(), "retry_after_ms BETWEEN 7000000 AND 7200000", 2),
        ("9999999999999999999999", "retry_after_ms > 300000000000", 6),
    ] {
        let scene = Scene::new(1, retry_after.to_owned()).await;
        scene.held().await;
        assert!(scene.stage.count(&format!("audit.attempts WHERE {asked}")).await >= 1, "{retry_after}");
        let due = format!(
            "audit.revocations WHERE state = 'pending' AND next_attempt_at BETWEEN now() + interval '{hours} \
                h' - interval '5 min'
             AND now() + interval '{hours} h' + interval '11 min'"
        );
        scene.stage.wait_for_count(1, &due).await;
        let listed = scene.provider(&["list"])["providers"][0].clone();
        assert_eq!(
            (&listed["provider"], &listed["breaker"], &listed["waits_for"]),
            (&json!("main"), &json!("open"), &json!("its Retry-After to pass"))
        );
        assert_eq!(
            (&listed["pending"], listed["held_until"].is_string(), listed["waits_since"].is_string()),
            (&json!(1), true, true),
            "{listed}"
        );

        let resumed = scene.provider(&["resume", "main"]);
        assert_eq!(
            (&resumed["provider"], &resumed["due"], resumed["held_until"].is_string()),
            (&json!("main"), &json!(1), true),
            "{resumed}"
        );
        scene.revoked().await;
        scene
            .stage
            .wait_for_count(
                2,
                "revocation.provider_status WHERE held_until IS NULL AND order_no > 0 AND breaker = 'closed'",
            )
            .await;
        let shown = scene.provider(&["show", "main"]);
        assert_eq!(
            (&shown["waits_for"], &shown["held_until"], &shown["pending"]),
            (&json!("nothing"), &Value::Null, &json!(0))
        );
        assert_eq!(shown["workers"].as_array().map(Vec::len), Some(2));
        assert_eq!(
            (&shown["operations"][0]["actor"], &shown["operations"][0]["action"]),
            (&json!("alice"), &json!("resume"))
        );
        let on_record = "audit.operations WHERE actor = 'alice' AND action = 'provider_resume' AND \
            detail->>'provider' = 'main'
            AND detail->'due' = '1' AND detail->>'role' = session_user";
        assert_eq!(scene.stage.count(on_record).await, 1);
        let calls = scene
            .idp
            .ledger()
            .iter()
            .filter(|request| request.field("token").as_deref() == Some(&*scene.token))
            .count();
        assert_eq!(calls, 2, "the call that was sent away, and one more");
    }
}

/// It asks for hours again and again: each time one order is enough, and none of the workers takes an old
/// wait over from another.
#[tokio::test(flavor = "multi_thread")]
async fn an_ended_wait_does_not_come_back_and_a_new_one_counts() {
    let scene = Scene::new(3, "3600".to_owned()).await;
    scene.held().await;
    for order in 1..=2 {
        scene.provider(&["resume", "main"]);
        eventually("it is called once more, and asks again", async || {
            (scene.idp.ledger().len() == order + 1).then_some(())
        })
        .await;
        let again = format!(
            "revocation.provider_status WHERE held_until > now() + interval '30 minutes' AND order_no = \
                {order}"
        );
        scene.stage.wait_for_count(2, &again).await;
    }
    scene.provider(&["resume", "main"]);
    scene.revoked().await;
    scene
        .stage
        .wait_for_count(2, "revocation.provider_status WHERE held_until IS NULL AND order_no = 3")
        .await;
    for worker in &scene.workers {
        assert_eq!(worker.log().matches("an operator has the provider called again").count(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_there_is_named_and_who_waits_for_nothing_may_be_called() {
    let stage = Stage::new().await;
    let nobody = run(&mut command(&stage), &["provider", "list"]);
    assert_eq!((nobody.code, nobody.stdout.as_str()), (0, "no worker is running, and no target is open\n"));
    for arguments in [["resume", "main"], ["show", "main"]] {
        let ran = run(&mut command(&stage), &["provider", arguments[0], arguments[1]]);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
        assert!(ran.stderr.contains("provider main: no running worker has it"), "{}", ran.stderr);
    }
    for arguments in [vec!["resume"], vec!["show", ""], vec!["end", "main"]] {
        assert_eq!(run(&mut command(&stage), &[vec!["provider"], arguments].concat()).code, 2);
    }
    let _worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    stage.wait_for_count(1, "audit.providers WHERE provider = 'main'").await;
    let ran = run(&mut command(&stage), &["provider", "resume", "main"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout
            .starts_with("provider main: called again within 2 s, by all workers; its breaker was closed\n"),
        "{}",
        ran.stdout
    );
    let shown = run(&mut command(&stage), &["provider", "show", "main"]).stdout;
    assert!(
        shown.starts_with("provider main waits for nothing\nbreaker            closed\n")
            && shown.contains("\nworkers\n"),
        "{shown}"
    );
    let listed = run(&mut command(&stage), &["provider", "list"]).stdout;
    assert!(
        listed
            .lines()
            .next()
            .is_some_and(|head| head.trim_start().starts_with("provider  breaker  waits for")),
        "{listed}"
    );
    for change in
        ["UPDATE revocation.provider_orders SET actor = 'x'", "DELETE FROM revocation.provider_orders"]
    {
        assert!(stage.db.execute(change).await.is_err(), "{change}");
    }
}

/// Most of what waits for a provider is due already: it waits for nothing but the provider.
#[tokio::test(flavor = "multi_thread")]
async fn who_resumes_is_told_how_many_wait_and_when_they_go_on() {
    let stage = Stage::new().await;
    stage.incident("leak", "running").await;
    let event = stage.event("leak", 12).await;
    stage.change(event, 0..10, HOT).await;
    stage.change(event, 10..12, PARKED).await;
    let worker = "INSERT INTO revocation.workers (instance, version, lease_until) \
        VALUES ('pod-1', '0.1.0', now() + interval '1 hour')";
    stage.execute(worker).await;
    stage
        .execute(
            "INSERT INTO revocation.provider_status (worker_no, provider, breaker, calls_5m, failures_5m)
             SELECT worker_no, 'main', 'open', 20, 20 FROM revocation.workers",
        )
        .await;
    for (breaker, held, late, goes_on) in [
        (
            "open",
            "NULL",
            0,
            "once it has answered a probe, which is sent at once, unless their incident is paused\n",
        ),
        (
            "open",
            "now() + interval '1 hour'",
            3,
            "at once, unless their incident is paused; 3 of them before the time of the next attempt\n",
        ),
        (
            "closed",
            "NULL",
            10,
            "at once, unless their incident is paused; 10 of them before the time of the next attempt\n",
        ),
    ] {
        let set = format!(
            "UPDATE revocation.provider_status SET breaker = '{breaker}', held_until = {held}, \
                 order_no = 1000"
        );
        stage.execute(&set).await;
        let later = "due_at = now() + interval '1 hour'";
        stage.change(event, 0..late, later).await;
        let ran = run(&mut command(&stage), &["provider", "resume", "main"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        let said = format!("\npending: 10 targets; they go on {goes_on}");
        assert!(ran.stdout.contains(&said), "{said} in {}", ran.stdout);
        let parked =
            "parked, and not tried again by this: 2 targets: revocation-worker retry --provider main\n";
        assert!(ran.stdout.ends_with(parked), "{}", ran.stdout);
    }
    let json = run(&mut command(&stage), &["provider", "resume", "main", "--json"]).json();
    assert_eq!((&json["pending"], &json["parked"], &json["due"]), (&json!(10), &json!(2), &json!(0)));
}
