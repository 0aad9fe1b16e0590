//! What is ordered for an incident that was cancelled: refused, unless its denial was out already; then on
//! record.

use std::time::Duration;

use revocation_worker::invalidation::Phase;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::harness::{App, Feed, canary_token};
use crate::scene::{A_CLIENT, LEAK, Scene, tokens};

const CANCEL: &str = "UPDATE revocation.incidents SET state = 'cancelled', cancelled_by = 'bob', \
    cancel_reason = 'wrong list' WHERE incident = 'leak'";

fn refused(id: &str) -> String {
    format!(
        "audit.rejected_events WHERE event_id = '{id}' AND code = 'not_allowed' AND detail LIKE \
            'data.incident: leak was cancelled%'"
    )
}

fn one_of_each_kind() -> [(&'static str, Value); 4] {
    [
        ("token", json!([{ "token": canary_token(), "provider": "main" }])),
        ("subject", json!([{ "sub": "user-1" }])),
        ("session", json!([{ "sid": "session-1" }])),
        ("client", json!([{ "client_id": "shop" }])),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_to_it_is_refused_by_command_and_worker() {
    let (scene, tokens) = (Scene::new(Duration::from_millis(5)).await, tokens(3));
    let [mut before] = scene.workers().await;
    let (feed, app) = (Feed::listen(&scene.stage.amqp_url).await, App::connect(&scene.stage.amqp_url).await);
    let first = json!([{ "token": tokens[0] }]);
    scene.publish(&app, "first", first.clone()).await;
    scene.wait_for(1, "state = 'revoked'").await;
    scene.stage.raw("UPDATE revocation.incidents SET finished_at = NULL, targets_expected = 100").await;
    scene.steer("cancel", &["--reason", "wrong list"]);
    // Within `effective_within_s` a running worker may not know, and denies what is ordered: one that starts
    // does.
    assert!(before.stop().await.success());
    let [_worker] = scene.workers().await;

    for _twice in 0..2 {
        let ran =
            scene.incident_of("alice", &["open", LEAK, "--reason", "theft", "-"], "{\"sub\":\"user-2\"}\n");
        let sentence = "revocation-worker: incident leak: it was cancelled, which is final: nothing was \
            published; order it under another name\n";
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (1, "", sentence));
    }
    for (kind, targets) in one_of_each_kind() {
        scene.publish(&app, kind, targets).await;
        scene.stage.wait_for_count(1, &refused(kind)).await;
    }
    scene.publish(&app, "first", first).await;
    scene.passes_a_logout(&feed, "meanwhile").await;
    assert_eq!(
        scene.stage.count("audit.rejected_events").await,
        4,
        "what is on record already is no new order"
    );
    assert_eq!(scene.count("true").await, 1);
    let denied = feed
        .seen()
        .into_iter()
        .filter(|seen| seen.data.incident.is_some() && seen.data.phase == Phase::Requested)
        .count();
    assert_eq!(denied, 1, "nothing of it is denied without a record");
}

/// The commit waits for the row; it is cancelled meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_by_then_is_on_record() {
    let scene = Scene::new(Duration::from_millis(5)).await;
    let [_worker] = scene.workers().await;
    let (feed, app) = (Feed::listen(&scene.stage.amqp_url).await, App::connect(&scene.stage.amqp_url).await);
    scene.publish(&app, "first", json!([{ "sub": "user-1" }])).await;
    scene.wait_for(1, "denied_at IS NOT NULL").await;
    let mut cancelling = scene.stage.db.begin().await.expect("begin");
    cancelling.execute("SELECT FROM revocation.incidents FOR UPDATE").await.expect("lock");
    scene.publish(&app, "race", json!([{ "token": canary_token() }])).await;
    feed.wait_for(Phase::Requested, "race").await;
    cancelling.execute(CANCEL).await.expect("cancel");
    cancelling.commit().await.expect("commit");
    scene.wait_for(1, "event_id = 'race' AND state = 'cancelled' AND denied_at IS NOT NULL").await;
    assert_eq!(scene.stage.count("audit.rejected_events").await, 0);
    scene
        .stage
        .wait_for_count(
            1,
            "audit.operations WHERE action = 'add' AND incident = 'leak' AND detail->>'state' = 'cancelled'",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_denied_by_then_is_refused() {
    let scene = Scene::new(Duration::from_millis(5)).await;
    let [_worker] = scene.workers().await;
    let (feed, app) = (Feed::listen(&scene.stage.amqp_url).await, App::connect(&scene.stage.amqp_url).await);
    scene.open_with(&[], A_CLIENT);
    scene.wait_for(1, "true").await;
    let mut cancelling = scene.stage.db.begin().await.expect("begin");
    cancelling.execute("SELECT FROM revocation.incidents FOR UPDATE").await.expect("lock");
    scene.publish(&app, "race", json!([{ "token": canary_token() }])).await;
    scene
        .stage
        .wait_for_count(1, "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        .await;
    cancelling.execute(CANCEL).await.expect("cancel");
    cancelling.commit().await.expect("commit");
    scene.stage.wait_for_count(1, &refused("race")).await;
    scene.passes_a_logout(&feed, "meanwhile").await;
    assert_eq!(scene.count("event_id = 'race'").await, 0);
}

/// One row for each addition, none for each event of an order.
#[tokio::test(flavor = "multi_thread")]
async fn additions_are_on_record_and_gathered() {
    let scene = Scene::new(Duration::ZERO).await.set("REVOCATION__LIMITS__MAX_TARGETS", "5");
    let [_worker] = scene.workers().await;
    let added = "audit.operations WHERE incident = 'leak' AND action = 'add'";
    scene.open(&tokens(300));
    scene.wait_for(300, "state = 'revoked'").await;
    scene.ends("finished").await;
    assert_eq!(scene.stage.count(added).await, 0, "60 events are one order");
    let ran = scene.incident_of(
        "carol",
        &["open", LEAK, "--reason", "more", "-"],
        "{\"sub\":\"user-1\"}\n{\"sub\":\"user-2\"}\n",
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    scene.wait_for(2, "target_kind = 'subject'").await;
    scene
        .stage
        .wait_for_count(
            1,
            &format!(
                "{added} AND actor = 'carol' AND detail->'targets' = '2' AND detail->>'reason' = 'more'"
            ),
        )
        .await;
    scene.stage.wait_for_count(1, "audit.operations WHERE incident = 'leak' AND action = 'reopen'").await;
    let app = App::connect(&scene.stage.amqp_url).await;
    for id in 0..20 {
        scene.publish(&app, &format!("single-{id}"), json!([{ "token": canary_token() }])).await;
    }
    scene.wait_for(322, "true").await;
    let sum = "(SELECT sum((detail->'targets')::int) AS targets, count(*) AS rows FROM audit.operations \
        WHERE action = 'add') a";
    assert_eq!(
        scene.stage.count(&format!("{sum} WHERE a.targets = 22 AND a.rows BETWEEN 2 AND 21")).await,
        1
    );
}
