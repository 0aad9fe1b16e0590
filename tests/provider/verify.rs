//! `verify = "introspect"`.

use revocation_worker::config::{ProviderConfig, Verify};
use revocation_worker::outcome::{Answer, Proof, Verdict};

use crate::scripted_idp::{Memory, Reply, ScriptedIdp};
use crate::settings::{TOKEN, revoke, rfc7009};

fn verifying(base: &str) -> ProviderConfig {
    ProviderConfig { verify: Verify::Introspect, ..rfc7009(base) }
}

/// The answer where the revocation is answered by the first reply and the introspection by the second, and how many requests that took.
async fn answer(revocation: fn() -> Reply, introspection: fn() -> Reply) -> (Answer, usize) {
    let idp = ScriptedIdp::start(move |request| if request.path == "/revoke" { revocation() } else { introspection() }).await;
    let answer = revoke(&verifying(idp.url())).await;
    (answer, idp.ledger().len())
}

#[tokio::test]
async fn a_revocation_that_took_effect_is_verified() {
    let memory = Memory::default();
    let server = memory.clone();
    let idp = ScriptedIdp::start(move |request| server.answer(request)).await;
    let answer = revoke(&verifying(idp.url())).await;
    assert_eq!((answer.verdict, answer.error), (Verdict::Done(Proof::Verified), None));
    assert!(memory.is_revoked(TOKEN));
}

#[tokio::test]
async fn a_yes_without_effect_is_contradicted() {
    let (answer, requests) = answer(|| Reply::status(200), || Reply::json(200, r#"{"active":true}"#)).await;
    assert_eq!((answer.verdict, requests), (Verdict::Contradicted, 2));
    assert!(answer.error.is_some());
}

#[tokio::test]
async fn an_introspection_that_is_refused_leaves_the_yes_as_it_is() {
    for introspection in [|| Reply::status(401), || Reply::status(404)] {
        let (answer, _) = answer(|| Reply::status(200), introspection).await;
        assert_eq!((answer.verdict, answer.http_status), (Verdict::Done(Proof::Accepted), Some(200)));
    }
}

#[tokio::test]
async fn an_introspection_that_fails_for_now_is_tried_again_with_the_revocation() {
    for introspection in [|| Reply::status(503).header("Retry-After", "5"), Reply::close, || Reply::status(200)] {
        let (answer, requests) = answer(|| Reply::status(200), introspection).await;
        assert_eq!((answer.verdict, requests), (Verdict::Transient, 2));
        assert!(answer.error.unwrap().starts_with("revocation accepted, not verified: POST http://127.0.0.1:"));
    }
}

#[tokio::test]
async fn only_a_yes_is_verified() {
    for (status, body) in [(400, r#"{"error":"invalid_token"}"#), (503, ""), (401, "")] {
        let idp = ScriptedIdp::start(move |_| Reply::json(status, body)).await;
        revoke(&verifying(idp.url())).await;
        assert_eq!(idp.ledger().len(), 1, "{status}");
    }
}
