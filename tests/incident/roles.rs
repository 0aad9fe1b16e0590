//! A whole incident with each program under its own role: the worker, two operators, the auditor.

use std::time::Duration;

use crate::harness::{App, Feed, logout};
use crate::program::{bare, run};
use crate::scene::{A_CLIENT, LEAK, Scene, tokens};

#[tokio::test(flavor = "multi_thread")]
async fn each_works_under_its_own_role() {
    let (mut scene, tokens) = (Scene::new(Duration::from_millis(5)).await, tokens(50));
    scene.stage.roles().await;
    let worker_login = scene.stage.login("revocation_worker").await;
    let [bob, auditor] = [scene.stage.login("revocation_operator").await, scene.stage.login("auditor").await];
    scene.tell("bob", &bob.role).await;
    scene = scene.set("DATABASE_URL", &worker_login.url);
    let [worker, mut other] = scene.workers().await;
    let (feed, app) = (Feed::listen(&scene.stage.amqp_url).await, App::connect(&scene.stage.amqp_url).await);
    app.publish(&logout("1", "access-1", "refresh-1")).await;
    scene
        .stage
        .wait_for_count(
            2,
            "audit.revocations WHERE event_id = '1' AND state = 'revoked' AND confirmed_at IS NOT NULL",
        )
        .await;
    app.publish_raw("auth.logout", b"no event", Default::default()).await;
    scene.stage.wait_for_count(1, "audit.rejected_events WHERE code = 'not_json'").await;

    scene.open_with(&tokens, A_CLIENT);
    scene.wait_for(51, "state = 'pending'").await;
    let operate = |arguments: &[&str]| {
        let ran = tokio::task::block_in_place(|| run(&mut bare(&[("DATABASE_URL", &bob.url)]), arguments));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
    };
    operate(&["incident", "throttle", LEAK, "--rate", "500"]);
    operate(&["incident", "approve", LEAK, "--json"]);
    operate(&["incident", "pause", LEAK]);
    operate(&["incident", "resume", LEAK]);
    operate(&["incident", "retry", LEAK]);
    operate(&["retry", "--provider", "main"]);
    operate(&["provider", "resume", "main"]);
    scene.ends("finished").await;
    scene.passes_a_logout(&feed, "meanwhile").await;
    assert!(other.stop().await.success(), "{}", other.log());
    for arguments in [
        &["status"][..],
        &["incident", "show", LEAK],
        &["incident", "watch", LEAK],
        &["provider", "show", "main"],
    ] {
        let ran =
            tokio::task::block_in_place(|| run(&mut bare(&[("DATABASE_URL", &auditor.url)]), arguments));
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
    }
    let by_bob = format!("audit.operations WHERE actor = 'bob' AND role = '{}'", bob.role);
    assert_eq!(scene.stage.count(&by_bob).await, 7, "each order bears the person and the role");
    let log = worker.log() + &other.log();
    assert!(!log.contains("permission denied"), "{log}");
    assert!(!log.contains("login-secret-canary"), "the password is in the log");
}
