//! A provider's rate is the whole fleet's, whoever joins or dies; ordinary logouts come first, and an
//! incident is never starved.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::harness::{App, Logout, Worker, eventually};
use crate::provider::busiest_second;
use crate::scene::{Scene, tokens};

/// Requests a second: enough that a call more a worker, and the 50 ms that each may catch up, are within the
/// tenth.
const RATE: usize = 200;
/// What a call takes.
const CALL: Duration = Duration::from_millis(10);
/// A logout's call follows its event within this, whatever else waits.
const SHORT: Duration = Duration::from_secs(1);

async fn backlog(scene: Scene) -> (Scene, [Worker; 2]) {
    let scene = scene.set("REVOCATION__PROVIDERS__MAIN__RATE_PER_S", &RATE.to_string());
    let workers = scene.workers().await;
    scene.open(&tokens(4000));
    eventually("it is under way", async || (scene.provider.count() > RATE).then_some(())).await;
    (scene, workers)
}

async fn calls_after(scene: &Scene, more: usize) {
    let before = scene.provider.count();
    eventually(&format!("{more} more calls"), async || {
        (scene.provider.count() >= before + more).then_some(())
    })
    .await;
}

#[expect(clippy::print_stdout, reason = "a measuring test shows its figures")]
fn stays_within(scene: &Scene, since: Instant) {
    let times = scene.provider.times_since(since);
    let (busiest, most) = (busiest_second(&times), scene.provider.most(RATE, since));
    assert!(busiest <= most, "{busiest} calls in one second at a rate of {RATE}; {most} are explained");
    let seconds = (times[times.len() - 1] - times[0]).as_secs_f64();
    println!(
        "busiest second {busiest} of {most}, on average {:.1} of {RATE} a second over {seconds:.1} s",
        times.len() as f64 / seconds
    );
}

/// A thousand targets wait in each worker for a provider that takes them one by one: what is cancelled waits
/// no more.
async fn ends_at_once(scene: &Scene) {
    let cancelled = Instant::now();
    scene.steer("cancel", &["--reason", "this test has seen enough"]);
    scene.ends("cancelled").await;
    assert!(
        cancelled.elapsed() < Duration::from_secs(10),
        "ended {:?} after the cancellation",
        cancelled.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "a measuring test shows its figures")]
async fn the_rate_holds_while_one_joins_and_one_is_killed() {
    let began = Instant::now();
    let (scene, [mut first, _second]) = backlog(Scene::new(CALL).await).await;
    let _third: [Worker; 1] = scene.workers().await;
    calls_after(&scene, 2 * RATE).await;
    first.kill();
    let killed = Instant::now();
    calls_after(&scene, 5 * RATE).await;
    println!("{} calls took {:?} after the death of one of three", 5 * RATE, killed.elapsed());
    stays_within(&scene, began);
    ends_at_once(&scene).await;
    scene.every_call_is_on_record().await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "a measuring test shows its figures")]
async fn logouts_pass_a_backlog_and_do_not_starve_it() {
    let began = Instant::now();
    let (scene, _workers) = backlog(Scene::alone(CALL).await).await;
    let app = App::connect(&scene.stage.amqp_url).await;
    let mut waits = Vec::new();
    for logout in Logout::many(15) {
        app.publish(&logout.event()).await;
        let published = Instant::now();
        let called = eventually("both tokens are called", async || {
            let calls = scene.provider.calls();
            logout
                .tokens
                .iter()
                .map(|token| calls.iter().find(|call| call.token == *token).map(|call| call.at))
                .collect::<Option<Vec<_>>>()
        });
        waits.push(called.await.into_iter().max().expect("two") - published);
    }
    waits.sort_unstable();
    println!(
        "logouts waited {:?} in the middle, {:?} at most",
        waits[waits.len() / 2],
        waits[waits.len() - 1]
    );
    assert!(waits[waits.len() - 2] < SHORT, "logouts waited for the backlog: {waits:?}");

    let stream: Vec<_> = Logout::many(300)
        .into_iter()
        .map(|logout| Logout { id: format!("stream-{}", logout.id), ..logout })
        .collect();
    let before = scene.provider.count();
    for logout in &stream {
        app.publish(&logout.event()).await;
    }
    let ordinary: HashSet<_> = stream.iter().flat_map(|logout| &logout.tokens).cloned().collect();
    eventually("the stream is through", async || {
        (scene.provider.calls()[before..].iter().filter(|call| ordinary.contains(&call.token)).count() >= 400)
            .then_some(())
    })
    .await;
    let calls = scene.provider.calls().split_off(before);
    let of_incident = calls.iter().filter(|call| !ordinary.contains(&call.token)).count();
    println!("beside {} calls of logouts the incident had {of_incident}", calls.len() - of_incident);
    assert!(of_incident * 12 >= calls.len(), "the incident had {of_incident} of {} calls", calls.len());
    assert!(
        of_incident * 3 <= calls.len(),
        "logouts come first: the incident had {of_incident} of {} calls",
        calls.len()
    );
    stays_within(&scene, began);
    ends_at_once(&scene).await;
}
