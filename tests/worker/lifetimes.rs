//! Tokens whose time is over, and those whose lifetime nobody knows.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use revocation_worker::invalidation::Phase;
use serde_json::{Value, json};

use crate::harness::{App, Feed, Stage, logout_of};
use crate::provider_faults::{Patient, publish_twice, single};
use crate::scripted_idp::Reply;

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_denied_and_not_sent() {
    let (stage, patient) = (Stage::new().await, Patient::new(|_| Reply::status(200)).await);
    let _worker = patient.worker(&stage).start().await;
    let feed = Feed::listen(&stage.amqp_url).await;
    let part = |claims: Value| BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    let token = format!(
        "{}.{}.c2ln",
        part(json!({ "alg": "RS256" })),
        part(json!({ "exp": 1_700_000_000, "sub": "user-1" }))
    );
    publish_twice(&App::connect(&stage.amqp_url).await, &logout_of("old", json!([{ "token": token }]))).await;
    stage
        .wait_for_count(
            1,
            "audit.revocations WHERE state = 'expired' AND denied_at IS NOT NULL AND attempts = 0",
        )
        .await;
    feed.wait_for(Phase::Requested, "old").await;
    assert_eq!(patient.calls(), 0);
    stage.is_whole(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_is_parked_when_its_budget_ends_and_swept_again() {
    let (stage, patient) = (Stage::new().await, Patient::new(|_| Reply::status(503)).await);
    let setup = patient
        .worker(&stage)
        .set("REVOCATION__RETRY__GIVE_UP_AFTER", "1s")
        .set("REVOCATION__RETRY__RESWEEP_EVERY", "1s");
    let _worker = setup.start().await;
    publish_twice(&App::connect(&stage.amqp_url).await, &single("opaque")).await;
    stage.wait_for_count(1, "audit.revocations WHERE state = 'parked' AND last_outcome = 'transient'").await;
    let calls = patient.calls();
    patient.wait_for_calls(calls + 1).await;
    patient.mend();
    stage.wait_for_count(1, "audit.revocations WHERE state = 'revoked' AND confirmed_at IS NOT NULL").await;
    stage.is_whole(1).await;
}
