//! What a token says of itself: published, on record, and published again as it was.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lapin::BasicProperties;
use revocation_worker::invalidation::Phase;
use revocation_worker::target::Token;
use serde_json::{Value, json};
use sqlx::Executor;
use url::Url;

use crate::harness::{App, Feed, Operator, Setup, Stage, Worker, canary_token, eventually, logout_of};
use crate::scripted_idp::{Memory, Reply, ScriptedIdp};

const ISSUER: &str = "https://id.example.com";
const HEADER: &str = r#"{"alg":"RS256"}"#;

fn jwt(header: &str, payload: &str) -> String {
    format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload), canary_token())
}

/// Tokens of every sort, with what their entries say beside their own digest: whether they have signed parts,
/// and which name with whose issuer.
fn tokens() -> Vec<(String, bool, Value)> {
    let opaque = canary_token();
    vec![
        (
            jwt(HEADER, r#"{"jti":"j-1","iss":"https://id.example.com","sub":"u"}"#),
            true,
            json!({ "jti": "j-1", "iss": ISSUER }),
        ),
        (
            jwt(HEADER, r#"{"jti":7,"iss":12,"name":"J\ud83d","sub":1000385,"sid":-9,"client_id":42}"#),
            true,
            json!({ "jti": "7", "iss": "12" }),
        ),
        (jwt(HEADER, r#"{"jti":"j-3","sub":"u"}"#), true, json!({ "jti": "j-3", "iss": null })),
        (jwt(HEADER, r#"{"iss":"https://id.example.com","sub":"u"}"#), true, json!({})),
        (jwt(HEADER, "not JSON"), true, json!({})),
        (
            jwt(r#"{"alg":"none"}"#, r#"{"jti":"j-6","iss":"https://id.example.com"}"#),
            false,
            json!({ "jti": "j-6", "iss": ISSUER }),
        ),
        (
            format!(
                "{}.a2V5.aXY.Y2lwaGVy.{opaque}",
                URL_SAFE_NO_PAD.encode(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#)
            ),
            false,
            json!({}),
        ),
        (format!("v4.public.{opaque}"), false, json!({})),
        (format!("v4.local.{opaque}.Zm9vdGVy"), false, json!({})),
        (opaque, false, json!({})),
    ]
}

fn digests(token: &str) -> (String, Option<String>) {
    let (whole, signed) = Token::new(token.to_owned()).fingerprints();
    (whole.to_string(), signed.map(|signed| signed.to_string()))
}

/// The entries that these tokens must have, but for their end.
fn expected(tokens: &[(String, bool, Value)]) -> Vec<Value> {
    let entry = |(token, is_signed, named): &(String, bool, Value)| {
        let (whole, signed) = digests(token);
        assert_eq!(signed.is_some(), *is_signed, "{named}");
        let mut entry = named.clone();
        entry["kind"] = "token".into();
        entry["token_sha256"] = whole.into();
        if let Some(signed) = signed {
            entry["signed_sha256"] = signed.into();
        }
        entry
    };
    sorted(tokens.iter().map(entry).collect())
}

fn sorted(mut entries: Vec<Value>) -> Vec<Value> {
    entries.sort_by_key(|entry| entry["token_sha256"].to_string());
    entries
}

fn event(tokens: &[(String, bool, Value)]) -> Value {
    let mut event = logout_of("1", tokens.iter().map(|(token, ..)| json!({ "token": token })).collect());
    event["data"]["provider"] = "main".into();
    event
}

/// The entries of each message of a phase, in the order in which they came.
fn messages(feed: &Feed, phase: Phase) -> Vec<Vec<Value>> {
    let of_phase = feed.seen().into_iter().filter(|seen| seen.data.phase == phase);
    let entries = of_phase
        .map(|seen| serde_json::from_str::<Value>(&seen.body).expect("JSON")["data"]["targets"].clone());
    entries.map(|entries| entries.as_array().expect("a list").clone()).collect()
}

/// What was said of every target in a phase: the entries without repetition, and without what older consumers
/// do not know either.
fn said(feed: &Feed, phase: Phase) -> Vec<Value> {
    let mut entries: Vec<Value> = messages(feed, phase).concat();
    for entry in &mut entries {
        let members = entry.as_object_mut().expect("an object");
        members.remove("event");
        assert!(members.remove("expires_at").is_some());
    }
    let mut entries = sorted(entries);
    entries.dedup();
    entries
}

/// [`said`], once it is as much as is expected: a message may arrive after what the record says of it.
async fn says(feed: &Feed, phase: Phase, expected: &[Value], when: &str) {
    let said = eventually("all is said", async || {
        Some(said(feed, phase)).filter(|said| said.len() >= expected.len())
    })
    .await;
    assert_eq!(said, expected, "{phase:?} {when}");
}

/// A broker user of the worker's own, whose connections can be closed.
async fn with_own_user(stage: &Stage, operator: &Operator, setup: Setup) -> Setup {
    let everything = json!({ "configure": ".*", "write": ".*", "read": ".*" });
    setup.set("AMQP_URL", &operator.add_limited_user(stage, "worker", everything).await)
}

/// Has the worker lose the broker, so that it publishes again, and waits until the phase has been published
/// `times` times.
async fn published_again(operator: &Operator, feed: &Feed, phase: Phase) {
    let before = messages(feed, phase).len();
    operator.disconnect("worker").await;
    eventually("it is published again", async || (messages(feed, phase).len() > before).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_says_of_itself_is_published_recorded_and_published_again() {
    let (stage, memory, tokens) = (Stage::new().await, Memory::default(), tokens());
    let operator = Operator::of(&stage).await;
    let idp = memory.serve().await;
    let setup =
        stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__PROVIDERS__MAIN__ISSUER", ISSUER);
    let _worker = with_own_user(&stage, &operator, setup).await.start().await;
    let feed = Feed::listen(&stage.amqp_url).await;
    App::connect(&stage.amqp_url).await.publish(&event(&tokens)).await;
    stage
        .wait_for_count(
            tokens.len() as i64,
            "audit.revocations WHERE state = 'revoked' AND confirmed_at IS NOT NULL",
        )
        .await;
    let (expected, phases) = (expected(&tokens), [Phase::Requested, Phase::Confirmed]);
    for phase in phases {
        says(&feed, phase, &expected, "at first").await;
    }

    let digests: Vec<_> = tokens
        .iter()
        .map(|(token, ..)| digests(token))
        .map(|(whole, signed)| json!([whole, signed]))
        .collect();
    let record = "SELECT jsonb_build_array(token_sha256, signed_sha256) FROM audit.revocations ORDER BY \
        split_part(revocation_id, '-', 6)::int";
    assert_eq!(stage.rows(record).await, digests);
    let integers =
        "audit.revocations WHERE sub = '1000385' AND sid = '-9' AND client_id = '42' AND iss = '12'";
    assert_eq!(stage.count(integers).await, 1);

    for phase in phases {
        published_again(&operator, &feed, phase).await;
        says(&feed, phase, &expected, "again").await;
    }
}

/// A row as a worker from before the columns wrote it.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_worker_put_on_record_is_published_as_it_was() {
    let (stage, tokens) = (Stage::new().await, tokens());
    let operator = Operator::of(&stage).await;
    let idp = ScriptedIdp::start(|_| Reply::status(503)).await;
    let setup = stage
        .worker(&format!("{}/revoke", idp.url()))
        .set("REVOCATION__RETRY__MAX", "10m")
        .set("REVOCATION__RETRY__INITIAL", "10m");
    let _worker = with_own_user(&stage, &operator, setup).await.start().await;
    App::connect(&stage.amqp_url).await.publish(&event(&tokens)).await;
    stage
        .wait_for_count(tokens.len() as i64, "audit.revocations WHERE denied_at IS NOT NULL AND attempts > 0")
        .await;
    stage
        .db
        .execute("UPDATE revocation.targets SET signed_sha256 = NULL, jti_iss = NULL")
        .await
        .expect("as it was");

    let feed = Feed::listen(&stage.amqp_url).await;
    published_again(&operator, &feed, Phase::Requested).await;
    let as_it_was = expected(&tokens).into_iter().map(|mut entry| {
        entry
            .as_object_mut()
            .expect("an object")
            .retain(|name, _| ["kind", "token_sha256", "jti"].contains(&name.as_str()));
        entry
    });
    says(&feed, Phase::Requested, &as_it_was.collect::<Vec<_>>(), "as it was").await;
}

/// Taken up from the record by another worker: what it opens, denies again and confirms.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn another_worker_says_the_same() {
    for place in ["committed:1", "claimed:1", "responded:1"] {
        let (stage, memory, tokens) = (Stage::new().await, Memory::default(), tokens());
        let idp = memory.serve().await;
        let setup = stage.worker(&format!("{}/revoke", idp.url()));
        let mut doomed = setup.clone().set("KILL_AT", place).start().await;
        let feed = Feed::listen(&stage.amqp_url).await;
        App::connect(&stage.amqp_url).await.publish(&event(&tokens)).await;
        doomed.ended().await;
        let _heir: Worker = setup.start().await;
        stage
            .wait_for_count(
                tokens.len() as i64,
                "audit.revocations WHERE state = 'revoked' AND confirmed_at IS NOT NULL",
            )
            .await;
        for phase in [Phase::Requested, Phase::Confirmed] {
            says(&feed, phase, &expected(&tokens), place).await;
        }
    }
}

/// What an entry says of claim names.
fn names(entry: &Value) -> Value {
    json!([entry["subject_claims"], entry["client_claims"], entry["claims_iss"]])
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_names_travel_from_the_settings_each_time() {
    let stage = Stage::new().await;
    let operator = Operator::of(&stage).await;
    let idp = ScriptedIdp::start(|_| Reply::status(204)).await;
    let user = Url::parse(&stage.amqp_url).expect("a URL").username().to_owned();
    let setup = stage
        .worker(&format!("{}/revoke", idp.url()))
        .set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", &user)
        .set("REVOCATION__AUTHORIZATION__APPROVAL_REQUIRED_FOR", "none")
        .set("REVOCATION__PROVIDERS__MAIN__SUBJECT_CLAIMS", "uid, login")
        .set("REVOCATION__PROVIDERS__STAFF__KIND", "okta")
        .set("REVOCATION__PROVIDERS__STAFF__BASE_URL", idp.url())
        .set("REVOCATION__PROVIDERS__STAFF__API_TOKEN", "t");
    let _worker = with_own_user(&stage, &operator, setup).await.start().await;
    let (feed, app) = (Feed::listen(&stage.amqp_url).await, App::connect(&stage.amqp_url).await);
    let okta = idp.url();
    let rows = [
        ("staff", json!({ "sub": "00u1" }), json!([["uid"], null, okta])),
        ("staff", json!({ "sub": "00u1", "iss": ISSUER }), json!([["uid"], null, null])),
        ("staff", json!({ "client_id": "0oa1" }), json!([null, ["cid"], okta])),
        ("staff", json!({ "sid": "s", "sub": "00u1" }), json!([null, null, null])),
        ("main", json!({ "sub": "00u1" }), json!([null, null, null])),
        ("main", json!({ "sub": "00u1", "iss": ISSUER }), json!([["uid", "login"], null, null])),
    ];
    for (number, (provider, target, _)) in rows.iter().enumerate() {
        let mut event = logout_of(&number.to_string(), json!([target]));
        event["type"] = "auth.mass_revocation.v1".into();
        event["data"]["incident"] = "leak".into();
        event["data"]["provider"] = (*provider).into();
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_user_id(user.clone().into());
        app.publish_raw("auth.mass_revocation", event.to_string().as_bytes(), properties).await;
    }
    let assert_named = || {
        for (number, (provider, target, expected)) in rows.iter().enumerate() {
            let of_event = feed.seen().into_iter().filter(|seen| seen.data.event.id == number.to_string());
            for seen in of_event {
                assert_eq!(
                    names(&json!(seen.data.targets[0])),
                    *expected,
                    "{provider} {target} {:?}",
                    seen.data.phase
                );
            }
        }
    };
    for (number, (provider, target, _)) in rows.iter().enumerate() {
        feed.wait_for(Phase::Requested, &number.to_string()).await;
        if *provider == "staff" && target.get("client_id").is_none() && target.get("sid").is_none() {
            feed.wait_for(Phase::Confirmed, &number.to_string()).await;
        }
    }
    assert_named();
    published_again(&operator, &feed, Phase::Requested).await;
    assert_named();
}
