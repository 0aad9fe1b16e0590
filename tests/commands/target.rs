//! `target cancel`

use std::time::Duration;

use revocation_verifier::TokenView;
use revocation_worker::store::{GivenUp, WorkerNo};
use revocation_worker::target::TargetId;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{App, Stage, Worker, canary_token, logout};
use crate::program::{Ran, command, run};
use crate::scripted_idp::{Reply, ScriptedIdp};

/// A worker whose provider answers as told, one logout of two tokens, and a second of the same.
struct Scene {
    stage: Stage,
    _worker: Worker,
    _idp: ScriptedIdp,
    access: String,
}

impl Scene {
    async fn new(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        let stage = Stage::new().await;
        let idp = ScriptedIdp::start(move |_| reply()).await;
        let setup = stage
            .worker(&format!("{}/revoke", idp.url()))
            .set("REVOCATION__RETRY__INITIAL", "2h")
            .set("REVOCATION__RETRY__MAX", "2h");
        let worker = setup.start().await;
        let access = canary_token();
        App::connect(&stage.amqp_url).await.publish(&logout("1", &access, &canary_token())).await;
        Self { stage, _worker: worker, _idp: idp, access }
    }

    async fn id(&self, hint: &str) -> String {
        self.stage
            .text(&format!("SELECT revocation_id FROM audit.revocations WHERE token_type_hint = '{hint}'"))
            .await
            .expect("an id")
    }

    fn cancel(&self, arguments: &[&str]) -> Ran {
        run(command(&self.stage).env("USER", "alice"), &[&["target", "cancel"], arguments].concat())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_given_up_and_what_is_denied_stays_denied() {
    let scene = Scene::new(|| Reply::status(503)).await;
    let verifier = scene.stage.verifier("shop-api", "1").await;
    scene
        .stage
        .wait_for_count(
            2,
            "audit.revocations WHERE state = 'pending' AND next_attempt_at > now() + interval '1 second'",
        )
        .await;
    let id = scene.id("access_token").await;
    let ran = scene.cancel(&[&id, "--reason", "a token of another client"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let said =
        format!("{id}: cancelled; provider main is not asked again, verifiers deny it all the same, until 2");
    assert!(ran.stdout.starts_with(&said), "{}", ran.stdout);
    let json = run(&mut command(&scene.stage), &["status", "--json"]).json();
    assert_eq!(json["given_up"][0]["targets"], 1, "{json}");
    let wanted = "provider main: 1 target given up, which it honours until 2";
    assert!(json["wrong"].to_string().contains(wanted), "{json}");
    let cancelled = "revocation.targets WHERE state = 'cancelled' AND sealed IS NULL AND sealed_key IS NULL \
        AND due_at IS NULL AND finished_at IS NOT NULL";
    assert_eq!(scene.stage.count(cancelled).await, 1);
    assert_eq!(
        scene
            .stage
            .count("audit.revocations WHERE state = 'pending' AND token_type_hint = 'refresh_token'")
            .await,
        1,
        "and no other"
    );
    let on_record = format!(
        "audit.operations WHERE actor = 'alice' AND action = 'target_cancel' AND incident IS NULL AND \
            detail->>'revocation_id' = '{id}'
         AND detail->>'reason' = 'a token of another client' AND detail->>'state' = 'pending' AND \
         detail->>'role' = session_user"
    );
    assert_eq!(scene.stage.count(&on_record).await, 1);
    assert!(!verifier.check(&TokenView::bearer(&scene.access)).is_accepted(), "denied all the same");

    // Its worker died before the denial was confirmed: whoever takes over publishes it.
    scene.stage.forget_denials().await;
    let owed = scene
        .stage
        .store()
        .denials(WorkerNo(1), &(Uuid::nil()..Uuid::max()), true, None, 10)
        .await
        .expect("look");
    assert_eq!(owed.len(), 2, "of both tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_is_given_up_or_refused_by_itself() {
    let scene = Scene::new(|| Reply::json(400, r#"{"error":"invalid_request"}"#)).await;
    scene.stage.wait_for_count(2, "audit.revocations WHERE state = 'parked'").await;
    let [access, refresh] = [scene.id("access_token").await, scene.id("refresh_token").await];
    let unknown = "00000000-0000-7000-8000-000000000001-0";
    assert_eq!(scene.cancel(&[&access, "--reason", "gone"]).code, 0);
    let ran = scene.cancel(&[&access, &refresh, unknown, "--reason", "gone", "--json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.json()["cancelled"][0]["revocation_id"], json!(refresh));
    assert_eq!(
        ran.json()["refused"],
        json!([
            { "revocation_id": access, "why": "it is cancelled, which is final; nothing is left to give up" },
            { "revocation_id": unknown, "why": "audit.revocations has no such revocation_id" },
        ])
    );
    assert!(ran.stderr.ends_with("2 targets not cancelled\n"), "{}", ran.stderr);
    assert_eq!(scene.stage.count("audit.operations WHERE action = 'target_cancel'").await, 2);
    let once = scene.cancel(&[&refresh, "--reason", "gone"]);
    assert_eq!((once.code, once.stdout.as_str()), (1, ""));
    assert!(
        once.stderr.contains(&format!("cancel {refresh}: it is cancelled, which is final")),
        "{}",
        once.stderr
    );
    for wrong in [
        vec![],
        vec!["--reason", "gone"],
        vec![&access],
        vec![&access, "--reason", "  "],
        vec!["7", "--reason", "gone"],
    ] {
        assert_eq!(scene.cancel(&wrong).code, 2, "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_not_given_up() {
    let scene = Scene::new(|| Reply::status(200)).await;
    scene.stage.wait_for_count(2, "audit.revocations WHERE state = 'revoked'").await;
    let ran = scene.cancel(&[&scene.id("access_token").await, "--reason", "late"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("it is revoked, which is final; nothing is left to give up"),
        "{}",
        ran.stderr
    );
    assert_eq!(scene.stage.count("audit.operations").await, 0);
}

/// One that a worker is trying is given time to be settled; one that takes too long is taken from the worker,
/// whose answer changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_tried_is_waited_for_and_then_taken() {
    let scene = Scene::new(Reply::hang).await;
    scene
        .stage
        .wait_for_count(
            1,
            "revocation.targets WHERE lease_owner IS NOT NULL AND token_type_hint = 'refresh_token'",
        )
        .await;
    let id = TargetId::parse(&scene.id("refresh_token").await).expect("an id");
    let store = scene.stage.store();
    assert!(matches!(store.give_up("alice", id, "stuck", false).await, Ok(GivenUp::Leased)));
    assert!(matches!(store.give_up("alice", id, "stuck", true).await, Ok(GivenUp::Done(_))));
    let taken =
        "audit.attempts WHERE outcome = 'unknown' AND error = 'an operator gave the target up meanwhile'";
    assert_eq!(scene.stage.count(taken).await, 1);
    assert_eq!(
        scene
            .stage
            .count("audit.operations WHERE action = 'target_cancel' AND detail->'in_flight' = 'true'")
            .await,
        1
    );
    // The call ends at its timeout of 10 s: what the worker writes then is kept, and the target stays as it
    // is.
    scene
        .stage
        .wait_for_count(
            1,
            "revocation.attempts WHERE answered AND outcome = 'transient' AND duration_ms > 1000",
        )
        .await;
    assert_eq!(
        scene
            .stage
            .count("audit.revocations WHERE state = 'cancelled' AND token_type_hint = 'refresh_token'")
            .await,
        1
    );

    scene
        .stage
        .wait_for_count(
            1,
            "revocation.targets WHERE lease_owner IS NOT NULL AND token_type_hint = 'access_token'",
        )
        .await;
    let (access, began) = (scene.id("access_token").await, std::time::Instant::now());
    let ran = tokio::task::block_in_place(|| scene.cancel(&[&access, "--reason", "stuck"]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(began.elapsed() > Duration::from_secs(1), "it was settled first");
    assert_eq!(
        scene.stage.count("audit.revocations WHERE state = 'cancelled' AND last_outcome = 'transient'").await,
        1
    );
}

/// What waits for an approval is given up one by one too, and its denial is not.
#[tokio::test(flavor = "multi_thread")]
async fn the_denial_of_one_that_waits_in_an_incident_is_still_to_come() {
    let stage = Stage::new().await;
    stage.incident("leak", "awaiting_approval").await;
    let event = stage.event("leak", 2).await;
    stage.hold(event).await;
    let ran = run(
        &mut command(&stage),
        &["target", "cancel", &format!("{event}-0"), "--reason", "ours", "--actor", "alice"],
    );
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(
        ran.stdout.contains(
            "not asked again, once its incident is approved, verifiers deny it all the same, until "
        ),
        "{}",
        ran.stdout
    );
    assert_eq!(stage.count("audit.incidents WHERE cancelled = 1 AND pending = 1").await, 1);
    assert_eq!(
        stage
            .count(
                "audit.operations WHERE action = 'target_cancel' AND incident = 'leak' AND actor = 'alice'"
            )
            .await,
        1
    );
    assert_eq!(stage.store().denials_of(&[event]).await.expect("look").len(), 2);
}
