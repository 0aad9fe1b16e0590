//! A deployment that is new: verifiers and workers start in any order, and nothing is there yet.

use std::time::{Duration, Instant};

use revocation_verifier::{Denylist, StalenessPolicy};
use revocation_worker::invalidation::BEATS_STREAM;

use crate::harness::{Stage, eventually};
use crate::source::{Source, verifier};

const SOON: Duration = Duration::from_secs(3);

/// What is there while the verifier waits for the first worker.
#[derive(Clone, Copy, Debug)]
enum There {
    Nothing,
    EmptyStreams,
    /// As older workers leave it.
    NoHeartbeats,
}

async fn prepare(stage: &Stage, there: There) {
    match there {
        There::Nothing => {}
        There::EmptyStreams => Source::attach(&stage.amqp_url).await.declare_by_default().await,
        There::NoHeartbeats => {
            assert!(stage.worker("http://127.0.0.1:9/revoke").start().await.stop().await.success());
            Source::attach(&stage.amqp_url).await.delete(BEATS_STREAM).await;
        }
    }
}

async fn is_fresh_soon(denylist: &Denylist, there: There) {
    let begun = Instant::now();
    eventually("it is up to date", async || denylist.staleness().is_none().then_some(())).await;
    assert!(begun.elapsed() < SOON, "{there:?}: after {:?}", begun.elapsed());
    assert_eq!(denylist.figures().truncations, 0, "{there:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_the_first_worker_is_up_to_date_soon_after_it() {
    for there in [There::Nothing, There::EmptyStreams, There::NoHeartbeats] {
        let stage = Stage::alone().await;
        prepare(&stage, there).await;
        let waits = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
        match there {
            There::Nothing => {
                eventually("it has tried often", async || (waits.figures().disconnects >= 7).then_some(()))
                    .await
            }
            There::EmptyStreams | There::NoHeartbeats => waits.ready().await,
        }
        let _worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
        is_fresh_soon(&waits, there).await;
        is_fresh_soon(&verifier(&stage.amqp_url, StalenessPolicy::FailClosed), there).await;
    }
}
