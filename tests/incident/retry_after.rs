//! 429 with `Retry-After`: by the provider's own ledger, nobody comes back early.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::harness::{Worker, eventually};
use crate::scene::{Scene, tokens};
use crate::scripted_idp::Reply;

/// What it answers with, and how often it begins to.
const AFTER: Duration = Duration::from_secs(3);
const TIMES: usize = 1;
/// A worker that was not told itself knows it this much later, by way of Postgres.
const TOLD: Duration = Duration::from_secs(1);
const SLOTS: usize = 8;

/// When the provider began to ask for rest, and whom it sent away when.
#[derive(Default)]
struct Ledger {
    holds: Vec<Instant>,
    sent_away: HashMap<String, Instant>,
    early: usize,
    too_early: usize,
}

impl Ledger {
    /// Whether this call is refused.
    fn refuses(&mut self, token: &str, at: Instant, calls: usize) -> bool {
        if self.sent_away.get(token).is_some_and(|sent| at < *sent + AFTER) {
            self.too_early += 1;
        }
        let is_held = self.holds.last().is_some_and(|began| at < *began + AFTER);
        if is_held {
            self.early += 1;
        } else if self.holds.len() < TIMES && calls > 500 * (self.holds.len() + 1) {
            self.holds.push(at);
        } else {
            return false;
        }
        self.sent_away.insert(token.to_owned(), at);
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_worker_comes_back_before_the_time_that_one_of_them_was_told() {
    let scene = Scene::new(Duration::from_millis(20)).await.slots(SLOTS);
    let (_workers, tokens): ([Worker; 2], _) = (scene.workers().await, tokens(1500));
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    scene.provider.turns({
        let (ledger, calls) = (ledger.clone(), Mutex::new(0));
        move |call| {
            let mut calls = calls.lock().expect("no panic");
            *calls += 1;
            let refused = ledger.lock().expect("no panic").refuses(&call.token, call.at, *calls);
            refused.then(|| Reply::status(429).header("Retry-After", AFTER.as_secs().to_string()))
        }
    });
    scene.open(&tokens);
    scene.wait_for(tokens.len(), "state = 'revoked'").await;
    scene.ends("finished").await;
    scene.every_call_is_on_record().await;
    let ledger = ledger.lock().expect("no panic");
    assert_eq!(ledger.holds.len(), TIMES, "it asked for rest");
    assert_eq!(ledger.too_early, 0, "a token came again before its own time");
    assert!(ledger.early <= TIMES * 2 * SLOTS, "{} calls were under way when it asked", ledger.early);
    let late = |began: &Instant| {
        scene.provider.times_since(*began + TOLD).iter().filter(|at| **at < *began + AFTER).count()
    };
    assert_eq!(ledger.holds.iter().map(late).sum::<usize>(), 0, "calls while it rests");
}

/// The provider tells one worker, by the credentials that this one has, and refuses the other nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_worker_is_told_the_other_keeps_to() {
    let scene = Scene::new(Duration::from_millis(20)).await.slots(SLOTS);
    let told = scene.worker().clone().set("REVOCATION__PROVIDERS__MAIN__CLIENT_ID", "told").start().await;
    let _untold = scene.worker().start().await;
    let tokens = tokens(2000);
    scene.open(&tokens);
    eventually("both are at work", async || {
        let callers: HashSet<_> = scene.provider.calls().into_iter().map(|call| call.caller).collect();
        (callers.len() == 2 && scene.provider.count() > 300).then_some(())
    })
    .await;
    let asked = Arc::new(Mutex::new(None));
    let basic = format!("Basic {}", BASE64_STANDARD.encode("told:shop-secret-canary"));
    scene.provider.turns({
        let asked = asked.clone();
        move |call| {
            let mut asked = asked.lock().expect("no panic");
            (call.caller == basic && asked.get_or_insert(call.at).elapsed() < AFTER / 2)
                .then(|| Reply::status(429).header("Retry-After", AFTER.as_secs().to_string()))
        }
    });
    let began = eventually("one is told", async || *asked.lock().expect("no panic")).await;
    eventually("it goes on", async || {
        scene
            .provider
            .times_since(began + TOLD)
            .into_iter()
            .next()
            .map(|at| assert!(at >= began + AFTER, "{:?} early", began + AFTER - at))
    })
    .await;
    scene.wait_for(tokens.len(), "state = 'revoked'").await;
    scene.ends("finished").await;
    drop(told);
}
