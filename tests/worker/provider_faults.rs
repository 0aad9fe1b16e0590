//! The provider fails in every way of the contract: what is tried again, what waits, what needs a person.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use revocation_worker::config::{DatabaseConfig, Secret};
use revocation_worker::invalidation::{Entry, Phase};
use revocation_worker::store::{RetryScope, Store};
use serde_json::{Value, json};

use crate::harness::{App, Feed, Logout, Setup, Stage, canary_token, eventually, logout_of};
use crate::scripted_idp::{Memory, Reply, Request, ScriptedIdp};

/// A provider that misbehaves until it is mended, and from then on remembers.
pub(crate) struct Patient {
    idp: ScriptedIdp,
    memory: Memory,
    mended: Arc<AtomicBool>,
}

impl Patient {
    pub(crate) async fn new(ill: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let (memory, mended) = (Memory::default(), Arc::new(AtomicBool::new(false)));
        let (remembering, healthy) = (memory.clone(), mended.clone());
        let idp = ScriptedIdp::start(move |request| match healthy.load(Ordering::SeqCst) {
            true => remembering.answer(request),
            false => ill(request),
        });
        Self { idp: idp.await, memory, mended }
    }

    pub(crate) fn mend(&self) {
        self.mended.store(true, Ordering::SeqCst);
    }

    pub(crate) fn worker(&self, stage: &Stage) -> Setup {
        stage.worker(&format!("{}/revoke", self.idp.url()))
    }

    pub(crate) fn calls(&self) -> usize {
        self.idp.ledger().len()
    }

    pub(crate) async fn wait_for_calls(&self, calls: usize) {
        eventually(&format!("{calls} calls"), async || (self.calls() >= calls).then_some(())).await;
    }
}

/// An access token alone.
pub(crate) fn single(id: &str) -> Value {
    logout_of(id, json!([{ "token": canary_token(), "token_type_hint": "access_token" }]))
}

/// Every event is delivered twice.
pub(crate) async fn publish_twice(app: &App, event: &Value) {
    app.publish(event).await;
    app.publish(event).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_503_is_tried_again_until_it_works() {
    let (stage, memory, calls) = (Stage::new().await, Memory::default(), AtomicUsize::new(0));
    let idp = {
        let memory = memory.clone();
        ScriptedIdp::start(move |request| match calls.fetch_add(1, Ordering::SeqCst) {
            0..4 => Reply::status(503),
            _ => memory.answer(request),
        })
        .await
    };
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let (app, logouts) = (App::connect(&stage.amqp_url).await, Logout::many(3));
    for logout in &logouts {
        publish_twice(&app, &logout.event()).await;
    }
    stage.all_revoked(&logouts, &memory).await;
    assert_eq!(stage.count("audit.attempts WHERE outcome = 'transient' AND http_status = 503").await, 4);
    assert_eq!(stage.count("audit.attempts").await, idp.ledger().len() as i64, "every call is on record");
    assert!(worker.stop().await.success());
    stage.queues_are_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_is_waited_for_in_full_by_every_target_of_the_provider() {
    let (stage, memory, times) = (Stage::new().await, Memory::default(), Arc::new(Mutex::new(Vec::new())));
    let idp = {
        let (memory, times) = (memory.clone(), times.clone());
        ScriptedIdp::start(move |request| {
            let mut times = times.lock().expect("no panic");
            times.push(Instant::now());
            match times.len() {
                1 => Reply::status(429).header("Retry-After", "2"),
                _ => memory.answer(request),
            }
        })
        .await
    };
    let _worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let app = App::connect(&stage.amqp_url).await;
    publish_twice(&app, &single("throttled")).await;
    stage.wait_for_count(1, "audit.attempts WHERE http_status = 429 AND retry_after_ms = 2000").await;
    let logouts = Logout::many(5);
    for logout in &logouts {
        publish_twice(&app, &logout.event()).await;
    }
    stage.wait_for_count(11, "audit.revocations WHERE state = 'revoked'").await;
    let times = times.lock().expect("no panic").clone();
    assert_eq!(times.len(), 12, "one call a target, and the one that was throttled");
    let early = times[1..].iter().filter(|time| **time < times[0] + Duration::from_secs(2)).count();
    assert_eq!(early, 0, "calls before the time that the provider named");
    assert_eq!(
        stage.count("audit.revocations WHERE attempts > 1").await,
        1,
        "those held back spent no attempt"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "a second try on a busy machine is told")]
async fn denial_does_not_wait_for_a_hanging_provider() {
    let stage = Stage::alone().await;
    let mut p99 = p99_of_denial(&stage, "first").await;
    if p99 >= Duration::from_millis(100) {
        println!("p99 was {p99:?}; once more, in case that the machine was busy");
        p99 = p99_of_denial(&stage, "second").await;
    }
    assert!(p99 < Duration::from_millis(100), "p99 from publish to denial is {p99:?}");
}

/// Publishes 100 events at 100 a second while the provider hangs.
#[expect(clippy::print_stdout, reason = "a measuring test shows its figures")]
async fn p99_of_denial(stage: &Stage, round: &str) -> Duration {
    let idp = ScriptedIdp::start(|_| Reply::hang()).await;
    let setup = stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__LOG__LEVEL", "info");
    let _worker = setup.set("REVOCATION__PROVIDERS__MAIN__TIMEOUT", "500ms").start().await;
    let (feed, app) = (Feed::listen(&stage.amqp_url).await, App::connect(&stage.amqp_url).await);
    let mut published = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    for number in 0..100 {
        ticks.tick().await;
        let id = format!("{round}-{number}");
        let event = single(&id);
        published.push((id, Instant::now()));
        app.publish(&event).await;
    }
    let mut took = Vec::new();
    for (id, at) in published {
        took.push(feed.wait_for(Phase::Requested, &id).await.at - at);
    }
    took.sort_unstable();
    assert!(!idp.ledger().is_empty(), "the provider was called");
    assert_eq!(stage.count("audit.revocations WHERE state = 'revoked'").await, 0, "and has answered nothing");
    println!(
        "publish to denial, ms: p50 {}, p99 {}, max {}",
        took[50].as_millis(),
        took[98].as_millis(),
        took[99].as_millis()
    );
    took[98]
}

/// A provider that a person must mend is left alone but for probes; its targets wait, and go on when it
/// answers.
async fn is_paused(ill: impl Fn(&Request) -> Reply + Send + Sync + 'static, status: u16) {
    let (stage, patient) = (Stage::new().await, Patient::new(ill).await);
    let _worker = patient.worker(&stage).start().await;
    let (app, logouts) = (App::connect(&stage.amqp_url).await, Logout::many(10));
    publish_twice(&app, &logouts[0].event()).await;
    stage.wait_for_count(1, "audit.providers WHERE breaker = 'open'").await;
    let before = patient.calls();
    for logout in &logouts[1..] {
        publish_twice(&app, &logout.event()).await;
    }
    patient.wait_for_calls(before + 1).await;
    stage.wait_for_count(20, "audit.revocations WHERE state = 'pending' AND denied_at IS NOT NULL").await;
    assert!(patient.calls() <= before + 2, "probes alone: {} calls", patient.calls() - before);
    stage.wait_for_count(0, "revocation.targets WHERE lease_owner IS NOT NULL").await;
    assert_eq!(stage.count("revocation.targets WHERE failures > 0").await, 0, "no failure is counted");
    let recorded = stage
        .count(&format!("audit.attempts WHERE outcome = 'misconfigured' AND http_status = {status}"))
        .await;
    assert_eq!(
        stage.count("audit.attempts").await,
        recorded,
        "calls alone are on record, all of them misconfigured"
    );
    assert!(
        stage.count("audit.revocations WHERE attempts = 0").await >= 16,
        "who was not called spent no attempt"
    );
    patient.mend();
    stage.all_revoked(&logouts, &patient.memory).await;
    stage.wait_for_count(1, "audit.providers WHERE breaker = 'closed'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_pauses_the_provider() {
    let elsewhere = ScriptedIdp::start(|_| Reply::status(200)).await;
    let location = format!("{}/revoke", elsewhere.url());
    is_paused(move |_| Reply::status(307).header("Location", location.clone()), 307).await;
    assert_eq!(elsewhere.ledger().len(), 0, "no token goes where a redirect points");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_pause_the_provider() {
    is_paused(|_| Reply::json(401, r#"{"error":"invalid_client"}"#), 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_type_that_the_provider_does_not_revoke_is_unsupported_and_denied() {
    let (stage, patient) = (
        Stage::new().await,
        Patient::new(|_| Reply::json(400, r#"{"error":"unsupported_token_type"}"#)).await,
    );
    let _worker = patient.worker(&stage).start().await;
    publish_twice(&App::connect(&stage.amqp_url).await, &Logout::many(1)[0].event()).await;
    stage
        .wait_for_count(
            2,
            "audit.revocations WHERE state = 'unsupported' AND denied_at IS NOT NULL AND \
        finished_at IS NOT NULL",
        )
        .await;
    assert_eq!(patient.calls(), 2, "one call a token");
    stage.is_whole(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_target_is_parked_until_an_operator_retries_it() {
    let (stage, patient) =
        (Stage::new().await, Patient::new(|_| Reply::json(400, r#"{"error":"invalid_request"}"#)).await);
    let _worker = patient.worker(&stage).start().await;
    let (app, logouts) = (App::connect(&stage.amqp_url).await, Logout::many(1));
    publish_twice(&app, &logouts[0].event()).await;
    stage
        .wait_for_count(
            2,
            "audit.revocations WHERE state = 'parked' AND denied_at IS NOT NULL AND \
            last_error LIKE '%invalid_request%'",
        )
        .await;
    assert_eq!(patient.calls(), 2, "no call is repeated by itself");
    patient.mend();
    let store =
        Store::new(&DatabaseConfig { url: Secret::new(stage.database_url.clone()), max_connections: 4 })
            .expect("a store");
    let due = store
        .retry("alice", &RetryScope::Provider("main".to_owned()), Duration::from_secs(60))
        .await
        .expect("retry");
    assert_eq!(due, 2);
    stage.all_revoked(&logouts, &patient.memory).await;
    assert_eq!(
        stage
            .count(
                "audit.operations WHERE actor = 'alice' AND action = 'retry' AND detail ->> 'targets' = '2'"
            )
            .await,
        1
    );
    let again = store
        .retry("alice", &RetryScope::Provider("main".to_owned()), Duration::from_secs(60))
        .await
        .expect("retry again");
    assert_eq!(again, 0, "what is final stays so");
}

#[tokio::test(flavor = "multi_thread")]
async fn introspection_verifies_and_contradicts() {
    let (stage, patient) = (
        Stage::new().await,
        Patient::new(|request| match request.path.as_str() {
            "/introspect" => Reply::json(200, r#"{"active":true}"#),
            _ => Reply::status(200),
        })
        .await,
    );
    let setup = patient.worker(&stage).set("REVOCATION__PROVIDERS__MAIN__VERIFY", "introspect");
    let endpoint = format!("{}/introspect", patient.idp.url());
    let _worker = setup.set("REVOCATION__PROVIDERS__MAIN__INTROSPECTION_ENDPOINT", &endpoint).start().await;
    let (app, logouts) = (App::connect(&stage.amqp_url).await, Logout::many(1));
    publish_twice(&app, &logouts[0].event()).await;
    stage
        .wait_for_count(
            2,
            "audit.revocations WHERE state = 'pending' AND proof = 'contradicted' AND attempts >= 2",
        )
        .await;
    patient.mend();
    stage.all_revoked(&logouts, &patient.memory).await;
    assert_eq!(stage.count("audit.revocations WHERE proof = 'verified'").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_subjects_and_sessions_are_denied_where_the_provider_has_no_call() {
    let (stage, patient) = (Stage::new().await, Patient::new(|_| Reply::status(200)).await);
    let _worker = patient.worker(&stage).start().await;
    let feed = Feed::listen(&stage.amqp_url).await;
    let event = logout_of("wide", json!([{ "sub": "user-1" }, { "sid": "session-1", "sub": "user-1" }]));
    publish_twice(&App::connect(&stage.amqp_url).await, &event).await;
    stage
        .wait_for_count(
            2,
            "audit.revocations WHERE state = 'unsupported' AND denied_at IS NOT NULL AND attempts = 0",
        )
        .await;
    let subject = |entry: &Entry| matches!(entry, Entry::Subject { sub, .. } if sub == "user-1");
    let session = |entry: &Entry| matches!(entry, Entry::Session { sid, .. } if sid == "session-1");
    eventually("both are denied", async || {
        let entries: Vec<_> = feed.seen().into_iter().flat_map(|seen| seen.data.targets).collect();
        (entries.iter().any(subject) && entries.iter().any(session)).then_some(())
    })
    .await;
    assert_eq!(patient.calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_provider_gets_probes_alone() {
    let (stage, patient) = (Stage::new().await, Patient::new(|_| Reply::close()).await);
    let _worker = patient.worker(&stage).start().await;
    let (app, logouts) = (App::connect(&stage.amqp_url).await, Logout::many(100));
    for logout in &logouts {
        app.publish(&logout.event()).await;
    }
    stage.wait_for_count(1, "audit.providers WHERE breaker = 'open'").await;
    stage.wait_for_count(0, "revocation.targets WHERE lease_owner IS NOT NULL").await;
    let opened = patient.calls();
    assert!(opened <= 20 + 32, "20 failures open it, with 32 calls at once: {opened} calls");
    let began = Instant::now();
    patient.wait_for_calls(opened + 2).await;
    assert!(began.elapsed() > Duration::from_secs(2), "probes space out: two within {:?}", began.elapsed());
    patient.mend();
    stage.all_revoked(&logouts, &patient.memory).await;
}
