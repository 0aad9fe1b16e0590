//! Global Token Revocation, as Okta's Universal Logout sends it.

use reqwest::Client;
use serde_json::{Value, json};

use crate::harness::{Issuer, Setup, Signer, Stage, now_s};

/// The endpoint's address as an administrator typed it there.
const ENDPOINT: &str = "https://logout.example.com/global-token-revocation/op";
const TYP: &str = "global-token-revocation+jwt";

fn claims(issuer: &Issuer, jti: &str) -> Value {
    let now = now_s();
    json!({
        "iss": issuer.issuer(), "sub": "shop", "aud": ENDPOINT, "jti": jti,
        "iat": now, "nbf": now - 300, "exp": now + 300,
    })
}

fn receiver(stage: &Stage, issuer: &Issuer) -> Setup {
    let receiver = issuer.known_to(stage.worker("http://127.0.0.1:9/revoke"));
    receiver
        .set("REVOCATION__RECEIVE__SENDERS__OP__AUDIENCE", ENDPOINT)
        .set("REVOCATION__RECEIVE__SENDERS__OP__SUBJECT_ISSUERS", "https://org.okta.example")
}

async fn send(issuer: &Issuer, token: &str, body: &str) -> (u16, Value, bool) {
    let url = format!("http://{}/global-token-revocation/op", issuer.address);
    let request = Client::new().post(url).header("content-type", "application/json").body(body.to_owned());
    let request = if token.is_empty() { request } else { request.bearer_auth(token) };
    let answer = request.send().await.expect("an answer");
    let (status, challenged) = (answer.status().as_u16(), answer.headers().contains_key("www-authenticate"));
    (status, answer.json().await.unwrap_or_default(), challenged)
}

fn subject(issuer: &str, sub: &str) -> String {
    json!({ "sub_id": { "format": "iss_sub", "iss": issuer, "sub": sub } }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_universal_logout_ends_as_a_denial_of_the_user() {
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    let setup = receiver(&stage, &issuer).set("REVOCATION__RECEIVE__SENDERS__OP__EMAIL_IS_SUB", "true");
    let _worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    let _receiver = setup.receive(&issuer.address).await;
    let email = json!({ "sub_id": { "format": "email", "email": "ann@example.com" } }).to_string();
    for (jti, body) in [
        ("j-1", subject(issuer.issuer(), "u-1")),
        ("j-2", subject("https://org.okta.example", "u-2")),
        ("j-3", subject(issuer.issuer(), "u-3").replace("sub_id", "subject")),
        ("j-4", email),
    ] {
        let token = issuer.token(TYP, &claims(&issuer, jti));
        for _ in 0..2 {
            assert_eq!(send(&issuer, &token, &body).await, (204, Value::Null, false), "{jti}");
        }
    }
    stage.wait_for_count(4, "audit.revocations WHERE denied_at IS NOT NULL").await;
    let rows = stage
        .rows(
            "SELECT jsonb_build_array(event_id, target_kind, sub, iss, reason)
             FROM audit.revocations ORDER BY 1",
        )
        .await;
    let row = |id: &str, sub: &str| json!([id, "subject", sub, issuer.issuer(), "global_token_revocation"]);
    let wanted =
        [row("op/j-1", "u-1"), row("op/j-2", "u-2"), row("op/j-3", "u-3"), row("op/j-4", "ann@example.com")];
    assert_eq!(rows, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_has_the_drafts_status() {
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    assert!(stage.worker("http://127.0.0.1:9/revoke").start().await.stop().await.success());
    let _receiver = receiver(&stage, &issuer).receive(&issuer.address).await;
    let changed = |name: &str, value: Value| {
        let mut claims = claims(&issuer, "j-1");
        claims[name] = value;
        issuer.token(TYP, &claims)
    };
    let (good, body) = (changed("txn", json!("t")), subject(issuer.issuer(), "victim"));
    let forged = Signer::new().sign(&format!(r#"{{"alg":"ES256","kid":"k1","typ":"{TYP}"}}"#), "{}");
    let email = json!({ "sub_id": { "format": "email", "email": "ann@example.com" } }).to_string();
    let phone = json!({ "sub_id": { "format": "phone_number", "phone_number": "+1" } }).to_string();
    let logout = issuer.logout_token("j-1", "victim");
    for (what, status, token, body) in [
        ("no token", 401, "", body.as_str()),
        ("no JWT", 401, "opaque", &body),
        ("another's key", 401, &forged, &body),
        ("a logout token", 401, &logout, &body),
        ("our client as audience", 401, &changed("aud", json!("shop")), &body),
        ("another's audience", 401, &changed("aud", json!([format!("{ENDPOINT}/")])), &body),
        ("another client", 401, &changed("sub", json!("cards")), &body),
        ("expired", 401, &changed("exp", json!(now_s() - 300)), &body),
        ("for ever", 401, &changed("exp", json!(now_s() + 30 * 86_400)), &body),
        ("no time", 401, &changed("exp", Value::Null), &body),
        ("another issuer", 401, &changed("iss", json!("https://id.example.com")), &body),
        ("no JSON", 400, &good, "sub=victim"),
        ("no subject", 400, &good, "{}"),
        ("a text as subject", 400, &good, r#"{"sub_id":"victim"}"#),
        ("no format", 400, &good, r#"{"sub_id":{"sub":"victim"}}"#),
        ("two subjects", 400, &good, r#"{"sub_id":{"format":"email"},"sub_id":{}}"#),
        ("another's user", 403, &good, &subject("https://id.example.com", "victim")),
        ("an email", 422, &good, &email),
        ("a phone number", 422, &good, &phone),
    ] {
        let (answered, said, challenged) = send(&issuer, token, body).await;
        assert_eq!(answered, status, "{what}: {said}");
        assert_eq!(challenged, status == 401, "{what}");
        assert!(said["error"].is_string() && said["error_description"].is_string(), "{what}");
    }
    let (_, said, _) = send(&issuer, &good, &email).await;
    assert_eq!(said["error"], "email_not_mapped");
}
