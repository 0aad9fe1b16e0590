//! Clients who dawdle at the gate keep out no proxy.

use std::time::Duration;

use crate::gate::Gate;
use crate::harness::{Dawdle, Stage, ask_once};

/// Answers take milliseconds. The rest is a machine with busy cores and a build without optimization, which
/// renders metrics for 300 clients, 200 times each: a turn among them waits behind that.
const SOON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_proxys_question_is_answered_beside_any_crowd() {
    let stage = Stage::new().await;
    let _worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    let gate = Gate::start(&stage, "fail_open");
    gate.wait_for_readiness(200, "ready").await;
    let mut crowds = Vec::new();
    for dawdle in Dawdle::ALL {
        crowds.push(dawdle.crowd(&gate.address, 300).await);
        for (path, status) in [("/check", 401), ("/healthz", 200), ("/readyz", 200), ("/metrics", 200)] {
            assert_eq!(ask_once(&gate.address, path, SOON).await, Some(status), "{path} beside {dawdle:?}");
        }
    }
    gate.stop().await;
}
