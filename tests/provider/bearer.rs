//! The bearer of administrative calls: when it is got, kept, and got anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use revocation_worker::outcome::{Proof, Verdict};

use crate::scripted_idp::{Reply, Request, ScriptedIdp};
use crate::settings::{calls, keycloak, provider, session};

const GRANT: &str = "POST /realms/shop/protocol/openid-connect/token";
const ONLINE: &str = "DELETE /admin/realms/shop/sessions/s";
const OFFLINE: &str = "DELETE /admin/realms/shop/sessions/s?isOffline=true";
const ACCEPTED: Verdict = Verdict::Done(Proof::Accepted);

/// A realm that grants `admin-1`, `admin-2` and so on for `expires_in` seconds, and answers everything else
/// as `admin` says.
async fn realm(expires_in: u64, admin: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> ScriptedIdp {
    let granted = Arc::new(AtomicUsize::new(0));
    ScriptedIdp::start(move |request| {
        if request.path.ends_with("/token") {
            let number = granted.fetch_add(1, SeqCst) + 1;
            return Reply::json(
                200,
                format!(r#"{{"access_token":"admin-{number}","expires_in":{expires_in}}}"#),
            );
        }
        admin(request)
    })
    .await
}

fn bears(request: &Request, token: &str) -> bool {
    request.header("authorization") == Some(&format!("Bearer {token}"))
}

#[tokio::test]
async fn it_is_kept_until_it_nears_its_end() {
    for (expires_in, expected) in [
        (300, vec![GRANT, ONLINE, OFFLINE, ONLINE, OFFLINE]),
        (0, vec![GRANT, ONLINE, OFFLINE, GRANT, ONLINE, OFFLINE]),
    ] {
        let idp = realm(expires_in, |_| Reply::status(204)).await;
        let provider = provider(&keycloak(idp.url()));
        for _ in 0..2 {
            assert_eq!(provider.revoke(&session("s")).await.verdict, ACCEPTED);
        }
        assert_eq!(calls(&idp), expected, "{expires_in}");
    }
}

#[tokio::test]
async fn a_kept_one_that_is_refused_is_got_anew_and_the_whole_attempt_repeated() {
    // The server forgets its tokens after the first attempt, as after a restart.
    let asked = Arc::new(AtomicUsize::new(0));
    let idp = realm(300, move |request| match asked.fetch_add(1, SeqCst) < 3 || bears(request, "admin-2") {
        true => Reply::status(204),
        false => Reply::json(401, r#"{"error":"HTTP 401 Unauthorized"}"#),
    })
    .await;
    let provider = provider(&keycloak(idp.url()));
    for _ in 0..2 {
        assert_eq!(provider.revoke(&session("s")).await.verdict, ACCEPTED);
    }
    assert_eq!(calls(&idp), [GRANT, ONLINE, OFFLINE, ONLINE, OFFLINE, GRANT, ONLINE, OFFLINE]);
    assert!(idp.ledger()[6..].iter().all(|request| bears(request, "admin-2")));
}

#[tokio::test]
async fn a_new_one_that_is_refused_is_not_replaced_at_once() {
    let idp = realm(300, |_| Reply::status(401)).await;
    let provider = provider(&keycloak(idp.url()));
    assert_eq!(provider.revoke(&session("s")).await.verdict, Verdict::Doubted);
    assert_eq!(calls(&idp), [GRANT, ONLINE]);
    // Nor is it kept: what a person has mended meanwhile takes a new one.
    assert_eq!(provider.revoke(&session("s")).await.verdict, Verdict::Doubted);
    assert_eq!(calls(&idp), [GRANT, ONLINE, GRANT, ONLINE]);
}

#[tokio::test]
async fn a_token_endpoint_that_refuses_the_client_is_told_and_nothing_else_asked() {
    let idp = ScriptedIdp::start(|_| Reply::json(401, r#"{"error":"invalid_client"}"#)).await;
    let answer = provider(&keycloak(idp.url())).revoke(&session("s")).await;
    assert_eq!((answer.verdict, answer.http_status), (Verdict::Misconfigured, Some(401)));
    assert!(answer.error.unwrap().contains("/token answered 401 invalid_client; no token is granted"));
    assert_eq!(calls(&idp), [GRANT]);
}

#[tokio::test]
async fn a_token_endpoint_that_is_busy_is_waited_for() {
    let idp = ScriptedIdp::start(|_| Reply::status(503).header("Retry-After", "9")).await;
    let answer = provider(&keycloak(idp.url())).revoke(&session("s")).await;
    assert_eq!((answer.verdict, answer.retry_after.unwrap().as_secs()), (Verdict::Transient, 9));
}

#[tokio::test]
async fn attempts_that_come_together_share_what_one_of_them_got() {
    let idp = realm(300, |_| Reply::status(204)).await;
    let provider = Arc::new(provider(&keycloak(idp.url())));
    assert_eq!(provider.revoke(&session("s")).await.verdict, ACCEPTED);
    let mut attempts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let provider = Arc::clone(&provider);
        attempts.spawn(async move { provider.revoke(&session("s")).await.verdict });
    }
    assert!(attempts.join_all().await.into_iter().all(|verdict| verdict == ACCEPTED));
    assert_eq!(calls(&idp).iter().filter(|call| *call == GRANT).count(), 1);
}
