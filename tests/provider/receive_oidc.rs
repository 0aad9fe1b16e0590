//! A logout at a real authorization server, npm's `oidc-provider`, which tells `receive`: it ends in refusal
//! at a service that verifies the server's tokens locally.

use revocation_sandbox::OidcProvider;
use revocation_verifier::{Denylist, Options, StalenessPolicy, TokenView};

use crate::harness::{Stage, eventually, free_port};

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_at_a_real_server_is_refused_at_a_verifier() {
    let (stage, port) = (Stage::new().await, free_port());
    let address = port.address();
    let logout_uri = format!("http://{address}/backchannel-logout/op");
    let oidc = tokio::task::spawn_blocking(move || OidcProvider::start_telling(&logout_uri));
    let oidc = oidc.await.expect("no panic").expect("start oidc-provider");
    let worker = stage.worker_at(&oidc);
    // Its keys are found by its issuer alone.
    let receiver = worker
        .clone()
        .set("REVOCATION__RECEIVE__SENDERS__OP__ISSUER", oidc.issuer())
        .set("REVOCATION__RECEIVE__SENDERS__OP__CLIENT_ID", oidc.client_id());
    let _worker = worker.start().await;
    let _receiver = receiver.receive(&address).await;
    let options = Options::new(&stage.amqp_url, "shop-api", StalenessPolicy::FailClosed);
    let denylist = Denylist::connect(options).expect("options");
    let (leaving, staying) = (oidc.issue_jwt("user-1").await, oidc.issue_jwt("user-2").await);
    let [leaving, staying] = [leaving, staying].map(|tokens| tokens.expect("tokens").access);
    let accepts =
        |token: &revocation_sandbox::Token| denylist.check(&TokenView::bearer(token.expose())).is_accepted();
    eventually("the verifier accepts both", async || (accepts(&leaving) && accepts(&staying)).then_some(()))
        .await;
    assert!(oidc.end("user-1").await.expect("an answer"), "the receiver took the logout token");
    eventually("the verifier refuses who has left", async || (!accepts(&leaving)).then_some(())).await;
    assert!(accepts(&staying), "nobody else is refused");
    // This server has no call for a user: verifiers alone keep the token out, and the record says so.
    let denied = "audit.revocations WHERE sub = 'user-1' AND denied_at IS NOT NULL AND state = 'unsupported'";
    stage.wait_for_count(1, denied).await;
}
