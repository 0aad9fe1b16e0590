//! Bad input: to `revocation.dead` with the reason, on record without its body, and out of the way of good
//! events.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use revocation_worker::event::RefusalCode;
use revocation_worker::invalidation::{Entry, Phase};
use serde_json::{Value, json};

use crate::harness::{
    App, CANARY, DeadLetter, Feed, Operator, Setup, Stage, Worker, canary_token, logout, logout_of,
};
use crate::scripted_idp::{Memory, ScriptedIdp};

/// A bad message and what its refusal says.
struct Bad {
    code: &'static str,
    detail: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
    /// Whether `source` and `id` could be read.
    known: bool,
}

pub(crate) const JSON: &str = "application/json";

fn bad(code: &'static str, detail: &'static str, body: impl ToString) -> Bad {
    Bad { code, detail, content_type: JSON, body: body.to_string().into_bytes(), known: true }
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut event = logout("bad", &canary_token(), &canary_token());
    change(&mut event);
    event
}

pub(crate) fn mass(id: &str) -> Value {
    let mut event = logout_of(id, json!([{ "sub": "user-1" }]));
    event["type"] = "auth.mass_revocation.v1".into();
    event["data"]["incident"] = "leak".into();
    event
}

/// At least one message a code. Each holds a token somewhere.
fn bad_messages() -> Vec<Bad> {
    let deep = format!(r#"{{"token":"{}","x":{}1{}}}"#, canary_token(), "[".repeat(200), "]".repeat(200));
    let many: Vec<_> = (0..1001).map(|_| json!({ "token": canary_token() })).collect();
    let hint = canary_token();
    vec![
        Bad { known: false, ..bad("not_json", "not JSON", format!("{{\"token\":\"{}\"", canary_token())) },
        Bad {
            known: false,
            body: [b"\xff\xfe", canary_token().as_bytes()].concat(),
            ..bad("not_json", "not UTF-8", "")
        },
        Bad { known: false, ..bad("too_large", "limits.max_message_bytes", canary_token().repeat(40_000)) },
        Bad { known: false, ..bad("too_deep", "128 levels", deep) },
        bad(
            "unknown_type",
            "type \"auth.other.v1\"",
            changed(|event| event["type"] = "auth.other.v1".into()),
        ),
        bad("unknown_type", "specversion", changed(|event| event["specversion"] = "0.3".into())),
        Bad {
            content_type: "application/secevent+jwt",
            known: false,
            ..bad("unknown_type", "signed input", changed(|event| event["id"] = "signed".into()))
        },
        bad(
            "missing_field",
            "data.targets is required",
            changed(|event| drop(event["data"].as_object_mut().unwrap().remove("targets"))),
        ),
        bad(
            "missing_field",
            "data.targets[1] names nothing",
            changed(|event| event["data"]["targets"][1] = json!({ "x": canary_token() })),
        ),
        bad(
            "invalid_field",
            "data.targets[1].token_type_hint",
            changed(|event| event["data"]["targets"][1]["token_type_hint"] = hint.into()),
        ),
        bad(
            "invalid_field",
            "data.actor contains U+0000",
            changed(|event| event["data"]["actor"] = "a\0b".into()),
        ),
        bad(
            "unknown_provider",
            "data.provider \"nobody\"",
            changed(|event| event["data"]["provider"] = "nobody".into()),
        ),
        bad("too_many_targets", "data.targets has 1001", logout_of("many", many.into())),
        bad("not_allowed", "authorization.mass_revocation_users", mass("unnamed")),
    ]
}

pub(crate) fn properties(message_id: &str, content_type: &str) -> BasicProperties {
    BasicProperties::default().with_message_id(message_id.into()).with_content_type(content_type.into())
}

fn dressed(message_id: &str, content_type: &str) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("x-trace".into(), AMQPValue::LongString("trace-1".into()));
    headers.insert("x-retries".into(), AMQPValue::LongInt(7));
    headers.insert("x-refused-by".into(), AMQPValue::Boolean(true));
    properties(message_id, content_type)
        .with_headers(headers)
        .with_correlation_id("correlation-1".into())
        .with_app_id("shop".into())
        .with_timestamp(1_795_000_000)
        .with_content_encoding("identity".into())
}

/// A provider that says yes, and a worker that lets `users` order mass revocations.
pub(crate) async fn scene(stage: &Stage, users: &str) -> (ScriptedIdp, Setup) {
    let idp = Memory::default().serve().await;
    let setup = stage
        .worker(&format!("{}/revoke", idp.url()))
        .set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", users);
    (idp, setup)
}

pub(crate) async fn assert_alive_and_working(stage: &Stage, app: &App, worker: &mut Worker, id: &str) {
    app.publish(&logout(id, &canary_token(), &canary_token())).await;
    stage
        .wait_for_count(2, &format!("audit.revocations WHERE event_id = '{id}' AND state = 'revoked'"))
        .await;
    worker.ready().await;
}

fn assert_unchanged(letter: &DeadLetter, bad: &Bad, sent: &BasicProperties) {
    assert!(letter.body == bad.body, "{}: the body was changed", bad.detail);
    let properties = &letter.properties;
    assert_eq!(properties.content_type(), sent.content_type());
    assert_eq!(properties.correlation_id(), sent.correlation_id());
    assert_eq!(properties.app_id(), sent.app_id());
    assert_eq!(properties.timestamp(), sent.timestamp());
    assert_eq!(properties.content_encoding(), sent.content_encoding());
    assert_eq!(properties.delivery_mode(), &Some(2));
    let headers = properties.headers().as_ref().unwrap().inner();
    for (name, value) in sent.headers().as_ref().unwrap().inner() {
        assert_eq!(headers.get(name), Some(value), "header {name}");
    }
    assert_eq!(letter.header("x-refused-code").unwrap(), bad.code);
    let detail = letter.header("x-refused-detail").unwrap();
    assert!(
        detail.contains(bad.detail) && !detail.contains(CANARY),
        "{}: {}",
        bad.detail,
        detail.replace(CANARY, "(canary)")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_reaches_the_dead_queue_and_the_record_and_holds_up_nobody() {
    let stage = Stage::new().await;
    let (_idp, setup) = scene(&stage, "soc").await;
    let mut worker = setup.start().await;
    let (app, operator, bad) =
        (App::connect(&stage.amqp_url).await, Operator::of(&stage).await, bad_messages());
    let codes: BTreeSet<_> = bad.iter().map(|bad| bad.code).collect();
    let every = RefusalCode::ALL
        .into_iter()
        .filter(|code| *code != RefusalCode::BadSignature)
        .map(RefusalCode::as_str);
    assert_eq!(codes, every.collect(), "a code has no test");

    for (number, bad) in bad.iter().enumerate() {
        for _delivered_twice in 0..2 {
            app.publish_raw("auth.logout.web", &bad.body, dressed(&number.to_string(), bad.content_type))
                .await;
        }
        assert_alive_and_working(&stage, &app, &mut worker, &format!("good-{number}")).await;
    }

    let letters = operator.dead_letters(2 * bad.len()).await;
    for (number, bad) in bad.iter().enumerate() {
        let copies: Vec<_> =
            letters.iter().filter(|letter| letter.message_id() == number.to_string()).collect();
        assert_eq!(copies.len(), 2, "{}", bad.detail);
        for letter in copies {
            assert_unchanged(letter, bad, &dressed("", bad.content_type));
            assert_eq!(letter.routing_key, "auth.logout.web");
        }
    }
    assert_recorded(&stage, &bad).await;
    assert_eq!(
        stage.count("audit.revocations").await,
        2 * i64::try_from(bad.len()).unwrap(),
        "only the good events are on record"
    );
    assert_eq!(operator.ready("revocation.logout").await, 0);
    assert!(worker.stop().await.success());
    assert!(!worker.log().contains(CANARY), "a token is in the log");
}

async fn assert_recorded(stage: &Stage, bad: &[Bad]) {
    let rows = stage.rows("SELECT to_jsonb(r) FROM audit.rejected_events r").await;
    assert_eq!(rows.len(), 2 * bad.len());
    for bad in bad {
        let sha256: String =
            digest(&SHA256, &bad.body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let row = rows
            .iter()
            .find(|row| row["body_sha256"] == sha256.as_str())
            .unwrap_or_else(|| panic!("{}: no row", bad.detail));
        assert_eq!((&row["code"], &row["body_bytes"]), (&json!(bad.code), &json!(bad.body.len())));
        assert_eq!(
            (&row["queue"], &row["routing_key"]),
            (&json!("revocation.logout"), &json!("auth.logout.web"))
        );
        assert!(row["detail"].as_str().unwrap().contains(bad.detail), "{}", bad.detail);
        assert_eq!(
            row["event_source"],
            if bad.known { json!("/apps/shop") } else { Value::Null },
            "{}",
            bad.detail
        );
    }
    assert_eq!(
        stage.count(&format!("revocation.rejected_events r WHERE r::text LIKE '%{CANARY}%'")).await,
        0,
        "a body is on record"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_broker_users_order_mass_revocations() {
    let stage = Stage::new().await;
    let operator = Operator::of(&stage).await;
    let name = |role: &str| format!("{role}-{}", stage.database_url.rsplit('/').next().unwrap());
    let (soc, shop) = (name("soc"), name("shop"));
    let (_idp, setup) = scene(&stage, &soc).await;
    let _worker = setup.start().await;
    let feed = Feed::listen(&stage.amqp_url).await;

    for (user, id) in [(&soc, "allowed"), (&shop, "refused")] {
        let app = App::connect(&operator.add_user(&stage, user, false).await).await;
        for _delivered_twice in 0..2 {
            let properties = dressed(id, JSON).with_user_id(user.as_str().into());
            app.publish_raw("auth.mass_revocation", mass(id).to_string().as_bytes(), properties).await;
        }
    }

    let requested = feed.wait_for(Phase::Requested, "allowed").await;
    assert_eq!(
        (requested.routing_key.as_str(), requested.data.incident.as_deref()),
        ("invalidation.main.subject", Some("leak"))
    );
    assert!(matches!(&requested.data.targets[..], [Entry::Subject { sub, .. }] if sub == "user-1"));
    stage
        .wait_for_count(
            1,
            "audit.revocations WHERE event_id = 'allowed' AND lane = 'mass' AND incident = 'leak'",
        )
        .await;
    for letter in operator.dead_letters(2).await {
        assert_eq!(letter.message_id(), "refused");
        assert_eq!(letter.header("x-refused-code").unwrap(), "not_allowed");
        assert_eq!(letter.header("x-refused-user").unwrap(), shop, "the publisher stays known");
        let detail = letter.header("x-refused-detail").unwrap();
        assert!(detail.contains(&shop) && detail.contains("authorization.mass_revocation_users"), "{detail}");
    }
    let rejected = format!(
        "audit.rejected_events WHERE broker_user = '{shop}' AND queue = 'revocation.mass' AND event_id = \
            'refused'"
    );
    assert_eq!(stage.count(&rejected).await, 2);
    assert!(
        feed.seen().iter().all(|seen| seen.data.event.id == "allowed"),
        "what was refused is denied nowhere"
    );
}
