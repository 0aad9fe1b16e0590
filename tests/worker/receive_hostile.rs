//! Tokens that nobody must take, by HTTP or by queue, each refused by the standard's own error or to the
//! record, and for the right reason: and none of them is an event.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use crate::harness::{App, Feed, Issuer, Operator, Signer, Stage, now_s};
use crate::scripted_idp::{Reply, ScriptedIdp};
use revocation_worker::invalidation::Phase;
use revocation_worker::visible::hex;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const HEADER: &str = r#"{"alg":"ES256","kid":"k1","typ":"logout+jwt"}"#;

/// What it is, why it is refused, the token.
type Row = (String, &'static str, String);

/// A good token's claims with some changed; `null` removes one.
fn changed(issuer: &Issuer, changes: &Value) -> Value {
    let mut claims = issuer.claims("hostile", "victim");
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            Value::String(word) if word == "(null)" => claims[name] = Value::Null,
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// Headers over good claims, signed with the issuer's own key.
fn headers(issuer: &Issuer) -> Vec<Row> {
    let claims = issuer.claims("hostile", "victim").to_string();
    let rows = [
        ("bad_algorithm", r#"{"alg":"None","kid":"k1"}"#),
        ("bad_algorithm", r#"{"alg":"none","kid":"k1"}"#),
        ("bad_algorithm", r#"{"alg":"NONE","kid":"k1"}"#),
        ("bad_algorithm", r#"{"alg":"","kid":"k1"}"#),
        ("bad_algorithm", r#"{"kid":"k1"}"#),
        ("bad_algorithm", r#"{"alg":"es256","kid":"k1"}"#),
        ("bad_algorithm", r#"{"alg":"ES512","kid":"k1"}"#),
        ("bad_algorithm", r#"{"alg":"ES256K","kid":"k1"}"#),
        ("bad_algorithm", r#"{"alg":"RSA-OAEP","enc":"A256GCM","kid":"k1"}"#),
        ("bad_algorithm", r#"{"alg":"dir","kid":"k1"}"#),
        ("bad_token", r#"{"alg":["ES256"],"kid":"k1"}"#),
        ("bad_token", r#"{"alg":null,"kid":"k1"}"#),
        ("bad_token", r#"{"alg":256,"kid":"k1"}"#),
        ("bad_token", r#"{"alg":"ES256","alg":"none","kid":"k1"}"#),
        ("bad_token", r#"{"alg":"ES256","kid":1}"#),
        ("bad_token", r#"{"alg":"ES256","kid":"k1","typ":["logout+jwt"]}"#),
        ("bad_token", r#"["ES256"]"#),
        ("bad_token", r#""ES256""#),
        ("bad_algorithm", r#"{"alg":"ES256","kid":"k1","crit":["exp"]}"#),
        ("bad_algorithm", r#"{"alg":"ES256","kid":"k1","crit":[]}"#),
        ("bad_algorithm", r#"{"alg":"ES256","kid":"k1","b64":false}"#),
        ("bad_type", r#"{"alg":"ES256","kid":"k1","typ":"at+jwt"}"#),
        ("bad_type", r#"{"alg":"ES256","kid":"k1","typ":"secevent+jwt"}"#),
        ("bad_type", r#"{"alg":"ES256","kid":"k1","typ":"global-token-revocation+jwt"}"#),
        ("bad_type", r#"{"alg":"ES256","kid":"k1","typ":""}"#),
        ("bad_token", r#"{"alg":"ES256","kid":"k1","kid":"k2"}"#),
        ("bad_token", r#"{"alg":"ES256","kid":null}"#),
        ("bad_token", r#"{"alg":"ES256","kid":["k1"]}"#),
        ("bad_token", r#"{"alg":"ES256","kid":"k1","typ":null}"#),
        ("bad_token", "\u{feff}{\"alg\":\"ES256\",\"kid\":\"k1\"}"),
        ("bad_algorithm", r#"{"alg":"\u0415S256","kid":"k1"}"#),
        ("bad_algorithm", r#"{"alg":"ES256 ","kid":"k1"}"#),
        ("bad_algorithm", r#"{"alg":"ES256\u0000","kid":"k1"}"#),
        ("bad_algorithm", r#"{"alg":"A256GCMKW","enc":"A256GCM","zip":"DEF","kid":"k1"}"#),
        ("bad_algorithm", r#"{"alg":"ES256","kid":"k1","crit":null}"#),
        ("bad_type", r#"{"alg":"ES256","kid":"k1","typ":"application/application/logout+jwt"}"#),
        ("bad_type", r#"{"alg":"ES256","kid":"k1","typ":"logout+jwt "}"#),
        ("bad_type", r#"{"alg":"ES256","kid":"k1","typ":"application/"}"#),
        ("bad_type", r#"{"alg":"ES256","kid":"k1","typ":"id_token+jwt"}"#),
        ("bad_type", r#"{"alg":"ES256","kid":"k1","typ":"JOSE+JSON"}"#),
        // No key of that kind; another id.
        ("unknown_key", r#"{"alg":"RS256","kid":"k1"}"#),
        ("unknown_key", r#"{"alg":"ES256","kid":"../../../../dev/null"}"#),
        ("unknown_key", r#"{"alg":"ES256","kid":"k1' OR '1'='1"}"#),
        ("unknown_key", r#"{"alg":"ES256","kid":""}"#),
        // No more of these: for each the keys are fetched anew, which is limited.
        ("unknown_key", r#"{"alg":"ES256","kid":"k1\u0000"}"#),
    ];
    let row = |(code, header): (&'static str, &str)| {
        (format!("header {header}"), code, issuer.signer.sign(header, &claims))
    };
    rows.into_iter().map(row).collect()
}

/// Claims under a good header, signed with the issuer's own key.
fn claims(issuer: &Issuer) -> Vec<Row> {
    let (now, iss) = (now_s(), issuer.issuer());
    let long = "x".repeat(1025);
    let rows = [
        ("foreign_issuer", json!({ "iss": "https://id.example.com" })),
        ("foreign_issuer", json!({ "iss": format!("{iss}/") })),
        ("foreign_issuer", json!({ "iss": iss.to_uppercase() })),
        ("foreign_issuer", json!({ "iss": null })),
        ("bad_claim", json!({ "iss": [iss] })),
        ("foreign_audience", json!({ "aud": "cards" })),
        ("foreign_audience", json!({ "aud": "shop " })),
        ("foreign_audience", json!({ "aud": ["cards", "shopping"] })),
        ("foreign_audience", json!({ "aud": [] })),
        ("foreign_audience", json!({ "aud": null })),
        ("bad_claim", json!({ "aud": [["shop"]] })),
        ("bad_claim", json!({ "aud": { "shop": true } })),
        ("bad_claim", json!({ "aud": ["shop", null] })),
        ("bad_claim", json!({ "aud": ["shop", ["shop"]] })),
        ("bad_claim", json!({ "aud": true })),
        ("foreign_audience", json!({ "aud": "Shop" })),
        ("foreign_audience", json!({ "aud": "shop,cards" })),
        ("foreign_audience", json!({ "aud": ["shop\u{0}"] })),
        ("foreign_issuer", json!({ "iss": format!("{iss}\u{0}") })),
        ("foreign_issuer", json!({ "iss": format!(" {iss}") })),
        ("foreign_issuer", json!({ "iss": "" })),
        ("bad_claim", json!({ "iat": 0, "exp": null })),
        ("bad_claim", json!({ "iat": now / 60, "exp": null })),
        ("bad_claim", json!({ "iat": [now] })),
        ("bad_claim", json!({ "iat": true })),
        ("bad_claim", json!({ "nbf": "" })),
        ("bad_claim", json!({ "iat": 9e17, "exp": null })),
        ("expired", json!({ "iat": now - 600, "exp": now - 300 })),
        ("expired", json!({ "iat": now, "exp": now - 1 })),
        ("expired", json!({ "iat": now - 2 * 86_400, "exp": null })),
        ("not_yet", json!({ "exp": (now + 120) * 1000 })),
        ("not_yet", json!({ "exp": now + 10 * 86_400 })),
        ("bad_claim", json!({ "exp": (now + 120).to_string() })),
        ("bad_claim", json!({ "exp": -1 })),
        ("not_yet", json!({ "iat": now + 3600, "exp": now + 3700 })),
        ("not_yet", json!({ "iat": now * 1000, "exp": null })),
        ("not_yet", json!({ "nbf": now + 3600 })),
        ("bad_claim", json!({ "iat": null })),
        ("bad_claim", json!({ "iat": now.to_string() })),
        ("bad_claim", json!({ "nonce": "n" })),
        ("bad_claim", json!({ "nonce": "(null)" })),
        ("bad_claim", json!({ "events": null })),
        ("bad_claim", json!({ "events": {} })),
        ("bad_claim", json!({ "events": [EVENT] })),
        ("bad_claim", json!({ "events": EVENT })),
        ("bad_claim", json!({ "events": { EVENT: "" } })),
        ("bad_claim", json!({ "events": { EVENT: null } })),
        ("bad_claim", json!({ "events": { "backchannel-logout": {} } })),
        ("bad_claim", json!({ "events": { EVENT: [] } })),
        ("bad_claim", json!({ "events": { EVENT: true } })),
        ("bad_claim", json!({ "events": [{ EVENT: {} }] })),
        ("bad_claim", json!({ "events": { EVENT.to_uppercase(): {} } })),
        ("bad_claim", json!({ "events": { format!("{EVENT}/"): {} } })),
        ("bad_claim", json!({ "events": { "data": { EVENT: {} } } })),
        ("bad_claim", json!({ "nonce": false })),
        ("bad_claim", json!({ "sub": null })),
        ("bad_claim", json!({ "sub": ["victim"] })),
        ("bad_claim", json!({ "sub": 7 })),
        ("bad_claim", json!({ "sub": "" })),
        ("bad_claim", json!({ "sub": "(null)" })),
        ("bad_claim", json!({ "sub": { "sub": "victim" } })),
        ("bad_claim", json!({ "sub": "a\u{0}b" })),
        ("bad_claim", json!({ "sub": long })),
        ("bad_claim", json!({ "sid": { "id": "s" } })),
        ("bad_claim", json!({ "sid": "" })),
        ("bad_claim", json!({ "jti": null })),
        ("bad_claim", json!({ "jti": "" })),
        ("bad_claim", json!({ "jti": 1 })),
        ("bad_claim", json!({ "jti": long })),
    ];
    let row = |(code, changes): (&'static str, Value)| {
        let token = issuer.token("logout+jwt", &changed(issuer, &changes));
        let mut what = changes.to_string();
        what.truncate(100);
        (format!("claims {what}"), code, token)
    };
    rows.into_iter().map(row).collect()
}

/// Tokens that others made, or that are none.
fn forgeries(issuer: &Issuer, thief: &ScriptedIdp) -> Vec<Row> {
    let claims = issuer.claims("hostile", "victim").to_string();
    let good = issuer.logout_token("hostile", "victim");
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let other = Signer::new();
    let own = other.public("k1");
    let mut rows = Vec::new();
    let mut row = |what: &str, code, token: String| rows.push((what.to_owned(), code, token));
    // The public key, in the forms that a careless verifier might take for a secret.
    let public = issuer.signer.public("k1");
    let set = json!({ "keys": [public] }).to_string();
    for (algorithm, name) in
        [(Algorithm::HS256, "HS256"), (Algorithm::HS384, "HS384"), (Algorithm::HS512, "HS512")]
    {
        for secret in [set.as_str(), &public.to_string(), public["x"].as_str().expect("x"), ""] {
            let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{name}","kid":"k1"}}"#));
            let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(&claims));
            let key = EncodingKey::from_secret(secret.as_bytes());
            let signature = crypto::sign(signed.as_bytes(), &key, algorithm).expect("a signature");
            row("a public key as secret", "bad_algorithm", format!("{signed}.{signature}"));
        }
    }
    let theirs = json!({ "alg": "ES256", "kid": "k1", "jwk": own, "x5c": ["MIIB"],
        "jku": format!("{}/jwks", thief.url()), "x5u": format!("{}/cert", thief.url()) });
    row("a key that the token brings", "bad_signature", other.sign(&theirs.to_string(), &claims));
    row("another's key under our id", "bad_signature", other.sign(HEADER, &claims));
    row("another's key under no id", "bad_signature", other.sign(r#"{"alg":"ES256"}"#, &claims));
    let changed = URL_SAFE_NO_PAD.encode(claims.replace("victim", "other!"));
    row("a payload that was changed", "bad_signature", format!("{header}.{changed}.{signature}"));
    let cut = &signature[..signature.len() - 4];
    row("a signature that was cut", "bad_signature", format!("{header}.{payload}.{cut}"));
    row("a signature of zeros", "bad_signature", format!("{header}.{payload}.{}", "A".repeat(86)));
    row("a signature twice", "bad_signature", format!("{header}.{payload}.{signature}{signature}"));
    row("a signature in DER", "bad_signature", format!("{header}.{payload}.{}", "MEUC".repeat(24)));
    row("a letter of other alphabets", "bad_token", format!("{}=.{payload}.{signature}", header));
    row("a line break behind", "bad_signature", format!("{good}\n"));
    row("a token before it", "bad_token", format!("{good} {good}"));
    row("Bearer before it", "bad_token", format!("Bearer {good}"));
    row("a signature with padding", "bad_signature", format!("{header}.{payload}.{signature}=="));
    row("no signature", "bad_token", format!("{header}.{payload}."));
    row("two parts", "bad_token", format!("{header}.{payload}"));
    row("four parts", "bad_token", format!("{good}.{signature}"));
    row("five parts", "bad_token", format!("{header}.{payload}.{signature}.{payload}.{signature}"));
    row("a blank before it", "bad_token", format!(" {good}"));
    row("no token", "bad_token", String::new());
    row(
        "JSON",
        "bad_token",
        json!({ "protected": header, "payload": payload, "signature": signature }).to_string(),
    );
    row("no base64url", "bad_token", format!("{}.{payload}.{signature}", header.replace('e', "+")));
    for (what, payload) in [
        ("a claim twice", claims.replacen('{', r#"{"sub":"other","#, 1)),
        ("an event twice", claims.replacen(r#"":{}"#, &format!(r#"":{{}},"{EVENT}":{{}}"#), 1)),
        ("a list of claims", format!("[{claims}]")),
        ("a token in a token", json!(good).to_string()),
        ("a deep payload", format!(r#"{{"a":{}1{}}}"#, "[".repeat(200), "]".repeat(200))),
        ("two payloads", format!("{claims}{claims}")),
        ("no payload", " ".to_owned()),
    ] {
        row(what, "bad_token", issuer.signer.sign(HEADER, &payload));
    }
    rows
}

fn rows(issuer: &Issuer, thief: &ScriptedIdp) -> Vec<Row> {
    let rows = [headers(issuer), claims(issuer), forgeries(issuer, thief)].concat();
    assert!(rows.len() > 60, "{}", rows.len());
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn none_of_the_hostile_tokens_is_taken() {
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    let thief = ScriptedIdp::start(|_| Reply::status(200)).await;
    let worker = stage.worker("http://127.0.0.1:9/revoke");
    assert!(worker.start().await.stop().await.success());
    let receiver = issuer.known_to(worker.clone()).receive(&issuer.address).await;
    let mut codes = BTreeMap::new();
    for (what, code, token) in &rows(&issuer, &thief) {
        let answer = issuer.send(token).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(answer.status(), 400, "{what}");
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body["error"], "invalid_request", "{what}");
        *codes.entry(*code).or_insert(0.0) += 1.0;
        let count = receiver.metric(&counted(code)).await;
        assert_eq!(Some(&count), codes.get(code), "{what} is refused as {code}: {body}");
    }
    // None of these codes is left out by chance.
    assert_eq!(codes.len(), 10, "{codes:?}");
    assert!(thief.ledger().is_empty(), "a token's own address was called");
    let good = issuer.logout_token("good", "user-1");
    assert_eq!(issuer.send(&good).await.expect("an answer").status(), 200);
    let _worker = worker.start().await;
    stage.wait_for_count(1, "audit.revocations").await;
    Operator::of(&stage).await.wait_for_ready(0, "revocation.logout").await;
    assert_eq!(stage.count("audit.revocations").await, 1, "what was refused is no event");
    assert!(stage.count("audit.rejected_events").await >= 60);
}

fn counted(code: &str) -> String {
    format!(r#"revocation_receiver_inputs_total{{sender="op",input="backchannel_logout",result="{code}"}}"#)
}

/// The codes of refused events that a code of `receive` may become.
fn by_queue(code: &str) -> &'static [&'static str] {
    match code {
        "bad_algorithm" | "bad_token" | "unknown_key" | "bad_signature" => &["bad_signature"],
        "bad_type" => &["unknown_type"],
        "foreign_issuer" | "foreign_audience" => &["not_allowed"],
        "bad_claim" => &["invalid_field", "missing_field"],
        _ => &["invalid_field"],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn none_of_the_same_tokens_is_taken_by_queue() {
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    let thief = ScriptedIdp::start(|_| Reply::status(200)).await;
    let mut worker = issuer.known_to(stage.worker("http://127.0.0.1:9/revoke")).start().await;
    let feed = Feed::listen(&stage.amqp_url).await;
    let (app, rows) = (App::connect(&stage.amqp_url).await, rows(&issuer, &thief));
    for (_, _, token) in &rows {
        app.publish_signed("application/logout+jwt", token).await;
    }
    let count = i64::try_from(rows.len()).expect("a few");
    stage.wait_for_count(count, "audit.rejected_events").await;
    let refused = "SELECT jsonb_build_array(body_sha256, code, detail) FROM audit.rejected_events";
    let refused: BTreeMap<String, (String, String)> = stage
        .rows(refused)
        .await
        .into_iter()
        .map(|row| serde_json::from_value(row).expect("three texts"))
        .map(|(digest, code, detail)| (digest, (code, detail)))
        .collect();
    for (what, wanted, token) in &rows {
        let (code, detail) = &refused[&hex(digest(&SHA256, token.as_bytes()).as_ref())];
        assert!(by_queue(wanted).contains(&code.as_str()), "{what} is refused as {code}: {detail}");
        assert!(detail.contains(&format!("{wanted}: ")), "{what}, for the same reason as by HTTP: {detail}");
    }
    Operator::of(&stage).await.wait_for_ready(u32::try_from(count).expect("a few"), "revocation.dead").await;
    assert!(thief.ledger().is_empty(), "a token's own address was called");
    app.publish_signed("application/logout+jwt", &issuer.logout_token("good", "user-1")).await;
    feed.wait_for(Phase::Requested, "op/good").await;
    stage.wait_for_count(1, "audit.revocations").await;
    let denials = feed.seen().iter().filter(|seen| seen.data.phase == Phase::Requested).count();
    assert_eq!(denials, 1, "nothing else was denied");
    assert!(worker.stop().await.success());
    assert!(rows.iter().all(|(_, _, token)| token.len() < 80 || !worker.log().contains(token)));
}
