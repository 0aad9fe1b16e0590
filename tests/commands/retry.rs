//! `retry`

use serde_json::json;

use crate::harness::{App, Stage, eventually, logout, logout_of};
use crate::program::{bare, command, run};
use crate::scripted_idp::{Memory, Reply, ScriptedIdp};

const WAITING: &str =
    "revocation.targets WHERE state = 'pending' AND failures = 1 AND due_at > now() + interval '1 second'";
const DUE: &str = "revocation.targets WHERE state = 'pending' AND failures = 0 AND due_at <= now()";

/// Two targets that failed once and wait for hours, and nobody who works.
async fn waiting() -> Stage {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(503)).await;
    let setup = stage
        .worker(&format!("{}/revoke", idp.url()))
        .set("REVOCATION__RETRY__INITIAL", "48h")
        .set("REVOCATION__RETRY__MAX", "48h");
    let mut worker = setup.start().await;
    App::connect(&stage.amqp_url).await.publish(&logout("1", "access-1", "refresh-1")).await;
    stage.wait_for_count(2, WAITING).await;
    assert!(worker.stop().await.success());
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_waiting_targets_become_due_and_it_is_recorded() {
    let stage = waiting().await;
    let other = run(&mut command(&stage), &["retry", "--provider", "other", "--actor", "nobody"]);
    assert_eq!((other.code, other.stdout.as_str()), (1, ""));
    assert!(
        other.stderr.contains("provider other: no running worker has it; known are: main; "),
        "{}",
        other.stderr
    );
    assert_eq!((stage.count(WAITING).await, stage.count("audit.operations").await), (2, 0));

    let ran = run(command(&stage).env("USER", "alice"), &["retry", "--provider", "main", "--json"]);
    assert_eq!((ran.code, ran.json(), ran.stderr.as_str()), (0, json!({ "due": 2 }), ""));
    assert_eq!(stage.count(DUE).await, 2);
    let record = "audit.operations WHERE actor = 'alice' AND action = 'retry' AND detail->>'provider' = \
        'main' AND detail->'targets' = '2'";
    assert_eq!(stage.count(record).await, 1);

    let again = run(&mut command(&stage), &["retry", "--provider", "main", "--json"]);
    assert_eq!(again.json(), json!({ "due": 0 }), "what is due already does not become due");
    assert_eq!(stage.count("audit.operations WHERE actor = 'unknown'").await, 1);

    for name in ["Main", "main ", "mai", "-x"] {
        let ran = run(&mut command(&stage), &["retry", "--json", &format!("--provider={name}")]);
        let error = ran.json()["error"].as_str().expect("a sentence").to_owned();
        assert!(
            ran.code == 1
                && error.contains(&format!("provider {name}: "))
                && error.contains("known are: main"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_target_or_one_incident_alone() {
    let stage = waiting().await;
    let none = run(&mut command(&stage), &["retry", "--incident", "leak", "--json"]);
    assert!(none.code == 1 && none.stderr.contains("incident leak is not on record"), "{}", none.stderr);
    assert_eq!(stage.count("audit.operations WHERE incident = 'leak'").await, 0);
    let id = stage
        .text("SELECT revocation_id FROM audit.revocations WHERE token_type_hint = 'refresh_token'")
        .await
        .expect("an id");
    let ran = run(&mut command(&stage), &["retry", "--id", &id]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "1 target became due\n"));
    assert_eq!((stage.count(DUE).await, stage.count(WAITING).await), (1, 1));
    assert_eq!(stage.count(&format!("audit.operations WHERE detail->>'revocation_id' = '{id}'")).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_target_is_revoked_after_it() {
    let stage = Stage::new().await;
    let (memory, is_mended) =
        (Memory::default(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let idp = {
        let (memory, is_mended) = (memory.clone(), is_mended.clone());
        ScriptedIdp::start(move |request| {
            if is_mended.load(std::sync::atomic::Ordering::Relaxed) {
                memory.answer(request)
            } else {
                Reply::status(503)
            }
        })
        .await
    };
    let setup = stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__RETRY__GIVE_UP_AFTER", "1s");
    let _worker = setup.start().await;
    App::connect(&stage.amqp_url).await.publish(&logout_of("1", json!([{ "token": "opaque" }]))).await;
    stage.wait_for_count(1, "audit.revocations WHERE state = 'parked'").await;
    is_mended.store(true, std::sync::atomic::Ordering::Relaxed);

    let ran = run(&mut command(&stage), &["retry", "--provider", "main"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "1 target became due\n"));
    eventually("the provider has revoked it", async || memory.is_revoked("opaque").then_some(())).await;
    stage.wait_for_count(1, "audit.revocations WHERE state = 'revoked'").await;

    let id = stage.text("SELECT revocation_id FROM audit.revocations").await.expect("an id");
    let ran = run(&mut command(&stage), &["retry", "--id", &id]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.stderr,
        format!("revocation-worker: retry {id}: it is revoked, which is final; nothing is left to try\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused() {
    let stage = Stage::new().await;
    for arguments in [
        &["retry"][..],
        &["retry", "--provider", "a", "--incident", "b"],
        &["retry", "--id", "x"],
        &["retry", "--provider", "a", "--actor", ""],
    ] {
        assert_eq!(run(&mut command(&stage), arguments).code, 2, "{arguments:?}");
    }
    assert_eq!(stage.count("audit.operations").await, 0);
    let unknown = format!("{}-0", uuid::Uuid::now_v7());
    let ran = run(&mut command(&stage), &["retry", "--id", &unknown]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("no such revocation_id"), "{}", ran.stderr);
    let ran = run(&mut bare(&[]), &["retry", "--provider", "a"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("database.url"), "{}", ran.stderr);
    let ran =
        run(command(&stage).env("REVOCATION__RETRY__GIVE_UP_AFTER", "soon"), &["retry", "--provider", "a"]);
    assert_eq!((ran.code, ran.stderr.contains("retry.give_up_after")), (2, true), "{}", ran.stderr);
    let ran = run(&mut bare(&[("DATABASE_URL", "postgres://127.0.0.1:1/x")]), &["retry", "--provider", "a"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("Postgres cannot be reached"), "{}", ran.stderr);
}
