//! Shared Signals by push and by poll, from a transmitter that speaks as the standards' examples do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use reqwest::Client;
use serde_json::{Value, json};

use crate::harness::{App, Issuer, Setup, Signer, Stage, eventually, now_s};
use crate::scripted_idp::{Reply, Request, ScriptedIdp};

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type/";
const PUSH_SECRET: &str = "Bearer push-canary";

/// A security event token's claims, with this subject on top and this event in it.
fn set(issuer: &Issuer, jti: &str, subject: &Value, event_type: &str, event: &Value) -> Value {
    let mut claims = json!({
        "iss": issuer.issuer(), "aud": ["other", "shop"], "iat": now_s(), "jti": jti, "txn": "t-1",
        "events": { event_type: event },
    });
    if !subject.is_null() {
        claims["sub_id"] = subject.clone();
    }
    claims
}

fn user(issuer: &Issuer, sub: &str) -> Value {
    json!({ "format": "iss_sub", "iss": issuer.issuer(), "sub": sub })
}

fn with(mut claims: Value, member: &str, value: Value) -> Value {
    claims[member] = value;
    claims
}

async fn push(issuer: &Issuer, token: &str, authorization: &str) -> (u16, Value) {
    let url = format!("http://{}/ssf/op", issuer.address);
    let request = Client::new().post(url).header("content-type", "application/secevent+jwt");
    let answer = request.header("authorization", authorization).body(token.to_owned()).send().await;
    let answer = answer.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

fn receiver(stage: &Stage, issuer: &Issuer) -> (Setup, Setup) {
    let worker = stage.worker("http://127.0.0.1:9/revoke");
    (worker.clone(), issuer.known_to(worker))
}

fn pushing(receiver: Setup) -> Setup {
    receiver.set("REVOCATION__RECEIVE__SENDERS__OP__PUSH_AUTHORIZATION", PUSH_SECRET)
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_signals_of_every_sender_end_as_denials() {
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    let (worker, receiver) = receiver(&stage, &issuer);
    let _worker = worker.start().await;
    let receiver = pushing(receiver).receive(&issuer.address).await;
    let at = now_s() - 100;
    let complex = |sub: &str, sid: &str| {
        let session = json!({ "format": "opaque", "id": sid });
        json!({ "format": "complex", "user": user(&issuer, sub), "session": session })
    };
    // Okta's: within the event, without `format`, and in milliseconds.
    let okta = json!({ "subject": { "user": user(&issuer, "u-3") }, "event_timestamp": at * 1000 + 7 });
    let google = json!({ "subject": { "subject_type": "iss-sub", "iss": issuer.issuer(), "sub": "u-4" } });
    let signals: [(&str, Value, String, Value); 9] = [
        ("j-1", complex("u-1", "s-1"), format!("{CAEP}session-revoked"), json!({ "event_timestamp": at })),
        ("j-2", user(&issuer, "u-2"), format!("{CAEP}session-revoked"), json!({ "event_timestamp": at })),
        ("j-3", Value::Null, format!("{CAEP}session-revoked"), okta),
        ("j-4", Value::Null, format!("{RISC}sessions-revoked"), google),
        (
            "j-5",
            complex("u-5", "s-5"),
            format!("{CAEP}credential-change"),
            json!({ "change_type": "revoke" }),
        ),
        ("j-6", user(&issuer, "u-6"), format!("{RISC}account-disabled"), json!({ "reason": "hijacking" })),
        ("j-7", user(&issuer, "u-7"), format!("{CAEP}credential-change"), json!({ "change_type": "create" })),
        // A clock that was not set does not let what is older live.
        ("j-9", user(&issuer, "u-9"), format!("{CAEP}session-revoked"), json!({ "event_timestamp": 0 })),
        (
            "j-8",
            json!({ "format": "opaque", "id": "stream" }),
            format!("{SSF}verification"),
            json!({ "state": "x" }),
        ),
    ];
    for (jti, subject, event_type, event) in &signals {
        let token = issuer.token("secevent+jwt", &set(&issuer, jti, subject, event_type, event));
        assert_eq!(push(&issuer, &token, PUSH_SECRET).await, (202, Value::Null), "{jti}");
    }
    stage.wait_for_count(7, "audit.revocations WHERE denied_at IS NOT NULL").await;
    let rows = stage
        .rows(
            "SELECT jsonb_build_array(event_id, target_kind, sub, sid, reason,
                 now() - occurred_at > interval '90 s')
             FROM audit.revocations ORDER BY event_id",
        )
        .await;
    assert_eq!(
        rows,
        [
            json!(["op/j-1", "session", "u-1", "s-1", "session_revoked", true]),
            json!(["op/j-2", "subject", "u-2", null, "session_revoked", true]),
            json!(["op/j-3", "subject", "u-3", null, "session_revoked", true]),
            json!(["op/j-4", "subject", "u-4", null, "sessions_revoked", false]),
            json!(["op/j-5", "subject", "u-5", null, "credential_change", false]),
            json!(["op/j-6", "subject", "u-6", null, "account_disabled", false]),
            json!(["op/j-9", "subject", "u-9", null, "session_revoked", false]),
        ]
    );
    let ignored =
        r#"revocation_receiver_inputs_total{sender="op",input="signal_push",result="nothing_to_do"}"#;
    assert_eq!(receiver.metric(ignored).await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_signal_is_refused_in_the_words_of_rfc_8935() {
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    let (worker, receiver) = receiver(&stage, &issuer);
    assert!(worker.start().await.stop().await.success());
    let _receiver = pushing(receiver).receive(&issuer.address).await;
    let revoked = format!("{CAEP}session-revoked");
    let good = set(&issuer, "j-1", &user(&issuer, "victim"), &revoked, &json!({}));
    let signed = |claims: &Value| issuer.token("secevent+jwt", claims);
    let about = |subject: Value| signed(&set(&issuer, "j-1", &subject, &revoked, &json!({})));
    let (iss, of_victim) = (issuer.issuer(), user(&issuer, "victim"));
    let nested = |depth: usize| {
        (0..depth)
            .fold(user(&issuer, "victim"), |inner, _| json!({ "format": "aliases", "identifiers": [inner] }))
    };
    let at = |time: Value| with(good.clone(), "events", json!({ &revoked: { "event_timestamp": time } }));
    let two = json!({ revoked.clone(): {}, format!("{RISC}account-disabled"): {} });
    let header = r#"{"alg":"ES256","kid":"k1","typ":"secevent+jwt"}"#;
    let rows = [
        ("authentication_failed", signed(&good), "Bearer other"),
        ("invalid_key", Signer::new().sign(header, &good.to_string()), PUSH_SECRET),
        ("invalid_issuer", signed(&with(good.clone(), "iss", json!("https://id.example.com"))), PUSH_SECRET),
        ("invalid_audience", signed(&with(good.clone(), "aud", json!("other"))), PUSH_SECRET),
        ("invalid_request", issuer.token("jwt", &good), PUSH_SECRET),
        ("invalid_request", "no token".to_owned(), PUSH_SECRET),
        ("invalid_request", signed(&with(good.clone(), "sub", json!("victim"))), PUSH_SECRET),
        ("invalid_request", signed(&with(good.clone(), "exp", json!(now_s() + 60))), PUSH_SECRET),
        ("invalid_request", signed(&with(good.clone(), "events", two)), PUSH_SECRET),
        ("invalid_request", signed(&with(good.clone(), "events", json!({}))), PUSH_SECRET),
        ("invalid_request", about(json!({ "format": "email", "email": "ann@example.com" })), PUSH_SECRET),
        ("invalid_request", about(json!({ "format": "opaque", "id": "1" })), PUSH_SECRET),
        (
            "invalid_request",
            about(json!({ "format": "complex", "device": { "format": "opaque", "id": "1" } })),
            PUSH_SECRET,
        ),
        (
            "invalid_request",
            about(json!({ "format": "account", "uri": "acct:ann@example.com" })),
            PUSH_SECRET,
        ),
        ("invalid_request", about(json!({ "format": "phone_number", "phone_number": "+1206" })), PUSH_SECRET),
        ("invalid_request", about(json!({ "format": "uri", "uri": "https://example.com/u" })), PUSH_SECRET),
        ("invalid_request", about(json!({ "format": "did", "url": "did:example:1" })), PUSH_SECRET),
        ("invalid_request", about(json!({ "format": "jwt_id", "iss": iss, "jti": "1" })), PUSH_SECRET),
        ("invalid_request", about(json!({ "format": "aliases", "identifiers": [] })), PUSH_SECRET),
        ("invalid_request", about(json!({ "format": "aliases", "identifiers": { "a": 1 } })), PUSH_SECRET),
        (
            "invalid_request",
            about(json!({ "format": "aliases", "identifiers": [{ "format": "opaque" }] })),
            PUSH_SECRET,
        ),
        ("invalid_request", about(nested(6)), PUSH_SECRET),
        ("invalid_request", about(json!({ "format": "iss_sub", "iss": iss })), PUSH_SECRET),
        ("invalid_request", about(json!({ "format": "iss_sub", "iss": iss, "sub": "" })), PUSH_SECRET),
        (
            "invalid_request",
            about(json!({ "format": "iss_sub", "iss": iss, "sub": ["victim"] })),
            PUSH_SECRET,
        ),
        (
            "invalid_request",
            about(json!({ "format": "iss_sub", "iss": [iss], "sub": "victim" })),
            PUSH_SECRET,
        ),
        ("invalid_request", about(json!({ "format": "ISS_SUB", "iss": iss, "sub": "victim" })), PUSH_SECRET),
        (
            "invalid_request",
            about(json!({ "format": ["iss_sub"], "iss": iss, "sub": "victim" })),
            PUSH_SECRET,
        ),
        ("invalid_request", about(json!({ "iss": iss, "sub": "victim" })), PUSH_SECRET),
        ("invalid_request", about(json!([])), PUSH_SECRET),
        ("invalid_request", about(json!("victim")), PUSH_SECRET),
        ("invalid_request", about(json!({ "format": "complex", "user": "victim" })), PUSH_SECRET),
        ("invalid_request", about(json!({ "format": "complex", "user": [of_victim] })), PUSH_SECRET),
        // Never wider than its session.
        (
            "invalid_request",
            about(json!({ "format": "complex", "user": of_victim,
                "session": { "format": "iss_sub", "iss": iss, "sub": "s-1" } })),
            PUSH_SECRET,
        ),
        (
            "invalid_request",
            about(json!({ "format": "complex", "user": of_victim, "session": { "format": "opaque" } })),
            PUSH_SECRET,
        ),
        (
            "invalid_request",
            about(json!({ "format": "complex", "user": of_victim, "session": null })),
            PUSH_SECRET,
        ),
        ("invalid_request", signed(&with(good.clone(), "events", json!([&revoked]))), PUSH_SECRET),
        ("invalid_request", signed(&with(good.clone(), "events", json!(&revoked))), PUSH_SECRET),
        ("invalid_request", signed(&with(good.clone(), "events", json!({ &revoked: null }))), PUSH_SECRET),
        ("invalid_request", signed(&with(good.clone(), "events", json!({ &revoked: [] }))), PUSH_SECRET),
        ("invalid_request", signed(&with(good.clone(), "iat", json!(1))), PUSH_SECRET),
        ("invalid_request", signed(&at(json!("now"))), PUSH_SECRET),
        ("invalid_request", signed(&at(json!(-1))), PUSH_SECRET),
        ("invalid_request", signed(&at(json!([1]))), PUSH_SECRET),
        (
            "access_denied",
            about(json!({ "format": "aliases", "identifiers": [
                { "format": "iss_sub", "iss": "https://id.example.com", "sub": "victim" }] })),
            PUSH_SECRET,
        ),
        (
            "access_denied",
            about(json!({ "format": "iss_sub", "iss": "https://id.example.com", "sub": "victim" })),
            PUSH_SECRET,
        ),
    ];
    for (err, token, authorization) in rows {
        let (status, body) = push(&issuer, &token, authorization).await;
        assert_eq!((status, body["err"].as_str()), (400, Some(err)), "{body}");
        assert!(body["description"].as_str().is_some_and(|text| !text.is_empty()));
        assert!(!body.to_string().contains("canary"), "{body}");
    }
}

/// What a transmitter keeps until it is acknowledged, and what it was told.
#[derive(Default)]
struct Stream {
    sets: BTreeMap<String, String>,
    acknowledged: Vec<String>,
    refused: BTreeMap<String, Value>,
}

/// RFC 8936 section 2.
fn transmit(stream: &Mutex<Stream>, request: &Request) -> Reply {
    if request.header("authorization") != Some("Bearer poll-canary") {
        return Reply::status(401);
    }
    let asked: Value = serde_json::from_str(&request.body).expect("JSON");
    let mut stream = stream.lock().expect("no panic");
    for jti in asked["ack"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        stream.sets.remove(jti);
        stream.acknowledged.push(jti.to_owned());
    }
    for (jti, error) in asked["setErrs"].as_object().into_iter().flatten() {
        stream.sets.remove(jti);
        stream.refused.insert(jti.clone(), error.clone());
    }
    let most = usize::try_from(asked["maxEvents"].as_u64().expect("a number")).expect("a few").min(2);
    let sets: BTreeMap<_, _> = stream.sets.iter().take(most).collect();
    let more = stream.sets.len() > most;
    Reply::json(200, json!({ "sets": sets, "moreAvailable": more }).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn polled_signals_are_acknowledged_once_they_are_published() {
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    let (worker, receiver) = receiver(&stage, &issuer);
    assert!(worker.start().await.stop().await.success());
    App::connect(&stage.amqp_url).await.delete_queue("revocation.logout").await;
    let stream = Arc::new(Mutex::new(Stream::default()));
    for number in 1..=5 {
        let (jti, revoked) = (format!("j-{number}"), format!("{CAEP}session-revoked"));
        let subject = user(&issuer, &format!("u-{number}"));
        let token = issuer.token("secevent+jwt", &set(&issuer, &jti, &subject, &revoked, &json!({})));
        stream.lock().expect("no panic").sets.insert(jti, token);
    }
    stream.lock().expect("no panic").sets.insert("bad".to_owned(), "no token".to_owned());
    let transmitter = ScriptedIdp::start({
        let stream = stream.clone();
        move |request| transmit(&stream, request)
    })
    .await;
    let receiver = receiver
        .set("REVOCATION__RECEIVE__SENDERS__OP__POLL_ENDPOINT", &format!("{}/poll", transmitter.url()))
        .set("REVOCATION__RECEIVE__SENDERS__OP__POLL_AUTHORIZATION", "Bearer poll-canary")
        .set("REVOCATION__RECEIVE__SENDERS__OP__POLL_EVERY", "1s");
    let receiver = receiver.receive(&issuer.address).await;
    // While no queue takes them, they stay with the transmitter.
    eventually("it has asked again", async || (transmitter.ledger().len() > 2).then_some(())).await;
    assert_eq!(stream.lock().expect("no panic").acknowledged, [""; 0]);
    let _worker = worker.start().await;
    let left = || stream.lock().expect("no panic").sets.len();
    eventually("all are settled", async || (left() == 0).then_some(())).await;
    stage.wait_for_count(5, "audit.revocations WHERE denied_at IS NOT NULL").await;
    let stream = stream.lock().expect("no panic");
    let mut acknowledged = stream.acknowledged.clone();
    acknowledged.sort_unstable();
    assert_eq!(acknowledged, ["j-1", "j-2", "j-3", "j-4", "j-5"]);
    assert_eq!(stream.refused["bad"]["err"], "invalid_request");
    assert!(!receiver.log().contains("poll-canary"), "a secret is in the log");
}
