//! The programs of docs/consumers, run as they stand: verifiers in other languages know what the Rust one
//! knows.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use revocation_verifier::claims::compact_jws;
use revocation_verifier::{StalenessPolicy, TokenView, Verdict};
use revocation_worker::invalidation::Entry;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::consumer::{Consumer, Language};
use crate::harness::{App, Operator, Stage, canary_token, eventually, logout, logout_of};
use crate::scripted_idp::{Memory, ScriptedIdp};
use crate::source::{Source, denial, holds, verifier};

fn jwt(claims: &Value) -> String {
    jwt_of(claims.to_string().as_bytes())
}

fn jwt_of(payload: &[u8]) -> String {
    format!("eyJhbGciOiJSUzI1NiJ9.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(payload))
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// Two seconds old, good for an hour.
fn token_of(sub: &str, iss: Option<&str>) -> String {
    jwt(&json!({ "sub": sub, "iss": iss, "jti": canary_token(), "iat": now() - 2, "exp": now() + 3600 }))
}

async fn stage_with_worker() -> (Stage, ScriptedIdp, crate::harness::Worker) {
    let (stage, memory) = (Stage::new().await, Memory::default());
    let idp = memory.serve().await;
    let worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    (stage, idp, worker)
}

/// A logout of one wide target whose cutoff is now.
fn cutoff(id: &str, target: Value) -> Value {
    let mut event = logout_of(id, json!([target]));
    event["data"]["not_before"] = json!(OffsetDateTime::now_utc().format(&Rfc3339).expect("a time"));
    event
}

async fn a_log_that_was_taken_away_is_subscribed_to_again(language: Language) {
    let stage = Stage::new().await;
    let source = Source::declare_apart(&stage.amqp_url).await;
    let Some(mut consumer) = Consumer::of(language, &stage.amqp_url, &[]) else { return };
    let (token, now) = (canary_token(), OffsetDateTime::now_utc());
    source.deny_as("a", 1, denial("t1")).await;
    source.naming("a", 1, now, consumer.comes_to_say("allowed", &token)).await;
    source.delete_stream().await;
    source.declare_stream(None).await;
    source.deny_as("a", 2, denial("t2")).await;
    source.naming("a", 2, now, consumer.comes_to_say("stale", &token)).await;
    let mut number = 3;
    eventually("it reads the new log", async || {
        source.deny_as("a", number, denial(&format!("t{number}"))).await;
        source.name("a", number.unsigned_abs(), now).await;
        number += 1;
        (consumer.verdict(&token) == "allowed").then_some(())
    })
    .await;
}

async fn what_is_revoked_is_denied_and_silence_is_noticed(language: Language) {
    let (stage, _idp, mut worker) = stage_with_worker().await;
    let Some(mut consumer) = Consumer::of(language, &stage.amqp_url, &[]) else { return };
    let app = App::connect(&stage.amqp_url).await;
    let (access, opaque, other) = (token_of("user-1", None), canary_token(), token_of("user-2", None));
    consumer.comes_to_say("allowed", &access).await;
    assert_eq!(consumer.verdict(&opaque), "allowed");

    app.publish(&logout("1", &access, &opaque)).await;
    consumer.comes_to_say("denied", &opaque).await;
    assert_eq!(consumer.verdict(&access), "denied");
    let (signed, _) = access.rsplit_once('.').expect("a signature");
    assert_eq!(
        consumer.verdict(&format!("{signed}.c2lnbmF0dXJm")),
        "denied",
        "another spelling of its signature changes nothing"
    );
    assert_eq!(consumer.verdict(&other), "allowed");

    // A verifier that starts later knows it from the stream.
    consumer = Consumer::of(language, &stage.amqp_url, &[]).expect("the program is there");
    consumer.comes_to_say("allowed", &other).await;
    assert_eq!(consumer.verdict(&access), "denied");

    assert!(worker.stop().await.success());
    consumer.comes_to_say("stale", &other).await;
    assert_eq!(consumer.verdict(&access), "denied", "what is known to be denied stays denied");
}

async fn a_cutoff_denies_what_is_older_of_its_issuer(language: Language) {
    let (stage, _idp, _worker) = stage_with_worker().await;
    let Some(mut consumer) = Consumer::of(language, &stage.amqp_url, &[]) else { return };
    let app = App::connect(&stage.amqp_url).await;
    let (ours, theirs) = (Some("https://id.example.com"), Some("https://other.example.com"));
    let of_everyone = token_of("user-1", theirs);
    consumer.comes_to_say("allowed", &of_everyone).await;

    app.publish(&cutoff("1", json!({ "sub": "user-1" }))).await;
    consumer.comes_to_say("denied", &of_everyone).await;
    app.publish(&cutoff("2", json!({ "sub": "user-2", "iss": ours }))).await;
    consumer.comes_to_say("denied", &token_of("user-2", ours)).await;

    let with =
        |iat: Value, sub: &str| jwt(&json!({ "sub": sub, "iss": ours, "iat": iat, "exp": now() + 3600 }));
    let cases = [
        (with(Value::Null, "user-1"), "denied", "no iat"),
        (with(json!(now() + 60), "user-1"), "allowed", "issued after the cutoff"),
        (token_of("user-2", None), "denied", "an issuer that is not known may be the one that is meant"),
        (token_of("user-2", theirs), "allowed", "another issuer's user of that name"),
        (token_of("user-3", ours), "allowed", "another user"),
        (jwt(&json!({ "sub": "user-3", "exp": now() - 1 })), "denied", "expired"),
        (
            jwt(&json!({ "sub": "user-3", "exp": (now() + 60) * 1000 })),
            "allowed",
            "expires in a minute, in milliseconds",
        ),
        (jwt(&json!({ "sub": "user-3", "exp": 253_402_300_799_i64 })), "allowed", "never expires"),
        (jwt(&json!({ "sub": ["user-1"], "iat": "now" })), "allowed", "claims of other types name nothing"),
    ];
    for (token, verdict, why) in cases {
        assert_eq!(consumer.verdict(&token), verdict, "{why}");
    }

    // An older cutoff, arriving later, re-admits nothing.
    app.publish(&logout_of("3", json!([{ "sub": "user-1" }, { "sub": "user-9" }]))).await;
    consumer.comes_to_say("denied", &jwt(&json!({ "sub": "user-9" }))).await;
    assert_eq!(consumer.verdict(&of_everyone), "denied");
}

async fn a_lost_connection_loses_nothing(language: Language) {
    let (stage, _idp, _worker) = stage_with_worker().await;
    let operator = Operator::of(&stage).await;
    // Reading the log and the heartbeats is all that it may do.
    let url = operator
        .add_limited_user(
            &stage,
            "python",
            json!({ "configure": "^$", "write": "^$", "read": "^auth\\.invalidations\\.(log|beats)$" }),
        )
        .await;
    let Some(mut consumer) = Consumer::of(language, &url, &[]) else { return };
    let app = App::connect(&stage.amqp_url).await;
    let tokens = [token_of("user-1", None), token_of("user-2", None)];
    consumer.comes_to_say("allowed", &tokens[0]).await;

    operator.disconnect("python").await;
    app.publish(&logout("1", &tokens[0], &canary_token())).await;
    consumer.comes_to_say("denied", &tokens[0]).await;
    consumer.comes_to_say("allowed", &tokens[1]).await;
}

/// Entries of every kind, as workers of this release and of older ones publish them.
fn entries(not_before: i64) -> Vec<Entry> {
    let time = |seconds: i64| {
        OffsetDateTime::from_unix_timestamp(seconds).expect("a time").format(&Rfc3339).expect("RFC 3339")
    };
    let (cutoff, until) = (time(not_before), time(not_before + 3600));
    let jwt = jwt(&json!({ "name": "no jti" }));
    let signed = compact_jws(&jwt).expect("a JWS").signed_sha256();
    let (one, two) = ("https://one", "https://two");
    let list = json!([
        { "kind": "token", "token_sha256": "00".repeat(32), "signed_sha256": signed, "iss": null,
          "expires_at": until },
        { "kind": "token", "token_sha256": "01".repeat(32), "jti": "old", "expires_at": until },
        { "kind": "token", "token_sha256": "02".repeat(32), "jti": "nobody's", "iss": null,
          "expires_at": until },
        { "kind": "token", "token_sha256": "03".repeat(32), "jti": "one's", "iss": one, "expires_at": until },
        { "kind": "session", "sid": "7", "sub": null, "iss": null, "not_before": cutoff,
          "expires_at": until },
        { "kind": "client", "client_id": "app", "iss": one, "client_claims": ["cid"],
          "not_before": cutoff, "expires_at": until },
        { "kind": "subject", "sub": "1000385", "iss": null, "subject_claims": ["oid"], "claims_iss": two,
          "not_before": cutoff, "expires_at": until },
    ]);
    serde_json::from_value(list).expect("entries")
}

/// Tokens, and whether those entries deny them.
fn tokens(not_before: i64) -> Vec<(String, bool)> {
    let (one, two) = ("https://one", "https://two");
    let mut tokens = vec![
        (jwt(&json!({ "name": "no jti" })) + "=", true),
        (jwt(&json!({ "name": "no jti" })).replace("c2ln", "dHdp"), true),
        (jwt(&json!({ "name": "another" })), false),
        (jwt(&json!({ "jti": "old", "iss": two })), true),
        (jwt(&json!({ "jti": "nobody's" })), true),
        (jwt(&json!({ "jti": "nobody's", "iss": one })), false),
        (jwt(&json!({ "jti": "one's", "iss": one })), true),
        (jwt(&json!({ "jti": "one's", "iss": two })), false),
        (jwt(&json!({ "jti": "one's" })), false),
        (jwt(&json!({ "sid": 7 })), true),
        (jwt(&json!({ "cid": "app", "iss": one })), true),
        (jwt(&json!({ "cid": "app", "iss": two })), false),
        (jwt(&json!({ "cid": "app" })), false),
        (jwt(&json!({ "oid": 1_000_385, "iss": two })), true),
        (jwt(&json!({ "oid": 1_000_385, "iss": one })), false),
        (jwt_of(b"{\"sub\":1000385,\"name\":\"J\\ud83d\",\"n\":[NaN,1e400]}"), true),
        (jwt_of(b"{\"sub\":\"t\",\"name\":\"J\\ud83d\",\"n\":[NaN,1e400]}"), false),
        (jwt_of(b"\xef\xbb\xbf{\"sub\":1000385,\"name\":\"\xe9\"}"), true),
        (jwt_of(b"no JSON"), true),
        (jwt_of(b"{\"sub\":\"t\""), true),
        (jwt_of(b"{}").replace("eyJhbGciOiJSUzI1NiJ9", "v4").replace("e30", "local"), false),
        (jwt_of(b"no JSON") + ".a.b", false),
        (jwt_of(b"no JSON").replace("eyJhbGciOiJSUzI1NiJ9", "eyJhbGciOiJub25lIn0"), false),
    ];
    for unit in [1, 1000, 1_000_000] {
        let of = |seconds: i64| {
            jwt(&json!({
                "sub": 1_000_385, "iat": (not_before + seconds) * unit,
                "exp": (not_before + 3600) * unit,
            }))
        };
        tokens.extend([(of(0), true), (of(1), false), (of(7200), true)]);
        tokens.push((jwt(&json!({ "exp": (not_before - 60) * unit })), true));
    }
    tokens
}

async fn both_verifiers_say_the_same_of_every_kind_of_token(language: Language) {
    let stage = Stage::new().await;
    let source = Source::declare_apart(&stage.amqp_url).await;
    let Some(mut consumer) = Consumer::of(language, &stage.amqp_url, &[]) else { return };
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    let not_before = now() - 2;
    let (denials, last) = (entries(not_before), token_of("1000385", None));
    let number = denials.len();
    source.deny(denials).await;
    source.beating(holds(&denylist, number)).await;
    consumer.comes_to_say("denied", &last).await;
    for (token, is_denied) in tokens(not_before) {
        let claims = String::from_utf8_lossy(
            &URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("a payload")).unwrap_or_default(),
        )
        .into_owned();
        // Other parsers than Python's take no NaN: claims that they cannot read are denied by any cutoff.
        if language == Language::Python || !claims.contains("NaN") {
            assert_eq!(consumer.verdict(&token) == "denied", is_denied, "of {token}: {claims}");
        } else {
            assert_eq!(consumer.verdict(&token), "denied", "of {token}: {claims}");
        }
        assert_eq!(
            matches!(denylist.check(&TokenView::bearer(&token)), Verdict::Denied(_)),
            is_denied,
            "Rust of {token}: {claims}"
        );
    }
}

macro_rules! scenarios {
    ($($name:ident $language:ident: $($scenario:ident)*;)*) => {$(
        mod $name {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() {
                super::$scenario(super::Language::$language).await;
            })*
        }
    )*};
    ($($name:ident $language:ident)*) => {
        scenarios! {$(
            $name $language:
                a_cutoff_denies_what_is_older_of_its_issuer
                a_log_that_was_taken_away_is_subscribed_to_again
                a_lost_connection_loses_nothing
                both_verifiers_say_the_same_of_every_kind_of_token
                what_is_revoked_is_denied_and_silence_is_noticed;
        )*}
    };
}

scenarios! { python Python node Node go Go java Java }
