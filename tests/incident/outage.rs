//! The provider fails in the middle of an incident: few calls until it is left alone, probes alone while it
//! is, a gentle start afterwards.

use std::time::{Duration, Instant};

use crate::harness::{Worker, eventually};
use crate::provider::busiest_second;
use crate::scene::{Scene, tokens};
use crate::scripted_idp::Reply;

/// A few dozen calls until the breakers of two workers open: each after 20 failures in a row, and whatever
/// was under way; a success that was, too, begins a new row.
const UNTIL_OPEN: usize = 100;

/// Requests a second of the fleet.
const RATE: usize = 300;

async fn fails_in_the_middle(ill: impl Fn() -> Reply + Send + 'static) {
    let scene = Scene::new(Duration::from_millis(20)).await.slots(8);
    let scene = scene.set("REVOCATION__PROVIDERS__MAIN__RATE_PER_S", &RATE.to_string());
    let (_workers, tokens): ([Worker; 2], _) = (scene.workers().await, tokens(2000));
    scene.open(&tokens);
    eventually("it is under way", async || (scene.provider.count() > 500).then_some(())).await;

    scene.provider.turns(move |_| Some(ill()));
    let began = Instant::now();
    eventually("both leave it alone", async || {
        (scene.stage.count("revocation.provider_status WHERE breaker <> 'closed'").await == 2).then_some(())
    })
    .await;
    let until_open = scene.provider.times_since(began).len();
    assert!(until_open <= UNTIL_OPEN, "{until_open} calls until the breakers opened");
    eventually("it is probed", async || {
        (scene.provider.times_since(began).len() >= until_open + 2).then_some(())
    })
    .await;
    let (took, probes) = (began.elapsed(), scene.provider.times_since(began).len() - until_open);
    // 2 s after the opening, a quarter early at the most, by each worker.
    assert!(took > Duration::from_millis(1500), "a probe within {took:?}");
    assert!(probes <= 4, "{probes} probes within {took:?}");
    scene.stage.wait_for_count(0, "revocation.targets WHERE lease_owner IS NOT NULL").await;
    assert_eq!(scene.count("state = 'parked'").await, 0, "nothing needs a person");
    let counted = scene.stage.count("revocation.targets WHERE failures > 0").await as usize;
    assert!(counted <= until_open, "failures were counted of {counted} targets; those of an outage are not");

    scene.provider.recovers();
    let recovered = Instant::now();
    eventually("it goes on", async || (scene.provider.times_since(recovered).len() >= 600).then_some(()))
        .await;
    let times = scene.provider.times_since(recovered);
    let first_second = times.iter().filter(|at| **at < times[0] + Duration::from_secs(1)).count();
    // Six slots for mass revocations at 20 ms would make a worker's 150 at its part of the rate; within the
    // first second of ten it opens one.
    assert!(first_second <= 110, "{first_second} calls in the first second");
    assert!(
        busiest_second(&times) > first_second,
        "it grows: {} then {}",
        first_second,
        busiest_second(&times)
    );
    scene.wait_for(tokens.len(), "state = 'revoked'").await;
    let (busiest, most) =
        (busiest_second(&scene.provider.times_since(began)), scene.provider.most(RATE, began));
    assert!(busiest <= most, "{busiest} calls in one second at a rate of {RATE}; {most} are explained");
    scene.ends("finished").await;
    scene.every_call_is_on_record().await;
    assert_eq!(
        scene.stage.count("audit.attempts").await as usize,
        scene.provider.count(),
        "each call is an attempt on record"
    );
    assert_eq!(scene.count("state <> 'revoked'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_answers_500_is_left_alone_and_nothing_is_lost() {
    fails_in_the_middle(|| Reply::status(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_up_is_left_alone_and_nothing_is_lost() {
    fails_in_the_middle(Reply::close).await;
}

/// The credentials of an administrator are refused: that pauses what takes them, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn refused_administrators_pause_users_and_no_tokens() {
    const SLOTS: usize = 8;
    let scene = Scene::new(Duration::ZERO).await.slots(SLOTS).at_okta();
    let _workers: [Worker; 2] = scene.workers().await;
    scene.provider.turns(|call| Some(Reply::status(if call.token.is_empty() { 401 } else { 200 })));
    let tokens = tokens(1000);
    let users: String = (0..300).map(|number| format!("{{\"sub\":\"user-{number}\"}}\n")).collect();
    scene.open_with(&tokens, &users);
    scene.wait_for(tokens.len(), "state = 'revoked'").await;
    let refused = scene.provider.calls().iter().filter(|call| call.token.is_empty()).count();
    assert!((1..=4 * SLOTS).contains(&refused), "{refused} calls with refused credentials");
    assert_eq!(
        scene
            .stage
            .count("revocation.targets WHERE kind = 'subject' AND (state <> 'pending' OR failures > 0)")
            .await,
        0
    );

    scene.provider.turns(|_| Some(Reply::status(204)));
    scene.wait_for(tokens.len() + 300, "state = 'revoked'").await;
    scene.ends("finished").await;
}
