//! Answers that are no yes: the token is kept until there is one, or until a person has looked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::json;

use crate::harness::{App, Stage, canary_token, logout_of};
use crate::scripted_idp::{Memory, Reply, ScriptedIdp};

/// Bodies at status 200 that say no.
const BODIES: [&str; 12] = [
    "<html><body>Request blocked</body></html>",
    "\u{feff}<!DOCTYPE html>",
    r#"{"error":{"code":7}}"#,
    r#"{"errors":[{"message":"Unauthorized"}]}"#,
    r#"{"success":false}"#,
    r#"{"status":"error"}"#,
    r#"{"statusCode":500,"body":"{}"}"#,
    "error=temporarily_blocked",
    "1f\r\n{\"error\":\"oops\"}\r\n0\r\n\r\n",
    r#"{"code":7,"message":"PERMISSION_DENIED","details":[]}"#,
    r#"{"captcha_url":"https://geo.example.com/captcha"}"#,
    "com\u{1}pressed \u{2}body",
];

fn access_token(id: &str, token: &str) -> serde_json::Value {
    logout_of(id, json!([{ "token": token, "token_type_hint": "access_token" }]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_that_says_no_keeps_the_token() {
    let (stage, memory, mended) = (Stage::new().await, Memory::default(), Arc::new(AtomicBool::new(false)));
    let (server, healthy) = (memory.clone(), mended.clone());
    let idp = ScriptedIdp::start(move |request| {
        let number = request.field("token").and_then(|token| token.split('.').next()?.parse::<usize>().ok());
        match number {
            Some(number) if !healthy.load(SeqCst) => Reply::status(200).body(BODIES[number]),
            _ => server.answer(request),
        }
    })
    .await;
    let _worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let app = App::connect(&stage.amqp_url).await;
    let tokens: Vec<String> =
        (0..BODIES.len()).map(|number| format!("{number}.{}", canary_token())).collect();
    for (number, token) in tokens.iter().enumerate() {
        app.publish(&access_token(&number.to_string(), token)).await;
    }
    let all = i64::try_from(BODIES.len()).unwrap();
    stage
        .wait_for_count(all, "audit.revocations WHERE last_outcome = 'transient' AND last_http_status = 200")
        .await;
    assert_eq!(stage.count("audit.revocations WHERE last_error LIKE '%is no yes%'").await, all);
    assert_eq!(stage.count("revocation.targets WHERE sealed IS NOT NULL AND state = 'pending'").await, all);

    mended.store(true, SeqCst);
    stage.wait_for_count(all, "audit.revocations WHERE state = 'revoked' AND proof = 'accepted'").await;
    assert!(tokens.iter().all(|token| memory.is_revoked(token)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_never_readable_is_told_to_a_person() {
    let (stage, memory) = (Stage::new().await, Memory::default());
    let server = memory.clone();
    let idp = ScriptedIdp::start(move |request| match request.field("token") {
        Some(token) if token.starts_with("odd") => Reply::garbage("HTTP/2 200 OK\r\n\r\n"),
        _ => server.answer(request),
    })
    .await;
    let _worker = stage
        .worker(&format!("{}/revoke", idp.url()))
        .set("REVOCATION__RETRY__INITIAL", "10ms")
        .start()
        .await;
    let app = App::connect(&stage.amqp_url).await;
    app.publish(&access_token("odd", &format!("odd{}", canary_token()))).await;
    let parked = "audit.revocations WHERE event_id = 'odd' AND state = 'parked' AND attempts = 5";
    stage
        .wait_for_count(1, &format!("{parked} AND last_error LIKE '%no readable HTTP%a person must look%'"))
        .await;
    assert_eq!(stage.count("revocation.targets WHERE sealed IS NOT NULL").await, 1, "it is kept");

    let token = canary_token();
    app.publish(&access_token("plain", &token)).await;
    stage.wait_for_count(1, "audit.revocations WHERE event_id = 'plain' AND state = 'revoked'").await;
    assert!(memory.is_revoked(&token));
}
