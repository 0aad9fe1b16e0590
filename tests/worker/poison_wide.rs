//! Users and sessions whom a realm refuses as if the administrator's credentials were bad, beside others and
//! beside tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::json;

use crate::harness::{App, Setup, Stage, canary_token, logout_of};
use crate::scripted_idp::{Reply, Request, ScriptedIdp};

/// A realm that refuses users named `foreign…`, and all of them where the role is taken away; tokens it
/// revokes always.
fn answer(request: &Request, has_role: bool) -> Reply {
    let is_admin = request.path.starts_with("/admin/");
    match request.path.as_str() {
        path if path.ends_with("/token") => Reply::json(200, r#"{"access_token":"t","expires_in":300}"#),
        path if is_admin && (!has_role || path.contains("/foreign")) => {
            Reply::json(403, r#"{"error":"HTTP 403 Forbidden"}"#)
        }
        path if path.contains("/sessions/") => Reply::json(404, r#"{"error":"Sesssion not found"}"#),
        path if path.ends_with("/consents") => Reply::json(200, "[]"),
        _ => Reply::status(204),
    }
}

fn worker(stage: &Stage, idp: &ScriptedIdp) -> Setup {
    let setup = stage.worker("").set("REVOCATION__PROVIDERS__MAIN__KIND", "keycloak");
    setup
        .set("REVOCATION__PROVIDERS__MAIN__BASE_URL", idp.url())
        .set("REVOCATION__PROVIDERS__MAIN__REALM", "shop")
}

#[tokio::test(flavor = "multi_thread")]
async fn users_that_an_administrator_may_not_touch_are_parked_and_others_logged_out() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|request| answer(request, true)).await;
    let _worker = worker(&stage, &idp).start().await;
    let app = App::connect(&stage.amqp_url).await;
    for number in 0..5 {
        app.publish(&logout_of(
            &format!("foreign-{number}"),
            json!([{ "sub": format!("foreign-{number}") }]),
        ))
        .await;
        app.publish(&logout_of(&format!("own-{number}"), json!([{ "sub": format!("own-{number}") }]))).await;
    }
    stage.wait_for_count(5, "audit.revocations WHERE state = 'revoked' AND event_id LIKE 'own-%'").await;
    let parked =
        "audit.revocations WHERE state = 'parked' AND event_id LIKE 'foreign-%' AND last_http_status = 403";
    stage
        .wait_for_count(5, &format!("{parked} AND last_error LIKE '%a probe that names nobody is accepted%'"))
        .await;
    assert_eq!(
        stage.count("audit.attempts WHERE outcome = 'misconfigured'").await,
        0,
        "the provider was never paused"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_taken_away_pauses_users_alone_until_it_is_given_back() {
    let (stage, has_role) = (Stage::new().await, Arc::new(AtomicBool::new(false)));
    let role = has_role.clone();
    let idp = ScriptedIdp::start(move |request| answer(request, role.load(SeqCst))).await;
    let _worker = worker(&stage, &idp).start().await;
    let app = App::connect(&stage.amqp_url).await;
    for number in 0..5 {
        app.publish(&logout_of(&format!("user-{number}"), json!([{ "sub": format!("user-{number}") }])))
            .await;
        app.publish(&logout_of(&format!("token-{number}"), json!([{ "token": canary_token() }]))).await;
    }
    stage
        .wait_for_count(
            1,
            "audit.providers WHERE breaker <> 'closed' AND last_error LIKE '%has the role manage-users%'",
        )
        .await;
    stage.wait_for_count(5, "audit.revocations WHERE state = 'revoked' AND event_id LIKE 'token-%'").await;
    assert_eq!(
        stage.count("revocation.targets WHERE failures > 0 OR state = 'parked'").await,
        0,
        "nobody is used up or parked"
    );
    has_role.store(true, SeqCst);
    stage.wait_for_count(5, "audit.revocations WHERE state = 'revoked' AND event_id LIKE 'user-%'").await;
}
