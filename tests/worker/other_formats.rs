//! Events in other forms than structured CloudEvents, by queue: Keycloak's own, and binary mode.

use lapin::BasicProperties;
use lapin::options::QueueBindOptions;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::harness::{App, Operator, Stage, eventually};
use crate::scripted_idp::{Reply, ScriptedIdp};

const CLIENT: &str = "com.github.aznamier.keycloak.event.provider.EventClientNotificationMqMsg";

/// As the listener publishes: transient, and without a message id.
fn properties() -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("__TypeId__".into(), AMQPValue::LongString(CLIENT.into()));
    BasicProperties::default()
        .with_app_id("Keycloak".into())
        .with_content_type("application/json".into())
        .with_content_encoding("UTF-8".into())
        .with_headers(headers)
}

fn event(kind: &str, user: &str, session: Value, error: Value) -> String {
    let event = json!({
        "@class": CLIENT, "time": 1_764_000_000_123_i64, "type": kind, "realmId": "0b3d-realm",
        "clientId": "shop", "userId": user, "sessionId": session, "ipAddress": "192.0.2.1",
        "error": error, "details": {},
    });
    serde_json::to_string_pretty(&event).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn keycloaks_own_events_end_in_denials_and_calls() {
    let stage = Stage::new().await;
    let keycloak = ScriptedIdp::start(|request| match request.path.as_str() {
        path if path.ends_with("/token") => {
            Reply::json(200, r#"{"access_token":"admin-1","expires_in":300}"#)
        }
        path if path.ends_with("/consents") => Reply::json(200, "[]"),
        _ => Reply::status(204),
    })
    .await;
    let setting = |name: &str| format!("REVOCATION__PROVIDERS__KC__{name}");
    let worker = stage
        .worker("http://127.0.0.1:9/revoke")
        .set(&setting("KIND"), "keycloak")
        .set(&setting("BASE_URL"), keycloak.url())
        .set(&setting("REALM"), "shop")
        .set(&setting("CLIENT_ID"), "revoker")
        .set(&setting("CLIENT_SECRET"), "revoker-secret-canary")
        .set("REVOCATION__KEYCLOAK_EVENTS__REALMS", r#"{ "kc" = ["0b3d-realm"] }"#);
    let worker = worker.start().await;
    let (app, operator) = (App::connect(&stage.amqp_url).await, Operator::of(&stage).await);
    let bound = operator.channel().queue_bind(
        "revocation.logout".into(),
        "amq.topic".into(),
        "KK.EVENT.#".into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.expect("bind the queue");
    let key = |kind: &str| format!("KK.EVENT.CLIENT.shop.SUCCESS.shop.{kind}");
    for (kind, body) in [
        ("LOGOUT", event("LOGOUT", "u-1", json!("s-1"), Value::Null)),
        // The same again, as the listener may send it.
        ("LOGOUT", event("LOGOUT", "u-1", json!("s-1"), Value::Null)),
        ("UPDATE_PASSWORD", event("UPDATE_PASSWORD", "u-2", Value::Null, Value::Null)),
        ("LOGIN", event("LOGIN", "u-3", json!("s-3"), Value::Null)),
        ("LOGOUT_ERROR", event("LOGOUT_ERROR", "u-4", Value::Null, json!("session_expired"))),
    ] {
        app.publish_to("amq.topic", &key(kind), body.as_bytes(), properties()).await;
    }
    stage.wait_for_count(2, "audit.revocations WHERE provider = 'kc' AND state = 'revoked'").await;
    let rows = stage
        .rows(
            "SELECT jsonb_build_array(event_source, target_kind, sub, sid, reason) FROM audit.revocations
             ORDER BY sub",
        )
        .await;
    let source = "keycloak:0b3d-realm";
    let wanted = [
        json!([source, "session", "u-1", "s-1", "logout"]),
        json!([source, "subject", "u-2", null, "update_password"]),
    ];
    assert_eq!(rows, wanted);
    let calls: Vec<_> = keycloak.ledger().iter().map(|request| request.path.clone()).collect();
    assert!(calls.iter().any(|path| path == "/admin/realms/shop/sessions/s-1"), "{calls:?}");
    assert!(calls.iter().any(|path| path == "/admin/realms/shop/users/u-2/logout"), "{calls:?}");
    // What asks for nothing is acknowledged, counted, and no refusal.
    eventually("two are ignored", async || {
        (worker.metric("revocation_events_ignored_total").await == 2.0).then_some(())
    })
    .await;
    stage.wait_for_count(0, "audit.rejected_events").await;
    let foreign = event("LOGOUT", "u-5", json!("s-5"), Value::Null).replace("0b3d-realm", "another");
    app.publish_to("amq.topic", &key("LOGOUT"), foreign.as_bytes(), properties()).await;
    stage.wait_for_count(1, "audit.rejected_events WHERE code = 'unknown_provider'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cloudevents_in_binary_mode_are_taken() {
    let stage = Stage::new().await;
    let _worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    let app = App::connect(&stage.amqp_url).await;
    for (prefix, id) in [("cloudEvents:", "b-1"), ("cloudEvents_", "b-2")] {
        let mut headers = FieldTable::default();
        for (name, value) in [
            ("specversion", "1.0"),
            ("id", id),
            ("source", "/apps/shop"),
            ("type", "auth.logout.v1"),
            ("time", "2026-11-20T22:30:00Z"),
            ("subject", "u-1"),
        ] {
            headers.insert(format!("{prefix}{name}").into(), AMQPValue::LongString(value.into()));
        }
        let properties =
            BasicProperties::default().with_content_type("application/json".into()).with_headers(headers);
        let data = json!({ "provider": "main", "targets": [{ "sub": id }] }).to_string();
        app.publish_raw("auth.logout", data.as_bytes(), properties).await;
    }
    let denied =
        "audit.revocations WHERE event_id IN ('b-1', 'b-2') AND sub = event_id AND denied_at IS NOT NULL";
    stage.wait_for_count(2, denied).await;
}
