//! The receiver and the broker die between a request and its answer: what was answered with success is on
//! record exactly once.

use std::os::unix::process::ExitStatusExt;

use revocation_worker::failpoint;

use crate::harness::{Issuer, Servers, Setup, Stage, Worker, eventually};

const LOGOUTS: usize = 6;

/// Sends a token again and again until it is taken, as senders do that retry.
async fn sent(issuer: &Issuer, token: &str) {
    eventually("the token is taken", async || {
        let status = issuer.send(token).await.ok()?.status();
        assert!(status == 200 || status == 503, "{status}");
        (status == 200).then_some(())
    })
    .await;
}

/// Has the receiver die at `place` with a token in hand; its heir takes over.
async fn died_at(place: &str, token: &str, setup: &Setup, issuer: &Issuer) -> Worker {
    let mut doomed = setup.clone().set("KILL_AT", place).receive(&issuer.address).await;
    let unanswered = issuer.send(token).await;
    assert!(unanswered.is_err(), "{place}");
    assert_eq!(doomed.ended().await.signal(), Some(9), "killed at {place}");
    setup.receive(&issuer.address).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_token_that_was_taken_is_on_record_exactly_once() {
    let servers = Servers::private().await;
    let (stage, issuer) = (Stage::on(&servers).await, Issuer::start().await);
    let worker = stage.worker("http://127.0.0.1:9/revoke");
    // What is asked for again and again while the broker starts is an order each time.
    let receiver =
        issuer.known_to(worker.clone()).set("REVOCATION__RECEIVE__SENDERS__OP__ORDERS_PER_MINUTE", "1000000");
    let _worker = worker.start().await;
    servers.settle_streams();
    let token = |jti: &str| issuer.logout_token(jti, &format!("user-{jti}"));
    for place in failpoint::RECEIVER_NAMES {
        let doomed = token(place);
        let _heir = died_at(&format!("{place}:1"), &doomed, &receiver, &issuer).await;
        sent(&issuer, &doomed).await;
        sent(&issuer, &token(&format!("after-{place}"))).await;
    }
    let receiver = receiver.receive(&issuer.address).await;
    let away = token("away");
    for number in 0..LOGOUTS {
        if number == LOGOUTS / 2 {
            servers.broker(|broker| broker.kill());
            receiver.wait_for_readiness(503).await;
            assert_eq!(issuer.send(&away).await.expect("an answer").status(), 503);
            servers.broker(|broker| broker.restart().expect("start the broker again"));
        }
        sent(&issuer, &token(&format!("n-{number}"))).await;
    }
    sent(&issuer, &away).await;
    let wanted = i64::try_from(LOGOUTS + 5).expect("a few");
    stage.wait_for_count(wanted, "audit.revocations").await;
    stage.wait_for_count(wanted, "(SELECT DISTINCT event_id FROM audit.revocations) AS events").await;
    assert_eq!(receiver.readiness().await, Some(200));
}
