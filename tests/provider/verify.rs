//! `verify = "introspect"`: a look before the revocation, another after it.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use revocation_worker::config::{ProviderConfig, Verify};
use revocation_worker::outcome::{Answer, Proof, Verdict};

use crate::scripted_idp::{Memory, Reply, ScriptedIdp};
use crate::settings::{TOKEN, calls, provider, revoke, rfc7009, token};

const ACCEPTED: Verdict = Verdict::Done(Proof::Accepted);

fn verifying(base: &str) -> ProviderConfig {
    ProviderConfig { verify: Verify::Introspect, ..rfc7009(base) }
}

fn active() -> Reply {
    Reply::json(200, r#"{"active":true}"#)
}

fn inactive() -> Reply {
    Reply::json(200, r#"{"active":false}"#)
}

/// The answer where the revocation is accepted between these two looks.
async fn between(before: fn() -> Reply, after: fn() -> Reply) -> Answer {
    let looks = AtomicUsize::new(0);
    let idp = ScriptedIdp::start(move |request| match (request.path.as_str(), looks.load(SeqCst)) {
        ("/revoke", _) => Reply::status(200),
        (_, 0) => {
            looks.store(1, SeqCst);
            before()
        }
        _ => after(),
    })
    .await;
    let answer = revoke(&verifying(idp.url())).await;
    assert_eq!(calls(&idp), ["POST /introspect", "POST /revoke", "POST /introspect"]);
    answer
}

#[tokio::test]
async fn a_revocation_that_took_effect_is_verified() {
    let memory = Memory::default();
    let idp = memory.serve().await;
    let answer = revoke(&verifying(idp.url())).await;
    assert_eq!((answer.verdict, answer.error), (Verdict::Done(Proof::Verified), None));
    assert!(memory.is_revoked(TOKEN));
    // Once more: it is dead before, so that the second round proves nothing.
    assert_eq!(revoke(&verifying(idp.url())).await.verdict, ACCEPTED);
}

#[tokio::test]
async fn a_yes_without_effect_is_contradicted() {
    for before in [active, inactive, || Reply::status(503)] {
        let answer = between(before, active).await;
        assert_eq!(answer.verdict, Verdict::Contradicted);
        assert!(answer.error.is_some());
    }
}

#[tokio::test]
async fn what_was_inactive_or_not_seen_before_is_accepted_and_no_more() {
    let nothing: [fn() -> Reply; 6] = [
        inactive,
        || Reply::status(404),
        || Reply::status(403),
        || Reply::status(503),
        || Reply::status(200).body("<html>"),
        Reply::close,
    ];
    for before in nothing {
        let answer = between(before, inactive).await;
        assert_eq!((answer.verdict, answer.http_status, answer.error), (ACCEPTED, Some(200), None));
    }
}

#[tokio::test]
async fn a_first_look_that_takes_too_long_holds_nothing_up() {
    let idp = ScriptedIdp::start(|request| {
        if request.path == "/revoke" { Reply::json(200, r#"{"error":"x"}"#) } else { Reply::hang() }
    })
    .await;
    let answer = revoke(&verifying(idp.url())).await;
    assert_eq!(answer.verdict, Verdict::Transient);
    assert!(answer.error.unwrap().contains("/revoke answered 200"));
}

#[tokio::test]
async fn a_look_that_is_refused_for_good_leaves_the_yes_as_it_is() {
    for after in
        [|| Reply::status(403), || Reply::status(404), || Reply::json(400, r#"{"error":"invalid_request"}"#)]
    {
        let answer = between(active, after).await;
        assert_eq!((answer.verdict, answer.http_status), (ACCEPTED, Some(200)));
    }
}

#[tokio::test]
async fn wrong_credentials_at_introspection_are_for_the_probe_to_judge_and_the_revocation_is_sent() {
    for denial in [
        || Reply::status(401),
        || Reply::json(401, r#"{"error":"invalid_client"}"#),
        || Reply::status(400).body("error=invalid_client"),
    ] {
        for (before, after) in [(denial, inactive as fn() -> Reply), (active, denial), (denial, denial)] {
            let answer = between(before, after).await;
            assert_eq!(answer.verdict, Verdict::Doubted);
            assert!(
                answer
                    .error
                    .unwrap()
                    .starts_with("revocation accepted, not verified: POST http://127.0.0.1:")
            );
        }
    }
}

#[tokio::test]
async fn a_look_that_fails_for_now_is_tried_again_with_the_revocation() {
    for after in [|| Reply::status(503).header("Retry-After", "5"), Reply::close, || Reply::status(200)] {
        let answer = between(active, after).await;
        assert_eq!(answer.verdict, Verdict::Transient);
        assert!(
            answer.error.unwrap().starts_with("revocation accepted, not verified: POST http://127.0.0.1:")
        );
    }
}

#[tokio::test]
async fn a_look_that_is_never_readable_is_told_to_a_person() {
    for bytes in ["HTTP/2 200 OK\r\n\r\n", "<html>HTTP/0.9</html>", "HTTP/1.1 2OO OK\r\n\r\n"] {
        let idp = ScriptedIdp::start(move |request| match request.path.as_str() {
            "/revoke" => Reply::status(200),
            _ => Reply::garbage(bytes),
        });
        let (idp, target) = (idp.await, token(TOKEN, None));
        let provider = provider(&verifying(idp.url()));
        for attempt in 1..=5 {
            assert!(!provider.is_unreadable(&target), "{bytes} {attempt}");
            let error = provider.revoke(&target).await.error.unwrap();
            assert!(
                error.contains("no readable HTTP") && error.contains("a person must look") == (attempt == 5),
                "{error}"
            );
        }
        assert!(provider.is_unreadable(&target), "{bytes}");
    }
}

#[tokio::test]
async fn a_token_that_is_said_to_be_dead_is_looked_at_again() {
    let dead = Verdict::Done(Proof::AlreadyInvalid);
    let looks: [(fn() -> Reply, Verdict); 4] = [
        (active, Verdict::Contradicted),
        (inactive, dead),
        (|| Reply::status(404), dead),
        (|| Reply::status(503), dead),
    ];
    for (look, expected) in looks {
        for status in [200, 400] {
            let idp = ScriptedIdp::start(move |request| match request.path.as_str() {
                "/revoke" => Reply::json(status, r#"{"error":"invalid_token"}"#),
                _ => look(),
            })
            .await;
            assert_eq!(revoke(&verifying(idp.url())).await.verdict, expected);
            assert_eq!(calls(&idp), ["POST /introspect", "POST /revoke", "POST /introspect"]);
        }
    }
}

#[tokio::test]
async fn only_a_yes_is_looked_at_again() {
    for (status, body) in
        [(400, r#"{"error":"invalid_request"}"#), (503, ""), (401, ""), (200, r#"{"success":false}"#)]
    {
        let idp = ScriptedIdp::start(move |_| Reply::json(status, body)).await;
        revoke(&verifying(idp.url())).await;
        assert_eq!(calls(&idp), ["POST /introspect", "POST /revoke"], "{status}");
    }
}
