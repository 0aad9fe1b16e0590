//! An event that comes again after an upgrade, or under other settings, is the same.

use serde_json::json;
use sqlx::Executor;
use url::Url;

use crate::harness::{canary_token, eventually, logout_of};
use crate::identity::{DUPLICATE, REUSED, Scene, token};

/// How a worker from before writes an event: its columns and its way to find duplicates.
const FROM_BEFORE: &str =
    "INSERT INTO revocation.events (event_id, source, id, event_type, lane, received_at, not_before, \
        body_sha256, targets, accepted_by)
    SELECT gen_random_uuid(), '/apps/shop', id, 'auth.logout.v1', 'interactive', now(), now(), \
    sha256(convert_to(body, 'UTF8')), 1, 0
    FROM (VALUES (";

#[tokio::test(flavor = "multi_thread")]
async fn events_of_the_release_before_are_known_by_their_bytes() {
    let scene = Scene::new().await;
    let (known, tokens) = (canary_token(), [canary_token(), canary_token()]);
    let event = token("known", &known);
    for (id, body) in [("known", event.to_string()), ("taken", token("taken", &tokens[0]).to_string())] {
        let insert =
            format!("{FROM_BEFORE}'{id}', '{body}')) AS n (id, body) ON CONFLICT (source, id) DO NOTHING");
        scene.stage.db.execute(sqlx::AssertSqlSafe(insert)).await.expect("the old statement works");
    }
    let mut worker = scene.setup.start().await;
    scene.publish(&event).await;
    scene.publish(&token("taken", &tokens[1])).await;
    scene.is_revoked(&tokens[1]).await;
    eventually("the known one is known", async || (worker.metric(DUPLICATE).await == 1.0).then_some(()))
        .await;
    assert_eq!(worker.metric(REUSED).await, 1.0);
    let again = format!("{FROM_BEFORE}'taken', 'x')) AS n (id, body) ON CONFLICT (source, id) DO NOTHING");
    assert_eq!(
        scene.stage.db.execute(sqlx::AssertSqlSafe(again)).await.map(|done| done.rows_affected()).ok(),
        Some(0)
    );
    assert!(worker.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_comes_again_under_other_settings_is_the_same_event() {
    let scene = Scene::new().await;
    let event = logout_of("1", json!([{ "token": canary_token() }, { "sub": "user-1" }]));
    let other = token("1", &canary_token());
    let mut worker = scene.setup.start().await;
    scene.publish_in_order("1", &[other.clone(), event.clone()]).await;
    scene.wait_for_events("1", 2).await;
    assert!(worker.stop().await.success());
    let endpoint = Url::parse(&format!("{}/revoke", scene.idp.url())).expect("a URL");
    let mut worker = scene
        .setup
        .clone()
        .set("REVOCATION__DEFAULT_PROVIDER", "second")
        .set("REVOCATION__PROVIDERS__SECOND__KIND", "rfc7009")
        .set("REVOCATION__PROVIDERS__SECOND__REVOCATION_ENDPOINT", endpoint.as_str())
        .set("REVOCATION__PROVIDERS__SECOND__CLIENT_ID", "shop")
        .set("REVOCATION__PROVIDERS__SECOND__CLIENT_SECRET", "shop-secret-canary")
        .set("REVOCATION__PROVIDERS__SECOND__TOKEN_TTL", "1h")
        .start()
        .await;
    for event in [&event, &other, &event] {
        scene.publish(event).await;
    }
    eventually("all are known", async || (worker.metric(DUPLICATE).await == 3.0).then_some(())).await;
    scene.wait_for_events("1", 2).await;
    assert!(worker.stop().await.success());
}
