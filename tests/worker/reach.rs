//! A denial reaches its token at a verifier, however the token names its user and client, and nobody else's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use revocation_verifier::{Denylist, TokenView, Verdict};
use serde_json::{Value, json};

use crate::harness::{App, Stage, canary_token, eventually, logout_of};
use crate::scripted_idp::{Reply, ScriptedIdp};

/// Before every cutoff of these tests.
const ISSUED: i64 = 1_700_000_000;

fn signed(claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn jwt(mut claims: Value) -> String {
    claims["iat"] = ISSUED.into();
    format!("{}.{}", signed(&claims), canary_token())
}

fn is_denied(denylist: &Denylist, token: &str) -> bool {
    matches!(denylist.check(&TokenView::bearer(token)), Verdict::Denied(_))
}

/// A stage with a worker whose provider `staff` is an Okta, and a verifier.
async fn okta(idp: &ScriptedIdp) -> (Stage, crate::harness::Worker, Denylist) {
    let stage = Stage::new().await;
    let setup = stage
        .worker(&format!("{}/revoke", idp.url()))
        .set("REVOCATION__PROVIDERS__STAFF__KIND", "okta")
        .set("REVOCATION__PROVIDERS__STAFF__BASE_URL", idp.url())
        .set("REVOCATION__PROVIDERS__STAFF__AUTHORIZATION_SERVER_ID", "aus1")
        .set("REVOCATION__PROVIDERS__STAFF__CLIENT_ID", "shop")
        .set("REVOCATION__PROVIDERS__STAFF__CLIENT_SECRET", "shop-secret-canary")
        .set("REVOCATION__PROVIDERS__STAFF__API_TOKEN", "t");
    let worker = setup.start().await;
    let denylist = stage.verifier("shop-api", "1").await;
    (stage, worker, denylist)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_denied_by_the_name_that_the_provider_gives_and_nobody_else_is() {
    let idp = ScriptedIdp::start(|_| Reply::status(204)).await;
    let (stage, _worker, denylist) = okta(&idp).await;
    let issuer = format!("{}/oauth2/aus1", idp.url());
    let login = jwt(json!({ "iss": issuer, "sub": "ann@example.com", "uid": "00u1", "cid": "0oa1" }));
    let others = [
        jwt(json!({ "iss": issuer, "sub": "bob@example.com", "uid": "00u2", "cid": "0oa1" })),
        jwt(json!({ "iss": "https://posix.example.com", "sub": "7", "uid": "00u1" })),
        jwt(json!({ "iss": idp.url(), "sub": "7", "uid": "00u1" })),
        jwt(json!({ "sub": "7", "uid": "00u1" })),
    ];
    let mut event = logout_of("1", json!([{ "sub": "00u1" }]));
    event["data"]["provider"] = "staff".into();
    App::connect(&stage.amqp_url).await.publish(&event).await;
    eventually("the user's token is refused", async || is_denied(&denylist, &login).then_some(())).await;
    for other in &others {
        assert!(!is_denied(&denylist, other));
    }
    stage
        .wait_for_count(
            1,
            "audit.revocations WHERE target_kind = 'subject' AND sub = '00u1' AND state = 'revoked'",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_denied_however_its_signature_is_spelled_and_its_jti_in_its_issuers_tokens_alone() {
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let (stage, _worker, denylist) = okta(&idp).await;
    let claims = json!({ "iss": "https://one", "jti": 7, "sub": "u", "iat": ISSUED });
    let signed = signed(&claims);
    let revoked = format!("{signed}.{}", canary_token());
    App::connect(&stage.amqp_url).await.publish(&logout_of("1", json!([{ "token": revoked }]))).await;
    eventually("the token is refused", async || is_denied(&denylist, &revoked).then_some(())).await;
    for spelling in [format!("{revoked}="), format!("{signed}.{}", canary_token())] {
        assert!(is_denied(&denylist, &spelling), "another spelling");
    }
    assert!(is_denied(&denylist, &jwt(json!({ "iss": "https://one", "jti": "7" }))), "the issuer's own jti");
    for other in [
        json!({ "iss": "https://two", "jti": "7" }),
        json!({ "jti": "7" }),
        json!({ "iss": "https://one", "jti": "8" }),
    ] {
        assert!(!is_denied(&denylist, &jwt(other)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_entra_is_denied_in_tokens_of_either_version() {
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let stage = Stage::new().await;
    let (second, first) = ("https://login.microsoftonline.com/1-2-3/v2.0", "https://sts.windows.net/1-2-3/");
    let setup =
        stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__PROVIDERS__MAIN__ISSUER", second);
    let _worker = setup.start().await;
    let (denylist, app) = (stage.verifier("shop-api", "1").await, App::connect(&stage.amqp_url).await);
    let token = |iss: &str, oid: &str| jwt(json!({ "iss": iss, "sub": "pairwise", "oid": oid }));
    for (id, target) in [("1", json!({ "sub": "a" })), ("2", json!({ "sub": "b", "iss": second }))] {
        let mut event = logout_of(id, json!([target]));
        event["data"]["provider"] = "main".into();
        app.publish(&event).await;
        let name = target["sub"].as_str().expect("text");
        for iss in [second, first] {
            let token = token(iss, name);
            eventually("the user's token is refused", async || is_denied(&denylist, &token).then_some(()))
                .await;
        }
    }
    for (iss, oid) in
        [(first, "c"), (second, "c"), ("https://sts.windows.net/4-5-6/", "a"), ("https://one", "b")]
    {
        assert!(!is_denied(&denylist, &token(iss, oid)), "{iss} {oid}");
    }
}
