//! Workers make checkpoints; `audit verify` compares them with the record and with the log; `purge` keeps
//! them true.

use serde_json::Value;

use super::{Record, force, seed};
use crate::harness::{App, Logout, Stage, eventually};
use crate::program::{Ran, bare, command, run};
use crate::scripted_idp::{Reply, ScriptedIdp};

const SEALING_KEY: &str = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn verify(stage: &Stage, database_url: &str, arguments: &[&str]) -> Ran {
    let mut command = command(stage);
    command.env("DATABASE_URL", database_url).env("SEALING_KEYS", SEALING_KEY);
    run(&mut command, &[&["audit", "verify"], arguments].concat())
}

fn worker(stage: &Stage, idp: &ScriptedIdp) -> crate::harness::Setup {
    let setup = stage.worker(&format!("{}/revoke", idp.url()));
    setup.set("SEALING_KEYS", SEALING_KEY).set("REVOCATION__EVIDENCE__CHECKPOINT_EVERY", "1s")
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_checkpoint_the_record_and_the_log_tells_what_was_cut_off() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let mut workers = [worker(&stage, &idp).start().await, worker(&stage, &idp).start().await];
    let app = App::connect(&stage.amqp_url).await;
    for logout in Logout::many(5) {
        app.publish(&logout.event()).await;
    }
    stage.wait_for_count(10, "audit.revocations WHERE state = 'revoked'").await;
    // A transaction that is held open holds up the checkpoint, or what it writes would be missed.
    let mut open = stage.db.begin().await.expect("a transaction");
    sqlx::query(
        "INSERT INTO revocation.rejected_events (rejected_at, queue, routing_key, code, detail, body_sha256,
             body_bytes, worker_no)
         VALUES (clock_timestamp(), 'q', 'k', 'not_json', 'd', sha256('x'), 1, 1)",
    )
    .execute(&mut *open)
    .await
    .expect("a row");
    let process: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *open).await.expect("its process");
    for worker in &workers {
        worker
            .wait_for_log(&format!(r#""message":"a checkpoint waits for a transaction","process":{process}"#))
            .await;
    }
    open.commit().await.expect("commit");
    eventually("both tokens of each logout are covered", async || {
        let rows = stage.rows("SELECT document::jsonb FROM audit.checkpoints").await;
        let of_targets = |row: &Value| {
            let parts = row["parts"].as_array().into_iter().flatten();
            parts
                .filter(|part| part["table"] == "targets")
                .filter_map(|part| part["rows"].as_u64())
                .sum::<u64>()
        };
        (rows.iter().map(of_targets).sum::<u64>() == 10).then_some(())
    })
    .await;
    assert!(workers[0].metric("revocation_checkpoint_age_seconds").await >= 0.0);
    for worker in &mut workers {
        assert!(worker.stop().await.success());
    }
    let gaps = "audit.checkpoints WHERE checkpoint_no >= (SELECT count(*) FROM audit.checkpoints)";
    assert_eq!(stage.count(gaps).await, 0, "two workers make no checkpoint twice");

    stage.roles().await;
    let auditor = stage.login("auditor").await.url;
    let ran = verify(&stage, &auditor, &["--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    let said = ran.json();
    assert_eq!((&said["ok"], &said["remarks"]), (&true.into(), &serde_json::json!([])), "{said:#}");
    let ran = verify(&stage, &auditor, &[]);
    assert!(ran.stdout.starts_with("checkpoints 0 to "), "{}", ran.stdout);
    let unknown = run(&mut command(&stage), &["audit", "verify"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stdout.contains("the key that signed it is not known"), "{}", unknown.stdout);
    assert_eq!(run(&mut command(&stage), &["audit", "verify", "--any-signer"]).code, 0);

    let last = stage
        .text(
            "SELECT max(sha256) FROM audit.checkpoints WHERE checkpoint_no = \
        (SELECT max(checkpoint_no) FROM audit.checkpoints)",
        )
        .await
        .expect("a digest");
    let logged = format!(r#""digest":"{last}""#);
    assert!(workers.iter().any(|worker| worker.log().contains(&logged)), "the log has its digest");
    force(
        &stage,
        "DELETE FROM revocation.checkpoints WHERE checkpoint_no = (SELECT max(checkpoint_no) FROM \
            revocation.checkpoints)",
    )
    .await;
    let ran = verify(&stage, &auditor, &[]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.contains("were published, and are not on record: the end was cut off"),
        "{}",
        ran.stdout
    );
    assert_eq!(verify(&stage, &auditor, &["--offline"]).code, 0, "without the log nothing shows it");
    let ran = verify(&stage, &auditor, &["--offline", "--checkpoint", &last]);
    assert_eq!(ran.code, 1, "but a digest from the workers' logs");
    assert!(ran.stdout.contains(&format!("no checkpoint on record has the digest {last}")), "{}", ran.stdout);
}

/// It is committed and not published: the next worker publishes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_between_leaves_nothing_undone() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let place = format!("{}:1", revocation_worker::failpoint::CHECKPOINTED);
    let mut killed = worker(&stage, &idp).set("KILL_AT", &place).start().await;
    let logouts = Logout::many(1);
    App::connect(&stage.amqp_url).await.publish(&logouts[0].event()).await;
    // Whatever it covers: a failed first call comes on record before its target.
    stage.wait_for_count(1, "audit.checkpoints WHERE signature IS NOT NULL").await;
    assert!(!killed.ended().await.success());
    let mut next = worker(&stage, &idp).set("REVOCATION__EVIDENCE__CHECKPOINT_EVERY", "10min").start().await;
    eventually("it is in the log", async || {
        let ran = verify(&stage, &stage.database_url, &["--json"]);
        assert_eq!(ran.code, 0, "{}", ran.stdout);
        force(
            &stage,
            "CREATE TABLE IF NOT EXISTS kept AS TABLE revocation.checkpoints; \
            DELETE FROM revocation.checkpoints WHERE checkpoint_no > 0",
        )
        .await;
        let cut = verify(&stage, &stage.database_url, &[]);
        force(
            &stage,
            "DELETE FROM revocation.checkpoints; \
            INSERT INTO revocation.checkpoints SELECT * FROM kept",
        )
        .await;
        (cut.code == 1 && cut.stdout.contains("cut off")).then_some(())
    })
    .await;
    assert!(next.stop().await.success());
}

fn purge(url: &str, arguments: &[&str]) -> Ran {
    let variables = [("DATABASE_URL", url), ("SEALING_KEYS", SEALING_KEY)];
    run(&mut bare(&variables), &[&["purge", "--older-than", "400d"], arguments].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_is_no_tampering_and_hides_none() {
    let record = Record::since("'2024-01-20 00:00:00Z'::timestamptz").await;
    let stage = &record.stage;
    force(stage, &seed::hour("'2024-01-20 00:00:00Z'::timestamptz")).await;
    for minute in (10..=40).step_by(10) {
        record.checkpoint(minute).await.expect("a checkpoint");
    }
    stage.roles().await;
    let retention = stage.login("revocation_retention").await.url;
    let any = ["--any-signer", "--offline"];
    force(stage, "UPDATE revocation.operations SET actor = 'nobody' WHERE operation_no = 3").await;
    let ran = purge(&retention, &[]);
    assert_eq!((ran.code, ran.stderr.contains("checkpoint 1: of operations")), (1, true), "{}", ran.stderr);
    assert_eq!(stage.count("revocation.operations").await, 49, "nothing has gone");
    force(stage, "UPDATE revocation.operations SET actor = 'person-5' WHERE operation_no = 3").await;

    let ran = purge(&retention, &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // What lies behind the last checkpoint stays, and so do events with an open target.
    let gone = 98 - stage.count("revocation.events").await;
    assert!((50..80).contains(&gone), "{gone} events of the first 40 minutes went");
    assert_eq!(stage.count("audit.checkpoints").await, 1, "one stands for them all");
    let ran = verify(stage, &stage.database_url, &any);
    assert_eq!((ran.code, ran.stderr.contains("not been found intact")), (0, false), "{}", ran.stdout);
    record.checkpoint(50).await.expect("the next one");
    assert_eq!(verify(stage, &stage.database_url, &any).code, 0, "which follows it");
    force(
        stage,
        "DELETE FROM revocation.attempts WHERE attempt = (SELECT min(attempt) FROM \
        revocation.attempts) AND event_id = (SELECT event_id FROM revocation.attempts ORDER BY 1 LIMIT 1)",
    )
    .await;
    let ran = verify(stage, &stage.database_url, &any);
    assert_eq!((ran.code, ran.stdout.contains("of attempts, before 2024")), (1, true), "{}", ran.stdout);

    let ran = purge(&retention, &["--even-if-changed"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = verify(stage, &stage.database_url, &any);
    assert_eq!((ran.code, ran.stderr.contains("had not been found intact")), (0, true), "{}", ran.stderr);
}
