//! Withheld until a second person approves: nothing is denied, nothing is called, everything is on record;
//! then all of it, cutoffs first.

use std::time::{Duration, Instant};

use rand::Rng;
use revocation_worker::invalidation::{Entry, Phase};

use crate::harness::{App, Chance, Feed, Worker, eventually};
use crate::scene::{A_CLIENT, LEAK, Scene, all_denied, targets, tokens};

/// How soon denials follow an approval.
const SOON: Duration = Duration::from_secs(1);

/// The invalidations of the incident so far.
fn published(feed: &Feed) -> usize {
    feed.seen().iter().filter(|seen| seen.data.incident.is_some()).count()
}

/// So many targets are on record and acknowledged, and nothing has happened to them.
async fn waits(scene: &Scene, feed: &Feed, worker: &Worker, targets: usize) {
    scene.wait_for(targets, "state = 'pending' AND attempts = 0").await;
    let calls = scene.provider.count();
    worker.wait_for_log("incident waits for a second person's approval").await;
    let loud = "revocation_incidents_awaiting_approval";
    eventually("the metric tells", async || (worker.metric(loud).await == 1.0).then_some(())).await;
    scene.passes_a_logout(feed, "meanwhile").await;
    assert_eq!(published(feed), 0, "nothing is published");
    assert_eq!(scene.provider.count(), calls + 2, "the logout's calls alone");
    assert_eq!(scene.row().await["state"], "awaiting_approval");
    let refused = scene.approved_by_alice().await;
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("a second person must approve"), "{}", refused.stderr);
}

/// Bob approves; everything is denied and revoked after that. Returns how soon it was denied.
async fn runs_once_approved(scene: &Scene, feed: &Feed, tokens: &[String]) -> Duration {
    let calls = scene.provider.count();
    scene.steer("approve", &[]);
    let approved = Instant::now();
    let denied = all_denied_of_incident(feed, tokens).await;
    scene.wait_for(tokens.len(), "state = 'revoked'").await;
    let first = scene.provider.calls()[calls].at;
    assert!(first > denied, "{:?} before the last denial, the provider is called", denied - first);
    scene.ends("finished").await;
    denied.saturating_duration_since(approved)
}

async fn all_denied_of_incident(feed: &Feed, tokens: &[String]) -> Instant {
    let of_incident = || {
        feed.seen()
            .into_iter()
            .filter(|seen| seen.data.incident.is_some() && seen.data.phase == Phase::Requested)
    };
    let count = || {
        of_incident()
            .flat_map(|seen| seen.data.targets)
            .filter(|entry| matches!(entry, Entry::Token { .. }))
            .count()
    };
    eventually("every token is denied", async || (count() >= tokens.len()).then_some(())).await;
    of_incident().map(|seen| seen.at).max().expect("denials")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_waits_and_is_denied_before_the_tokens() {
    let (scene, tokens) = (Scene::alone(Duration::from_millis(5)).await, tokens(300));
    let [worker, _other] = scene.workers().await;
    let feed = Feed::listen(&scene.stage.amqp_url).await;
    scene.open_with(&tokens, A_CLIENT);
    waits(&scene, &feed, &worker, 301).await;
    let took = runs_once_approved(&scene, &feed, &tokens).await;
    assert!(took < SOON, "denied {took:?} after the approval");
    let requested = feed
        .seen()
        .into_iter()
        .filter(|seen| seen.data.incident.is_some() && seen.data.phase == Phase::Requested);
    let kinds: Vec<_> = requested
        .flat_map(|seen| seen.data.targets)
        .map(|entry| matches!(entry, Entry::Client { .. }))
        .collect();
    assert!(kinds[0] && kinds[1..].iter().all(|is_client| !is_client), "the client first");
    assert_eq!(
        scene.count("target_kind = 'client' AND state = 'unsupported' AND denied_at IS NOT NULL").await,
        1
    );
    eventually("nothing waits any more", async || {
        (worker.metric("revocation_incidents_awaiting_approval").await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_declares_too_many_targets_waits() {
    let (scene, tokens) = (Scene::new(Duration::from_millis(5)).await.approval_above(249), tokens(250));
    let [worker] = scene.workers().await;
    let feed = Feed::listen(&scene.stage.amqp_url).await;
    scene.open(&tokens);
    waits(&scene, &feed, &worker, 250).await;
    runs_once_approved(&scene, &feed, &tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_of_too_many_targets_waits_though_it_declares_nothing() {
    let (scene, tokens) = (Scene::new(Duration::from_millis(5)).await.approval_above(249), tokens(250));
    let [worker] = scene.workers().await;
    let (feed, app) = (Feed::listen(&scene.stage.amqp_url).await, App::connect(&scene.stage.amqp_url).await);
    scene.publish(&app, "1", targets(&tokens)).await;
    waits(&scene, &feed, &worker, 250).await;
    runs_once_approved(&scene, &feed, &tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fuse_counts_over_events_and_workers() {
    let (scene, tokens) = (Scene::new(Duration::from_millis(5)).await.approval_above(100), tokens(300));
    let workers: [Worker; 2] = scene.workers().await;
    let (feed, app) = (Feed::listen(&scene.stage.amqp_url).await, App::connect(&scene.stage.amqp_url).await);
    let (first, rest) = tokens.split_at(100);
    scene.publish(&app, "1", targets(first)).await;
    scene.wait_for(100, "state = 'revoked' AND denied_at IS NOT NULL").await;
    for (id, some) in rest.chunks(50).enumerate() {
        scene.publish(&app, &format!("more-{id}"), targets(some)).await;
        scene.wait_for(100 + 50 * (id + 1), "true").await;
    }
    eventually("it stops", async || (scene.row().await["state"] == "awaiting_approval").then_some(())).await;
    scene.passes_a_logout(&feed, "meanwhile").await;
    assert_eq!(scene.provider.count(), 102, "100 that one person may order, and a logout");
    assert_eq!(scene.count("state = 'revoked'").await, 100);
    // Denials are not undone, and do not wait for Postgres: what reached the other worker before it had
    // looked may be denied.
    let undenied = scene.count("denied_at IS NULL AND state = 'pending' AND attempts = 0").await;
    assert!([150, 200].contains(&undenied), "{undenied} wait");
    for worker in &workers {
        worker.wait_for_log("incident waits for a second person's approval").await;
    }
    runs_once_approved_for_the_rest(&scene, &feed, &tokens).await;
}

async fn runs_once_approved_for_the_rest(scene: &Scene, feed: &Feed, tokens: &[String]) {
    scene.steer("approve", &[]);
    all_denied_of_incident(feed, tokens).await;
    scene.wait_for(tokens.len(), "state = 'revoked'").await;
    scene.ends("finished").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_before_its_approval_was_never_denied_or_called() {
    let (scene, tokens) = (Scene::new(Duration::from_millis(5)).await, tokens(300));
    let [worker] = scene.workers().await;
    let feed = Feed::listen(&scene.stage.amqp_url).await;
    scene.open_with(&tokens, A_CLIENT);
    waits(&scene, &feed, &worker, 301).await;
    scene.steer("cancel", &["--reason", "a mistake"]);
    let row = scene.ends("cancelled").await;
    assert_eq!((&row["cancelled"], &row["denied"]), (&301.into(), &0.into()), "{row}");
    scene.passes_a_logout(&feed, "afterwards").await;
    assert_eq!((published(&feed), scene.provider.count()), (0, 4), "two logouts alone");
    assert_eq!(scene.incident("bob", &["approve", LEAK]).code, 1, "it stays cancelled");
    // The same order again is refused: nothing would come of it.
    let again = scene.order(&tokens, A_CLIENT);
    assert_eq!(again.code, 1, "{}{}", again.stdout, again.stderr);
    scene.passes_a_logout(&feed, "at the end").await;
    assert_eq!((published(&feed), scene.provider.count()), (0, 6));
}

/// `KILLS=10` for more.
fn rounds() -> usize {
    std::env::var("KILLS").ok().and_then(|number| number.parse().ok()).unwrap_or(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_denial_is_published_though_workers_are_killed_after_the_approval() {
    let mut chance = Chance::new();
    for round in 0..rounds() {
        let (scene, tokens) = (Scene::new(Duration::from_millis(2)).await, tokens(24_000));
        let mut workers: [Worker; 3] = scene.workers().await;
        let feed = Feed::listen(&scene.stage.amqp_url).await;
        scene.open_with(&tokens, A_CLIENT);
        scene.wait_for(24_001, "state = 'pending'").await;
        scene.steer("approve", &[]);
        // Of 121 events; the workers take 60 of them at first.
        let seen = chance.gen_range(1..=50);
        eventually("some is denied", async || (published(&feed) >= seen || round % 3 == 2).then_some(()))
            .await;
        for worker in &mut workers {
            worker.kill();
        }
        let on_record = scene.count("denied_at IS NOT NULL").await;
        assert!(on_record < 24_001, "it was killed in the middle: {on_record}");
        scene.stage.queues_are_empty().await;
        let _heirs: [Worker; 3] = scene.workers().await;
        all_denied(&feed, &tokens).await;
        scene.wait_for(24_001, "denied_at IS NOT NULL").await;
        // What is not revoked by now is given up, if anything is left.
        let given_up = scene.incident("bob", &["cancel", LEAK, "--reason", "this test has seen enough"]);
        scene.ends(if given_up.code == 0 { "cancelled" } else { "finished" }).await;
    }
}
