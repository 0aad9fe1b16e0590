//! One rate over several workers, of which some are killed, also while Postgres is away.

use revocation_worker::invalidation::Phase;
use serde_json::{Value, json};

use crate::harness::{Feed, Loss, Operator, Proxy, Setup, Worker, canary_token, logout_of};
use crate::publishers::{Gateway, subjects};
use crate::rates::{FLOOD, REVOKED, approve, denied, ends, held, scene};
use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_shared_among_live_workers_and_a_killed_one_loses_nothing() {
    let scene = scene(100).await;
    let mut workers: [Worker; 2] = scene.workers().await;
    scene.stage.wait_for_count(2, "audit.workers").await;
    let (feed, gateway) = (Feed::listen(&scene.stage.amqp_url).await, Gateway::of(&scene.stage).await);
    // Each has looked at the fleet since the other has come.
    scene.passes_a_logout(&feed, "before").await;
    let operator = Operator::of(&scene.stage).await;
    for number in 0..8 {
        gateway
            .publish(
                Some(FLOOD),
                &logout_of(&format!("f-{number}"), json!(subjects(&format!("u{number}"), 100))),
            )
            .await;
        if number == 4 {
            workers[0].kill();
        }
    }
    operator.wait_for_ready(0, "revocation.logout").await;
    scene.stage.wait_for_count(800, "audit.revocations WHERE target_kind = 'subject'").await;
    let done =
        scene.stage.count("audit.revocations WHERE target_kind = 'subject' AND incident IS NULL").await;
    assert!((50..=200).contains(&done), "{done}");
    for incident in held(&scene).await {
        approve(&scene, &incident).await;
    }
    scene.stage.wait_for_count(800, REVOKED).await;
    assert_eq!(denied(&feed).len(), 800);
}

/// 1 of 3 subjects goes, and a token.
fn split(id: &str) -> Value {
    logout_of(id, json!([{ "sub": "a" }, { "token": canary_token() }, { "sub": "b" }, { "sub": "c" }]))
}

async fn is_on_record_once(scene: &Scene, feed: &Feed, heir: Worker) {
    scene
        .stage
        .wait_for_count(
            2,
            "audit.revocations WHERE incident IS NULL AND state = 'revoked' AND denied_at IS NOT NULL",
        )
        .await;
    scene
        .stage
        .wait_for_count(
            2,
            "audit.revocations WHERE incident LIKE 'rate-%' AND state = 'pending' AND denied_at IS NULL",
        )
        .await;
    ends(scene, &mut [heir]).await;
    assert_eq!((denied(feed), scene.stage.count("audit.revocations").await), (vec!["a".to_owned()], 4));
    assert_eq!(scene.stage.count("audit.incidents").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_between_commit_and_ack_holds_nothing_twice() {
    let scene = scene(1).await;
    ends(&scene, &mut scene.workers::<1>().await).await;
    let (feed, gateway, event) =
        (Feed::listen(&scene.stage.amqp_url).await, Gateway::of(&scene.stage).await, split("one"));
    for place in ["denied:1", "committed:1"] {
        let mut doomed = scene.worker().clone().set("KILL_AT", place).spawn();
        gateway.publish(Some(FLOOD), &event).await;
        doomed.ended().await;
    }
    let [heir]: [Worker; 1] = scene.workers().await;
    is_on_record_once(&scene, &feed, heir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_holds_while_postgres_is_away_and_no_denial_waits_for_it() {
    let scene = scene(1).await;
    let mut url: url::Url = scene.stage.database_url.parse().expect("a URL");
    let proxy =
        Proxy::before(format!("127.0.0.1:{}", url.port().expect("a port")), Loss::ToRequest("never asked"))
            .await;
    url.set_port(Some(proxy.port)).expect("a port");
    let behind: Setup = scene.worker().clone().set("DATABASE_URL", url.as_str());
    let mut cut_off = behind.start().await;
    let (feed, gateway) = (Feed::listen(&scene.stage.amqp_url).await, Gateway::of(&scene.stage).await);
    drop(proxy);
    gateway.publish(Some(FLOOD), &split("one")).await;
    feed.wait_for(Phase::Requested, "one").await;
    cut_off.wait_for_log("more wide targets than this broker user may order in a minute").await;
    assert_eq!((denied(&feed), scene.stage.count("audit.revocations").await), (vec!["a".to_owned()], 0));
    cut_off.kill();
    let [heir]: [Worker; 1] = scene.workers().await;
    is_on_record_once(&scene, &feed, heir).await;
}
