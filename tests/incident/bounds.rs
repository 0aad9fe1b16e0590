//! However large an incident is, what claims look through, and what a worker holds, stays small.

use std::time::{Duration, Instant};

use crate::harness::{Worker, eventually};
use crate::scene::{Scene, tokens};

/// Most targets of mass revocations that one worker has in memory for one provider.
const WINDOW: i64 = 1024;
/// Rows that claims look through.
const HOT: &str = "revocation.targets WHERE NOT waiting AND finished_at IS NULL";

/// `TARGETS=200000` for more.
fn size() -> usize {
    std::env::var("TARGETS").ok().and_then(|number| number.parse().ok()).unwrap_or(20_000)
}

/// Resident memory of a process, bytes (statm of proc_pid_statm(5), in pages of 4 KiB).
fn memory(worker: &Worker) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{}/statm", worker.pid())).expect("read");
    4096 * pages.split(' ').nth(1).and_then(|number| number.parse::<u64>().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "a measuring test shows its figures")]
async fn the_hot_index_and_memory_hold_a_window_of_it() {
    let scene = Scene::new(Duration::from_millis(200)).await.slots(8);
    let scene = scene.approval_above(1_000_000);
    let [worker] = scene.workers().await;
    let (tokens, before) = (tokens(size()), memory(&worker));
    scene.open(&tokens);
    let began = Instant::now();
    let (mut hottest, mut largest) = (0, 0);
    eventually("all of it is on record, and work goes on", async || {
        hottest = hottest.max(scene.stage.count(HOT).await);
        largest = largest.max(memory(&worker));
        let calls = scene.provider.count();
        (scene.row().await["targets_received"] == tokens.len() && calls > 300).then_some(())
    })
    .await;
    println!(
        "{} targets on record after {:?}; {hottest} hot rows, memory {} to {} MiB",
        tokens.len(),
        began.elapsed(),
        before >> 20,
        largest >> 20
    );
    assert!(hottest <= WINDOW, "{hottest} hot rows");
    assert!(hottest >= 8, "work was taken on: {hottest}");
    assert!(largest < before + (100 << 20), "memory grew from {before} to {largest} bytes");
    scene.steer("cancel", &["--reason", "this test has seen enough"]);
    scene.ends("cancelled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retried_targets_come_before_fresh_ones_and_do_not_pile_up() {
    let scene = Scene::new(Duration::from_millis(5)).await;
    let (_workers, tokens): ([Worker; 2], _) = (scene.workers().await, tokens(4000));
    // Every third call fails, so that the provider is never left alone.
    let calls = std::sync::atomic::AtomicUsize::new(0);
    scene.provider.turns(move |_| {
        calls
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst)
            .is_multiple_of(3)
            .then(|| crate::scripted_idp::Reply::status(503))
    });
    scene.open(&tokens);
    let mut hottest = 0;
    eventually("it is through", async || {
        hottest = hottest.max(scene.stage.count(&format!("{HOT} AND failures = 0")).await);
        (scene.count("state = 'revoked'").await == tokens.len()).then_some(())
    })
    .await;
    assert!(hottest <= 2 * WINDOW, "{hottest} untried targets in the hot index");
    scene.ends("finished").await;
    scene.every_call_is_on_record().await;
    assert_eq!(
        scene.stage.count("audit.attempts").await as usize,
        scene.provider.count(),
        "each call is an attempt on record"
    );
}
