//! Several workers on one queue, and workers that are told to stop.

use std::time::{Duration, Instant};

use crate::harness::{App, Logout, Stage, eventually};
use crate::scripted_idp::{Memory, Reply, Request, ScriptedIdp};

/// The lease of the harness's workers and what the contract adds to it.
const TAKEOVER: Duration = Duration::from_secs(3 + 5);

/// Remembers like a server that takes `delay` a request.
fn slow(memory: &Memory, delay: Duration) -> impl Fn(&Request) -> Reply + Send + Sync + use<> {
    let memory = memory.clone();
    move |request| memory.answer(request).body("+").slowly(delay)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_drain_one_queue_and_the_death_of_one_leaves_nothing_behind() {
    let (stage, memory, logouts) = (Stage::new().await, Memory::default(), Logout::many(300));
    let idp = ScriptedIdp::start(slow(&memory, Duration::from_millis(40))).await;
    let setup =
        stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__PROVIDERS__MAIN__CONCURRENCY", "4");
    let (mut dying, mut heir) = (setup.start().await, setup.start().await);
    let app = App::connect(&stage.amqp_url).await;
    for logout in &logouts {
        app.publish(&logout.event()).await;
    }
    eventually("both are at work", async || (idp.ledger().len() >= 100).then_some(())).await;
    let shares = stage.count("(SELECT accepted_by FROM revocation.events GROUP BY accepted_by) s").await;
    assert_eq!(shares, 2, "both took events");
    dying.kill();
    assert!(stage.count("revocation.targets WHERE lease_owner = 1").await > 0, "it dies with work in hand");
    let took = stage.time_until(0, "revocation.targets WHERE lease_owner = 1").await;
    assert!(took <= TAKEOVER, "taken over after {took:?}");
    stage.all_revoked(&logouts, &memory).await;
    assert!(heir.stop().await.success());
    stage.queues_are_empty().await;
    assert_eq!(stage.count("audit.workers").await, 0, "both have ended");
}

/// Renewals of a long lease are far apart.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_is_told_as_it_is_and_not_as_it_was() {
    let (stage, memory, logouts) = (Stage::new().await, Memory::default(), Logout::many(40));
    let idp = ScriptedIdp::start(slow(&memory, Duration::from_millis(100))).await;
    let setup =
        stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__PROVIDERS__MAIN__CONCURRENCY", "2");
    let _worker = setup.set("REVOCATION__LEASE", "10min").start().await;
    let app = App::connect(&stage.amqp_url).await;
    for logout in &logouts {
        app.publish(&logout.event()).await;
    }
    stage.wait_for_count(1, "audit.workers WHERE in_flight > 10").await;
    stage.all_revoked(&logouts, &memory).await;
    stage.wait_for_count(1, "audit.workers WHERE in_flight = 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_hands_back_what_it_has_not_begun_at_no_cost() {
    let (stage, memory, logouts) = (Stage::new().await, Memory::default(), Logout::many(60));
    let idp = ScriptedIdp::start(slow(&memory, Duration::from_millis(200))).await;
    let setup =
        stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__PROVIDERS__MAIN__CONCURRENCY", "2");
    let mut stopping = setup.start().await;
    let app = App::connect(&stage.amqp_url).await;
    for logout in &logouts {
        app.publish(&logout.event()).await;
    }
    eventually("it is at work", async || (idp.ledger().len() >= 5).then_some(())).await;
    let began = Instant::now();
    assert!(stopping.stop().await.success(), "exit code 0");
    assert!(began.elapsed() < Duration::from_secs(10), "within shutdown_grace, took {:?}", began.elapsed());

    let calls = idp.ledger().len() as i64;
    assert_eq!(
        stage.count("audit.attempts WHERE outcome = 'revoked'").await,
        calls,
        "every call is on record with its answer"
    );
    assert_eq!(stage.count("audit.attempts").await, calls, "and nothing else");
    assert_eq!(
        stage.count("revocation.targets WHERE state = 'pending' AND attempts = 0 AND due_at <= now()").await,
        { stage.count("revocation.targets").await - calls }
    );
    assert!(calls < 60, "it did not simply finish");
    assert_eq!(stage.count("revocation.targets WHERE lease_owner IS NOT NULL").await, 0);
    assert_eq!(stage.count("audit.workers").await, 0, "it has signed off");

    let mut next = setup.set("REVOCATION__PROVIDERS__MAIN__CONCURRENCY", "32").start().await;
    stage.all_revoked(&logouts, &memory).await;
    assert_eq!(stage.count("audit.revocations WHERE attempts <> 1").await, 0, "nothing was tried twice");
    assert!(next.stop().await.success());
    stage.queues_are_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let (stage, logouts) = (Stage::alone().await, Logout::many(1));
    let idp = ScriptedIdp::start(|_| Reply::hang()).await;
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    App::connect(&stage.amqp_url).await.publish(&logouts[0].event()).await;
    eventually("a call is under way", async || (!idp.ledger().is_empty()).then_some(())).await;
    worker.signal("TERM");
    worker.wait_for_log("stopping: finishing what is in flight").await;
    let began = Instant::now();
    assert_eq!(worker.stop().await.code(), Some(128 + 15));
    assert!(began.elapsed() < Duration::from_secs(2), "took {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_workers_stop_cleanly_every_time() {
    let stage = Stage::new().await;
    let setup = stage.worker("http://127.0.0.1:9/revoke");
    for _ in 0..8 {
        let mut worker = setup.start().await;
        let status = worker.stop().await;
        assert!(status.success(), "{status}:\n{}", worker.log());
    }
}
