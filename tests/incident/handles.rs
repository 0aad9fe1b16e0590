//! The handles, on two replicas: pause, resume, throttle, cancel, retry.

use std::time::{Duration, Instant};

use revocation_worker::invalidation::Phase;

use crate::harness::{Feed, Worker, eventually};
use crate::provider::{Provider, busiest_second};
use crate::scene::{Scene, all_denied, digest, digests, tokens};
use crate::scripted_idp::Reply;

/// What commands promise: an order is effective on all workers within this.
const EFFECTIVE: Duration = Duration::from_secs(2);

/// Two workers with eight slots each at a provider that takes 20 ms: some 600 calls a second.
async fn under_way(targets: usize) -> (Scene, [Worker; 2], Vec<String>) {
    let scene = Scene::alone(Duration::from_millis(20)).await.slots(8).approval_above(targets);
    let (workers, tokens) = (scene.workers().await, tokens(targets));
    scene.open(&tokens);
    scene.wait_for(targets, "true").await;
    eventually("it is under way", async || (scene.provider.count() > 200).then_some(())).await;
    (scene, workers, tokens)
}

async fn passed(what: &str, since: Instant, time: Duration) {
    eventually(what, async || (since.elapsed() >= time).then_some(())).await;
}

fn calls_between(provider: &Provider, from: Instant, to: Instant) -> usize {
    provider.times_since(from).into_iter().filter(|at| *at < to).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_stops_the_calls_and_hands_back_what_is_in_memory() {
    let (scene, _workers, tokens) = under_way(4000).await;
    scene.steer("pause", &[]);
    let paused = Instant::now();
    scene.stage.wait_for_count(0, "revocation.targets WHERE lease_owner IS NOT NULL").await;
    assert!(paused.elapsed() < EFFECTIVE, "targets were held {:?} after it", paused.elapsed());
    assert_eq!(
        scene.count("state = 'pending' AND attempts > 0").await,
        0,
        "those handed back spent no attempt"
    );
    passed("more time passes than the order had", paused, EFFECTIVE * 2).await;
    let left = scene.count("state = 'pending'").await;
    assert!(left > 1500, "it was stopped in the middle: {left} left");
    scene.steer("resume", &[]);
    let resumed = Instant::now();
    assert_eq!(calls_between(&scene.provider, paused + EFFECTIVE, resumed), 0, "calls while it is paused");
    scene.wait_for(tokens.len(), "state = 'revoked' AND attempts = 1").await;
    scene.ends("finished").await;
    scene.every_call_is_on_record().await;
    assert_eq!(scene.provider.count(), tokens.len(), "one call a token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttle_holds_over_both_workers_from_the_start() {
    let (scene, _workers, _tokens) = under_way(6000).await;
    scene.steer("throttle", &["--rate", "20"]);
    let set = Instant::now();
    passed("the throttle is on for a while", set, Duration::from_secs(5)).await;
    let times = scene.provider.times_since(set + EFFECTIVE / 2);
    let (busiest, most) = (busiest_second(&times), scene.provider.most(20, set));
    assert!(busiest <= most, "{busiest} calls in one second at a throttle of 20; {most} are explained");
    assert!(times.len() >= 50, "it goes on: {} calls in 4 s", times.len());

    // A low throttle leaves nothing behind that a higher one would wait for.
    scene.steer("throttle", &["--rate", "1"]);
    passed("it is slow for a while", Instant::now(), EFFECTIVE).await;
    scene.steer("throttle", &["--rate", "100"]);
    let raised = Instant::now();
    eventually("the throttle is raised", async || {
        (scene.provider.times_since(raised).len() >= 100).then_some(())
    })
    .await;
    assert!(raised.elapsed() < 2 * EFFECTIVE, "raised after {:?}", raised.elapsed());

    scene.steer("throttle", &["--off"]);
    let off = Instant::now();
    eventually("the throttle is off", async || (scene.provider.times_since(off).len() >= 500).then_some(()))
        .await;
    assert!(off.elapsed() < 3 * EFFECTIVE, "off after {:?}", off.elapsed());

    // Throttled, it pauses and is cancelled as fast as any.
    scene.steer("throttle", &["--rate", "2"]);
    passed("the throttle is on for a while", Instant::now(), EFFECTIVE).await;
    scene.steer("pause", &[]);
    let paused = Instant::now();
    scene.stage.wait_for_count(0, "revocation.targets WHERE lease_owner IS NOT NULL").await;
    assert!(paused.elapsed() < EFFECTIVE, "targets were held {:?} after it", paused.elapsed());
    scene.steer("cancel", &["--reason", "this test has seen enough"]);
    scene.ends("cancelled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_gives_up_the_rest_and_takes_no_denial_back() {
    let scene = Scene::new(Duration::from_millis(20)).await.slots(8);
    let _workers: [Worker; 2] = scene.workers().await;
    let (feed, tokens) = (Feed::listen(&scene.stage.amqp_url).await, tokens(4000));
    scene.open(&tokens);
    all_denied(&feed, &tokens).await;
    scene.wait_for(tokens.len(), "denied_at IS NOT NULL").await;
    eventually("it is under way", async || (scene.provider.count() > 200).then_some(())).await;
    scene.steer("cancel", &["--reason", "a mistake"]);
    let cancelled = Instant::now();
    let row = scene.ends("cancelled").await;
    let number = |member: &str| row[member].as_u64().expect("a number") as usize;
    assert_eq!(number("revoked") + number("cancelled"), tokens.len(), "{row}");
    assert_eq!((number("targets_received"), number("denied")), (tokens.len(), tokens.len()), "{row}");
    assert!(number("cancelled") > 1000, "it was cancelled in the middle: {row}");
    assert_eq!(scene.provider.times_since(cancelled + EFFECTIVE).len(), 0);
    assert_eq!(
        scene.stage.count("revocation.targets WHERE sealed IS NOT NULL").await,
        0,
        "nothing is left that could be opened"
    );
    assert_eq!(feed.digests(Phase::Requested), digests(&tokens), "what is denied stays denied");
    assert_eq!(scene.provider.count(), number("revoked"), "one call for each that was revoked");
    scene.every_call_is_on_record().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_targets_keep_it_open_until_they_are_retried() {
    let scene = Scene::new(Duration::from_millis(5)).await;
    let (_workers, tokens): ([Worker; 2], _) = (scene.workers().await, tokens(200));
    let refused: Vec<_> = tokens[..30].to_vec();
    scene.provider.turns(move |call| {
        refused.contains(&call.token).then(|| Reply::json(400, r#"{"error":"invalid_request"}"#))
    });
    scene.open(&tokens);
    scene.wait_for(170, "state = 'revoked'").await;
    scene.wait_for(30, "state = 'parked'").await;
    scene.counts_add_up().await;
    assert!(scene.row().await["finished_at"].is_null(), "it is not done");
    scene.provider.recovers();
    scene.steer("retry", &[]);
    scene.wait_for(200, "state = 'revoked'").await;
    scene.ends("finished").await;
    let calls = scene.provider.by_token();
    assert!(tokens[..30].iter().all(|token| calls[token] == 2), "each was called again once");
    assert_eq!(scene.count(&format!("token_sha256 = '{}' AND attempts = 2", digest(&tokens[0]))).await, 1);
    scene.every_call_is_on_record().await;
}
