//! What a proof is worth, at two real authorization servers, npm's `oidc-provider` and Authlib's: no
//! `revoked` without a success, no `verified` without two looks. Each test runs at both.

use std::sync::OnceLock;

use revocation_sandbox::OidcProvider;
use revocation_sandbox::Token;
use serde_json::{Value, json};

use crate::harness::{App, Setup, Stage, logout_of};

/// The servers that all tests share.
fn servers() -> [&'static OidcProvider; 2] {
    static SHARED: OnceLock<[OidcProvider; 2]> = OnceLock::new();
    let start = || {
        [OidcProvider::start(), OidcProvider::authlib()]
            .map(|server| server.expect("start an authorization server"))
    };
    SHARED.get_or_init(start).each_ref()
}

/// A worker that finds the endpoints by the issuer and asks for proofs.
fn verifying(stage: &Stage, oidc: &OidcProvider) -> Setup {
    stage
        .worker_at(oidc)
        .set("REVOCATION__PROVIDERS__MAIN__REVOCATION_ENDPOINT", "")
        .set("REVOCATION__PROVIDERS__MAIN__ISSUER", oidc.issuer())
        .set("REVOCATION__PROVIDERS__MAIN__VERIFY", "introspect")
        // Of Basic credentials Authlib decodes nothing, which RFC 6749 section 2.3.1 wants.
        .set("REVOCATION__PROVIDERS__MAIN__CLIENT_AUTH", "client_secret_post")
}

fn event(id: &str, token: &Token) -> Value {
    logout_of(id, json!([{ "token": token.expose(), "token_type_hint": "access_token" }]))
}

/// Logs the token out, waits for its end, and gives the `proof` on record.
async fn proof(stage: &Stage, id: &str, token: &Token, state: &str) -> Option<String> {
    App::connect(&stage.amqp_url).await.publish(&event(id, token)).await;
    let row = format!("audit.revocations WHERE event_id = '{id}' AND state = '{state}'");
    stage.wait_for_count(1, &row).await;
    stage.text(&format!("SELECT proof FROM {row}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_token_of_ours_is_verified_and_a_dead_one_is_not() {
    for oidc in servers() {
        let stage = Stage::new().await;
        let _worker = verifying(&stage, oidc).start().await;
        let token = oidc.issue("user").await.expect("issue tokens").access;
        assert_eq!(proof(&stage, "alive", &token, "revoked").await.as_deref(), Some("verified"));
        assert!(!oidc.introspect(&token).await.expect("introspect"));
        // Another event of the same token: it is dead already, and no look can prove who killed it.
        assert_eq!(proof(&stage, "dead", &token, "revoked").await.as_deref(), Some("accepted"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_string_is_never_verified() {
    for oidc in servers() {
        let stage = Stage::new().await;
        let _worker = verifying(&stage, oidc).start().await;
        let random = Token::new(crate::harness::canary_token());
        assert_eq!(proof(&stage, "random", &random, "revoked").await.as_deref(), Some("accepted"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_client_is_never_verified_and_pauses_nobody() {
    for oidc in servers() {
        let stage = Stage::new().await;
        let _worker = verifying(&stage, oidc).start().await;
        let foreign = oidc.issue_to_other("user").await.expect("issue tokens").access;
        App::connect(&stage.amqp_url).await.publish(&event("foreign", &foreign)).await;
        // One says 400 to it, the other 200.
        stage
            .wait_for_count(1, "audit.revocations WHERE event_id = 'foreign' AND last_outcome IS NOT NULL")
            .await;
        assert!(oidc.introspect_as_other(&foreign).await.expect("introspect"), "it lives on");
        assert_eq!(stage.count("audit.revocations WHERE proof = 'verified'").await, 0);
        let token = oidc.issue("user").await.expect("issue tokens").access;
        assert_eq!(proof(&stage, "ours", &token, "revoked").await.as_deref(), Some("verified"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_pauses_and_parks_nothing() {
    for oidc in servers() {
        let stage = Stage::new().await;
        let mut wrong =
            verifying(&stage, oidc).set("REVOCATION__PROVIDERS__MAIN__CLIENT_SECRET", "wrong").start().await;
        let token = oidc.issue("user").await.expect("issue tokens").access;
        App::connect(&stage.amqp_url).await.publish(&event("paused", &token)).await;
        stage
            .wait_for_count(
                1,
                "audit.providers WHERE provider = 'main' AND breaker = 'open' AND last_error IS NOT NULL",
            )
            .await;
        assert_eq!(stage.count("audit.revocations WHERE state = 'pending'").await, 1);
        assert_eq!(stage.count("revocation.targets WHERE failures > 0").await, 0);
        assert!(oidc.introspect(&token).await.expect("introspect"));
        assert!(wrong.stop().await.success());

        let _mended = verifying(&stage, oidc).start().await;
        stage.wait_for_count(1, "audit.revocations WHERE state = 'revoked' AND proof = 'verified'").await;
    }
}
