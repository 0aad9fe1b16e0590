//! More logouts than memory has room for: leased ahead of it, and each still called for once, whatever
//! becomes of the worker or the provider meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{App, Stage, Worker, canary_token, eventually, logout_of};
use crate::scripted_idp::{Reply, ScriptedIdp};

const EVENTS: usize = 200;
const TOKENS: usize = 50;
const ALL: i64 = (EVENTS * TOKENS) as i64;
/// Of one user's logouts memory takes no more.
const IN_MEMORY: i64 = 6144;
const LEASED: &str = "revocation.targets WHERE lease_owner IS NOT NULL";
const REVOKED: &str = "audit.revocations WHERE state = 'revoked'";

fn event(number: usize) -> Value {
    let targets: Vec<_> = (0..TOKENS)
        .map(|n| {
            let hint = if n % 2 == 0 { "access_token" } else { "refresh_token" };
            json!({ "token": canary_token(), "token_type_hint": hint })
        })
        .collect();
    logout_of(&format!("e-{number}"), targets.into())
}

/// A provider that is known to answer within milliseconds, one call after the other, and a worker that has
/// leased more targets than it has in memory.
struct Scene {
    stage: Stage,
    idp: ScriptedIdp,
    status: Arc<AtomicU16>,
    worker: Worker,
}

impl Scene {
    async fn set() -> Self {
        let (stage, status) = (Stage::new().await, Arc::new(AtomicU16::new(200)));
        // It takes its time while logouts arrive, so that they arrive faster than they are revoked.
        let (answer, is_slow) = (status.clone(), Arc::new(AtomicBool::new(false)));
        let takes_time = is_slow.clone();
        let idp = ScriptedIdp::start(move |_| {
            let reply = Reply::status(answer.load(Ordering::Relaxed));
            if takes_time.load(Ordering::Relaxed) {
                reply.body("{}").slowly(Duration::from_millis(1))
            } else {
                reply
            }
        });
        let idp = idp.await;
        let setup = stage.worker(&format!("{}/revoke", idp.url()));
        let worker = setup.set("REVOCATION__PROVIDERS__MAIN__CONCURRENCY", "1").start().await;
        let app = App::connect(&stage.amqp_url).await;
        app.publish(&logout_of("first", json!([{ "token": canary_token() }]))).await;
        stage.wait_for_count(1, REVOKED).await;
        is_slow.store(true, Ordering::Relaxed);
        for number in 0..EVENTS {
            app.publish(&event(number)).await;
        }
        eventually("more is leased than fits into memory", async || {
            (stage.count(LEASED).await > IN_MEMORY).then_some(())
        })
        .await;
        stage.wait_for_count(ALL + 1, "revocation.targets").await;
        is_slow.store(false, Ordering::Relaxed);
        Self { stage, idp, status, worker }
    }

    /// Another worker, with slots enough, does the rest.
    async fn finish(&self) {
        let _other = self.stage.worker(&format!("{}/revoke", self.idp.url())).start().await;
        self.stage.wait_for_count(ALL + 1, REVOKED).await;
        self.stage.wait_for_count(0, LEASED).await;
    }

    /// How often each token was sent.
    fn calls(&self) -> HashMap<String, usize> {
        let mut calls = HashMap::new();
        for request in self.idp.ledger() {
            *calls.entry(request.field("token").expect("a token")).or_default() += 1;
        }
        calls
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_hands_back_what_it_leased_ahead_at_no_cost() {
    let mut scene = Scene::set().await;
    assert!(scene.worker.stop().await.success(), "{}", scene.worker.log());
    let untouched = "revocation.targets WHERE state = 'pending' AND lease_owner IS NULL AND attempts = 0";
    let revoked = scene.stage.count(REVOKED).await;
    assert_eq!(scene.stage.count(untouched).await, ALL + 1 - revoked);
    scene.finish().await;
    let calls = scene.calls();
    assert_eq!((calls.len() as i64, calls.values().max()), (ALL + 1, Some(&1)));
    assert_eq!(scene.stage.count("audit.revocations WHERE attempts <> 1").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_had_leased_ahead_is_taken_over() {
    let mut scene = Scene::set().await;
    scene.worker.kill();
    scene.finish().await;
    assert_eq!(scene.calls().len() as i64, ALL + 1);
    assert!(scene.calls().into_values().all(|calls| calls <= 2), "again only what was under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_leased_ahead_at_a_provider_that_fails() {
    let scene = Scene::set().await;
    scene.status.store(503, Ordering::Relaxed);
    // A probe may be under way.
    eventually("it is handed back", async || (scene.stage.count(LEASED).await <= 1).then_some(())).await;
    scene.status.store(200, Ordering::Relaxed);
    scene.finish().await;
    assert_eq!(scene.calls().len() as i64, ALL + 1);
}

/// As memory gets room, what was leased ahead is read back: one write of each row, where a claim makes two.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_leased_ahead_is_revoked_in_turn_by_one_write_each() {
    let scene = Scene::set().await;
    scene.stage.wait_for_count(ALL + 1, REVOKED).await;
    let calls = scene.calls();
    assert_eq!((calls.len() as i64, calls.values().max()), (ALL + 1, Some(&1)));
    let written =
        "SELECT n_tup_upd::text FROM pg_stat_user_tables WHERE relid = 'revocation.targets'::regclass";
    eventually("the statistics are there", async || {
        let updates: i64 = scene.stage.text(written).await?.parse().ok()?;
        (updates > ALL).then_some(updates)
    })
    .await;
    let updates: i64 = scene.stage.text(written).await.expect("a count").parse().expect("a number");
    assert!(updates < ALL + (ALL - IN_MEMORY), "{updates} updates of {ALL} targets");
}
