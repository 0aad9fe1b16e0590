//! What the gate, and the consumer in Python, say of tokens of every kind, once a real worker has published
//! what was logged out.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use reqwest::Client;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::consumer::Consumer;
use crate::gate::Gate;
use crate::harness::{App, Stage, eventually, logout_of};
use crate::scripted_idp::{Reply, ScriptedIdp};

const HEADER: &str = r#"{"alg":"ES256"}"#;
const DIR: &str = r#"{"alg":"dir","enc":"A256GCM"}"#;

fn token(header: &str, payload: impl AsRef<[u8]>) -> String {
    format!("{}.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

fn jwt(payload: impl AsRef<[u8]>) -> String {
    token(HEADER, payload)
}

fn jwe(rest: &str) -> String {
    format!("{}..{rest}", URL_SAFE_NO_PAD.encode(DIR))
}

fn padded(signature: &str) -> String {
    format!(
        "{}.{}.{signature}",
        URL_SAFE.encode(r#"{"alg":"ES256","a":1}"#),
        URL_SAFE.encode(r#"{"n":"padded"}"#)
    )
}

/// What docs/consumers/consumer.py does not know (docs/verifiers.md says so).
const GATE_ALONE: &str = "a name in ISO-8859-1";

/// What is logged out: tokens, then users and a session.
fn targets() -> Value {
    let tokens = [
        jwt(r#"{"n":"no jti"}"#),
        padded("c2ln"),
        jwe("aXY.Y2lwaGVy.dGFn"),
        "v4.public.bWVzc2FnZQ".to_owned(),
        "v4.local.bWVzc2FnZQ.Zm9v".to_owned(),
        "tenant.region.one".to_owned(),
        token(r#"{"alg":"none"}"#, r#"{"jti":"victim"}"#),
        token(r#"{"alg":"none"}"#, r#"{"jti":"victim","iss":"https://forger"}"#),
        token(r#"{"alg":"none"}"#, r#"{"jti":"victim","iss":["https://one"]}"#),
        jwt(r#"{"jti":7,"iss":"https://one"}"#),
    ];
    let tokens = tokens.iter().map(|token| json!({ "token": token }));
    let wide = [
        json!({ "sub": "1000385" }),
        json!({ "sub": "José" }),
        json!({ "sub": "of-one", "iss": "https://one" }),
        json!({ "sid": "-7" }),
    ];
    tokens.chain(wide).collect()
}

/// `Authorization` values of what must be denied.
fn denied(now: i64) -> Vec<(&'static str, String)> {
    let bearer = |token: String| format!("Bearer {token}");
    let revoked = jwt(r#"{"n":"no jti"}"#);
    let of_user = |more: &str| bearer(jwt(format!(r#"{{"sub":1000385{more}}}"#)));
    let utf16 = |text: &str| bearer(jwt(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()));
    let mut rows = vec![
        ("as it was", bearer(revoked.clone())),
        ("padded", bearer(format!("{revoked}="))),
        ("padded more", format!("bearer   {revoked}====")),
        ("another signature", bearer(revoked.replace("c2lnbmF0dXJl", "dHdpbg"))),
        ("other trailing bits", bearer(revoked.replace("c2lnbmF0dXJl", "c2lnbmF0dXJlAB"))),
        ("a signature in the other alphabet", bearer(revoked.replace("c2lnbmF0dXJl", "a+/~"))),
        ("padded parts", bearer(padded("c2ln"))),
        ("padded parts and signature", bearer(padded("c2lo=="))),
        ("a JWE", bearer(jwe("aXY.Y2lwaGVy.dGFn"))),
        ("a PASETO", bearer("v4.public.bWVzc2FnZQ".to_owned())),
        ("an opaque token of three parts", bearer("tenant.region.one".to_owned())),
        ("the issuer's jti", bearer(jwt(r#"{"jti":"7","iss":"https://one"}"#))),
        ("an integer", of_user("")),
        ("text", bearer(jwt(r#"{"sub":"1000385"}"#))),
        ("half a pair", of_user(r#","name":"J\ud83d""#)),
        ("half a pair in front", bearer(jwt(r#"{"name":"\udc00","sub":1000385}"#))),
        ("too large a number", of_user(r#","n":1e400"#)),
        ("no number", of_user(r#","n":[NaN,-Infinity]"#)),
        ("deep", of_user(&format!(r#","n":{}{}"#, "[".repeat(3000), "]".repeat(3000)))),
        ("a sid that is a list", of_user(r#","sid":["a"]"#)),
        ("a mark", bearer(jwt(b"\xef\xbb\xbf{\"sub\":1000385}"))),
        ("UTF-16", utf16(r#"{"sub":"1000385"}"#)),
        ("UTF-16 with a mark", utf16("\u{feff}{\"sub\":\"1000385\"}")),
        ("ISO-8859-1 elsewhere", bearer(jwt(b"{\"name\":\"Andr\xe9\",\"sub\":1000385}"))),
        (GATE_ALONE, bearer(jwt(b"{\"sub\":\"Jos\xe9\"}"))),
        ("escaped", bearer(jwt(r#"{"s\u0075b":"Jos\u00E9"}"#))),
        (
            "the other alphabet",
            bearer(format!(
                "{}.{}.YQ",
                STANDARD_NO_PAD.encode(HEADER),
                STANDARD_NO_PAD.encode(r#"{"n":"~~??>>","sub":1000385}"#)
            )),
        ),
        ("a session", bearer(jwt(r#"{"sid":-7}"#))),
        ("an issuer's user", bearer(jwt(r#"{"sub":"of-one","iss":"https://one"}"#))),
        ("a user of no known issuer", bearer(jwt(r#"{"sub":"of-one","iss":{}}"#))),
        ("no JSON", bearer(jwt("no JSON"))),
        ("quotes of another sort", bearer(jwt("{'sub':'1000385'}"))),
        ("no quotes", bearer(jwt(r#"{"sub":x1000385}"#))),
        ("not to the end", bearer(jwt(r#"{"iss":"https://two","n":"#))),
        ("expired", bearer(jwt(format!(r#"{{"exp":{}}}"#, now * 1000 - 1)))),
    ];
    for (unit, digits) in [("s", ""), ("ms", "000"), ("µs", "000000"), ("ns", "000000000")] {
        for (when, seconds) in [("before", now - 60), ("tomorrow", now + 86_400), ("in 6 minutes", now + 360)]
        {
            rows.push((unit, of_user(&format!(r#","iat":{seconds}{digits},"when":"{when}""#))));
        }
    }
    for iat in ["null", "\"now\"", "1e18", "1e300", "1e400", "-1", "0", "[1]", "true", "9223372036854775808"]
    {
        rows.push(("no moment", of_user(&format!(r#","iat":{iat}"#))));
    }
    rows
}

fn allowed(now: i64) -> Vec<(&'static str, String)> {
    let bearer = |token: String| format!("Bearer {token}");
    let mut rows = vec![
        ("another JWE of the same header", bearer(jwe("aXY.b3RoZXI.dGFn"))),
        ("another PASETO", bearer("v4.public.b3RoZXI".to_owned())),
        (
            "a PASETO with a JSON payload",
            bearer(format!("v4.public.{}", URL_SAFE_NO_PAD.encode(b"{\"sub\":\"1000385\"}signature"))),
        ),
        ("another opaque token", bearer("tenant.region.two".to_owned())),
        ("the victim of an unsigned jti", bearer(jwt(r#"{"jti":"victim","iss":"https://one"}"#))),
        ("another issuer's jti", bearer(jwt(r#"{"jti":"7","iss":"https://two"}"#))),
        ("another issuer's user", bearer(jwt(r#"{"sub":"of-one","iss":"https://two"}"#))),
        ("a larger integer", bearer(jwt(r#"{"sub":10003850}"#))),
        ("an odd name of somebody else", bearer(jwt(r#"{"sub":"t","name":"J\ud83d","n":[NaN,1e400]}"#))),
        ("an odd sub", bearer(jwt(r#"{"sub":"\ud83d"}"#))),
        ("claims in a claim", bearer(jwt(r#"{"sub":"t","act":{"sub":1000385}}"#))),
        ("no algorithm and no JSON", bearer(token(r#"{"alg":"none"}"#, "no JSON"))),
        ("a number with a fraction", bearer(jwt(r#"{"sub":1000385.5}"#))),
        (
            "Okta's claim in a token of nobody's",
            bearer(jwt(r#"{"uid":"1000385","cid":"1000385","oid":"1000385"}"#)),
        ),
        ("for ever", bearer(jwt(r#"{"sub":"t","exp":253402300799}"#))),
    ];
    for (unit, digits) in [("s", ""), ("ms", "000"), ("µs", "000000"), ("ns", "000000000")] {
        rows.push((unit, bearer(jwt(format!(r#"{{"sub":1000385,"iat":{}{digits}}}"#, now + 60)))));
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn both_verifiers_tell_every_kind_of_token_as_the_worker_published_it() {
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let stage = Stage::new().await;
    let _worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let gate = Gate::start(&stage, "fail_closed");
    gate.wait_for_readiness(200, "ready").await;
    let mut consumer = Consumer::start(&stage.amqp_url);
    let now = OffsetDateTime::now_utc();
    let mut event = logout_of("1", targets());
    event["time"] = now.format(&Rfc3339).expect("a time").into();
    App::connect(&stage.amqp_url).await.publish(&event).await;

    let client = Client::builder().timeout(Duration::from_secs(10)).build().expect("a client");
    let verdict = async |value: &str| {
        let answer = client
            .get(format!("http://{}/check", gate.address))
            .header(AUTHORIZATION, value)
            .send()
            .await
            .expect("ask the gate");
        answer.headers()["x-revocation-verdict"].to_str().expect("ASCII").to_owned()
    };
    let last = format!("Bearer {}", jwt(r#"{"sid":"-7"}"#));
    eventually("the session is denied", async || (verdict(&last).await == "denied").then_some(())).await;
    consumer.comes_to_say("denied", last.trim_start_matches("Bearer ")).await;
    consumer.comes_to_say("allowed", "opaque").await;
    let now = now.unix_timestamp();
    for (expected, rows) in [("denied", denied(now)), ("allowed", allowed(now))] {
        for (what, value) in rows {
            assert_eq!(verdict(&value).await, expected, "{what}: {value}");
            let (_, token) = value.split_once(' ').expect("a scheme");
            if what != GATE_ALONE {
                assert_eq!(consumer.verdict(token.trim()), expected, "Python of {what}: {value}");
            }
        }
    }
    let metrics = gate.metrics().await;
    for name in ["unreadable_tokens_total 4", "future_iat_total{iss=\"none\"} "] {
        assert!(metrics.contains(&format!("\nrevocation_verifier_{name}")), "{name}\n{metrics}");
    }
    gate.stop().await;
}
