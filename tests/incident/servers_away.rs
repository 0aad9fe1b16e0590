//! The database or the broker goes away in the middle of an incident: denials go on where they can, and
//! nothing is lost.

use std::time::Duration;

use crate::harness::{Feed, Servers, Worker, eventually};
use crate::scene::{LEAK, Scene, TokenFile, all_denied, tokens};

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_denied_while_postgres_is_away() {
    let servers = Servers::own_database().await;
    let (scene, tokens) = (Scene::on(&servers, Duration::from_millis(5)).await, tokens(3000));
    let [mut worker] = scene.workers().await;
    let feed = Feed::listen(&scene.stage.amqp_url).await;
    scene.open(&tokens[..1000]);
    eventually("it is under way", async || (scene.provider.count() > 200).then_some(())).await;
    servers.database(|postgres| postgres.stop().expect("stop Postgres"));
    scene.open(&tokens[1000..]);
    all_denied(&feed, &tokens).await;
    servers.database(|postgres| postgres.restart().expect("start Postgres again"));
    worker.wait_for_readiness(200).await;
    scene.wait_for(tokens.len(), "state = 'revoked' AND denied_at IS NOT NULL").await;
    scene.ends("finished").await;
    scene.each_is_on_record_once(&tokens).await;
    scene.every_call_is_on_record().await;
    assert!(worker.stop().await.success());
    scene.stage.queues_are_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_is_killed_and_nothing_is_lost() {
    let servers = Servers::private().await;
    let (scene, tokens) = (Scene::on(&servers, Duration::from_millis(5)).await, tokens(6000));
    let [mut first] = scene.workers().await;
    assert!(first.stop().await.success());
    servers.settle_streams();
    let mut workers: [Worker; 2] = scene.workers().await;
    let file = TokenFile::of(&tokens);
    let order = ["open", LEAK, "--reason", "theft", file.path()];
    let mut command = scene.worker().command();
    let mut opening = command.arg("incident").args(order).spawn().expect("start the command");
    eventually("it is under way", async || (scene.provider.count() > 100).then_some(())).await;
    servers.broker(|broker| broker.kill());
    opening.wait().expect("wait for the command");
    workers[0].wait_for_readiness(503).await;
    servers.broker(|broker| broker.restart().expect("start the broker again"));
    for worker in &workers {
        worker.wait_for_readiness(200).await;
    }
    let denylist = scene.stage.verifier("shop-api", "1").await;
    eventually("the same command again ends it", async || {
        (scene.incident("alice", &order).code == 0).then_some(())
    })
    .await;
    scene
        .wait_for(tokens.len(), "state = 'revoked' AND denied_at IS NOT NULL AND confirmed_at IS NOT NULL")
        .await;
    scene.ends("finished").await;
    scene.each_is_on_record_once(&tokens).await;
    scene.every_call_is_on_record().await;
    let is_denied = |token: &String| {
        matches!(
            denylist.check(&revocation_verifier::TokenView::bearer(token)),
            revocation_verifier::Verdict::Denied(_)
        )
    };
    eventually("a verifier refuses every token", async || tokens.iter().all(is_denied).then_some(())).await;
    for worker in &mut workers {
        assert!(worker.stop().await.success());
    }
    scene.stage.queues_are_empty().await;
}
