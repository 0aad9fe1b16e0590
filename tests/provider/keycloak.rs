//! `kind = "keycloak"`: tokens, sessions and users of a realm.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use revocation_worker::config::{ClientAuth, KindConfig, ProviderConfig, Verify};
use revocation_worker::outcome::{Answer, Proof, Verdict};
use revocation_worker::provider::Probed;
use revocation_worker::target::{Scope, Target, TokenTypeHint};

use crate::scripted_idp::{Reply, Request, ScriptedIdp};
use crate::settings::{TOKEN, calls, client, keycloak, provider, session, subject, token};

const GRANT: &str = "POST /realms/shop/protocol/openid-connect/token";
const ACCEPTED: Verdict = Verdict::Done(Proof::Accepted);

/// A realm that grants `admin-1`, and answers everything else as `admin` says.
async fn realm(admin: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> ScriptedIdp {
    ScriptedIdp::start(move |request| match request.path.as_str() {
        "/realms/shop/protocol/openid-connect/token" => {
            Reply::json(200, r#"{"access_token":"admin-1","expires_in":300}"#)
        }
        _ => admin(request),
    })
    .await
}

async fn attempt(idp: &ScriptedIdp, target: &Target) -> Answer {
    provider(&keycloak(idp.url())).revoke(target).await
}

fn no_session() -> Reply {
    Reply::json(404, r#"{"error":"Sesssion not found"}"#)
}

#[tokio::test]
async fn tokens_go_to_the_realm_by_rfc_7009() {
    let idp = realm(|_| Reply::json(200, r#"{"error":"invalid_token"}"#)).await;
    let answer = attempt(&idp, &token(TOKEN, Some(TokenTypeHint::RefreshToken))).await;
    assert_eq!(answer.verdict, Verdict::Done(Proof::AlreadyInvalid));
    assert_eq!(calls(&idp), ["POST /realms/shop/protocol/openid-connect/revoke"]);
    assert_eq!(idp.ledger()[0].body, "token=tok%2B%2F%3D1&token_type_hint=refresh_token");
}

#[tokio::test]
async fn tokens_are_verified_by_the_realms_introspection() {
    let revoked = AtomicBool::new(false);
    let idp = realm(move |request| match request.path.ends_with("/introspect") {
        true => Reply::json(200, format!(r#"{{"active":{}}}"#, !revoked.load(SeqCst))),
        false => {
            revoked.store(true, SeqCst);
            Reply::status(200)
        }
    })
    .await;
    let config = ProviderConfig { verify: Verify::Introspect, ..keycloak(idp.url()) };
    assert_eq!(provider(&config).revoke(&token(TOKEN, None)).await.verdict, Verdict::Done(Proof::Verified));
    let look = "POST /realms/shop/protocol/openid-connect/token/introspect";
    assert_eq!(calls(&idp), [look, "POST /realms/shop/protocol/openid-connect/revoke", look]);
}

#[tokio::test]
async fn a_session_is_ended_online_and_offline() {
    let idp = realm(|_| Reply::status(204)).await;
    assert_eq!(attempt(&idp, &session("sid/1")).await.verdict, ACCEPTED);
    let expected = [
        GRANT,
        "DELETE /admin/realms/shop/sessions/sid%2F1",
        "DELETE /admin/realms/shop/sessions/sid%2F1?isOffline=true",
    ];
    assert_eq!(calls(&idp), expected);
    let ledger = idp.ledger();
    assert_eq!(
        (ledger[0].body.as_str(), ledger[0].header("authorization")),
        ("grant_type=client_credentials", Some(BASIC))
    );
    for request in &ledger[1..] {
        assert_eq!((request.header("authorization"), request.body.as_str()), (Some("Bearer admin-1"), ""));
    }
}

/// base64 of `APP%2FID:s%25c%3A%2B%2F%3D`
const BASIC: &str = "Basic QVBQJTJGSUQ6cyUyNWMlM0ElMkIlMkYlM0Q=";

#[tokio::test]
async fn a_session_that_one_of_the_stores_knows_is_ended_and_one_that_none_knows_was_dead() {
    let answers = |online: fn() -> Reply, offline: fn() -> Reply| async move {
        let idp = realm(
            move |request| if request.path.ends_with("?isOffline=true") { offline() } else { online() },
        )
        .await;
        attempt(&idp, &session("s")).await.verdict
    };
    let ended = || Reply::status(204);
    assert_eq!(answers(no_session, ended).await, ACCEPTED);
    assert_eq!(answers(ended, no_session).await, ACCEPTED);
    assert_eq!(answers(no_session, no_session).await, Verdict::Done(Proof::AlreadyInvalid));
    assert_eq!(answers(ended, || Reply::status(503)).await, Verdict::Transient);
    assert_eq!(answers(no_session, || Reply::status(404)).await, Verdict::Doubted);
}

#[tokio::test]
async fn a_session_is_not_taken_for_dead_because_a_proxy_hides_the_admin_api() {
    let idp = realm(|_| Reply::status(404).body("<html>Not Found</html>")).await;
    let answer = attempt(&idp, &session("s")).await;
    assert_eq!(answer.verdict, Verdict::Doubted);
    assert!(answer.error.unwrap().contains("/admin/realms/shop/sessions/{} answered 404"));
}

/// Consents of which the second and third hold offline tokens.
const CONSENTS: &str = r#"[
    {"clientId":"web","additionalGrants":[]},
    {"clientId":"app/1","additionalGrants":[{"client":"5f2c","key":"Offline Token"}]},
    {"clientId":"tv","additionalGrants":[{"client":"77aa","key":"Offline Token"}]}
]"#;

#[tokio::test]
async fn a_user_is_logged_out_and_loses_the_offline_tokens() {
    let idp = realm(
        |request| if request.method == "GET" { Reply::json(200, CONSENTS) } else { Reply::status(204) },
    )
    .await;
    assert_eq!(attempt(&idp, &subject("u 1/?#")).await.verdict, ACCEPTED);
    let user = "/admin/realms/shop/users/u%201%2F%3F%23";
    let expected = [
        GRANT.to_owned(),
        format!("POST {user}/logout"),
        format!("GET {user}/consents"),
        format!("DELETE {user}/consents/app%2F1"),
        format!("DELETE {user}/consents/tv"),
    ];
    assert_eq!(calls(&idp), expected);
}

#[tokio::test]
async fn a_later_call_that_fails_has_all_of_them_made_again() {
    let idp = realm(|request| match request.method.as_str() {
        "GET" => Reply::json(200, CONSENTS),
        "DELETE" => Reply::status(503).header("Retry-After", "7"),
        _ => Reply::status(204),
    })
    .await;
    let provider = provider(&keycloak(idp.url()));
    for _ in 0..2 {
        let answer = provider.revoke(&subject("u")).await;
        assert_eq!((answer.verdict, answer.retry_after.unwrap().as_secs()), (Verdict::Transient, 7));
        assert!(answer.error.unwrap().starts_with(&format!(
            "DELETE {}/admin/realms/shop/users/{{}}/consents/{{}} answered 503",
            idp.url()
        )));
    }
    assert_eq!(calls(&idp).iter().filter(|call| call.ends_with("/users/u/logout")).count(), 2);
}

#[tokio::test]
async fn an_unknown_user_is_refused_and_a_lacking_role_named() {
    let idp = realm(|_| Reply::json(404, r#"{"error":"User not found"}"#)).await;
    assert_eq!(attempt(&idp, &subject("u")).await.verdict, Verdict::Refused);
    let idp = realm(|_| Reply::json(403, r#"{"error":"HTTP 403 Forbidden"}"#)).await;
    assert_eq!(attempt(&idp, &subject("u")).await.verdict, Verdict::Doubted);
    let Some(Probed::Refused { answer, plainly: true }) =
        provider(&keycloak(idp.url())).try_credentials(Scope::Wide).await
    else {
        panic!("refused")
    };
    assert!(answer.error.unwrap().contains("has the role manage-users"));
}

#[tokio::test]
async fn an_id_that_would_change_the_path_is_never_sent() {
    let idp = realm(|_| Reply::status(204)).await;
    for target in [subject(".."), session("."), subject("")] {
        assert_eq!(attempt(&idp, &target).await.verdict, Verdict::Refused);
    }
    assert!(calls(&idp).iter().all(|call| call == GRANT));
}

#[tokio::test]
async fn a_realms_name_is_encoded_too() {
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let mut config = keycloak(&format!("{}/auth/", idp.url()));
    if let KindConfig::Keycloak(kind) = &mut config.kind {
        kind.realm = "my realm".to_owned();
        kind.client = client(ClientAuth::SecretPost);
    }
    provider(&config).revoke(&token(TOKEN, None)).await;
    assert_eq!(calls(&idp), ["POST /auth/realms/my%20realm/protocol/openid-connect/revoke"]);
}
