//! What a target's row holds for good: its final state, the attempt that ended it, the denial of its event.

use revocation_worker::config::{DatabaseConfig, Secret};
use revocation_worker::store::{Store, WorkerNo};
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use crate::harness::{App, Stage, canary_token, logout};
use crate::schema::{filled, refused};
use crate::scripted_idp::Memory;

/// The revoked token of `filled`, as if the call that ended it were in its row.
const HELD: &str = "SET LOCAL session_replication_role = replica;
    UPDATE revocation.targets SET attempts = 2, last_worker = 1, last_outcome = 'revoked',
        last_http_status = 200, call_began_at = finished_at - interval '7 ms' WHERE ordinal = 1";

/// Runs statements, in one transaction.
async fn run(stage: &Stage, statements: &str) {
    let done = stage.db.execute(AssertSqlSafe(statements.to_owned())).await;
    done.unwrap_or_else(|error| panic!("{statements}: {error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_in_its_targets_row_is_append_only() {
    let stage = filled().await;
    run(&stage, HELD).await;
    let held = "audit.attempts WHERE attempt = 2 AND worker = 'w' AND duration_ms = 7 AND outcome = \
        'revoked' AND http_status = 200 AND started_at IS NOT NULL";
    assert_eq!(stage.count(held).await, 1);
    assert_eq!(stage.count(&held.replace("audit.attempts", "audit.event_attempts")).await, 1);
    for change in [
        "attempts = 3",
        "last_worker = 2",
        "last_outcome = 'already_invalid'",
        "last_http_status = 204",
        "last_error = 'x'",
        "call_began_at = now()",
        "call_began_at = NULL",
    ] {
        let change = format!("UPDATE revocation.targets SET {change} WHERE ordinal = 1");
        let (code, message) = refused(&stage.db, &change).await;
        assert_eq!(code, "23001", "{change}");
        assert!(message.contains("append-only"), "{message}");
    }
    let delete = "DELETE FROM revocation.targets WHERE ordinal = 1";
    assert_eq!(refused(&stage.db, delete).await.0, "23001");
    run(&stage, "SET LOCAL revocation.retention = 'on'; DELETE FROM revocation.attempts").await;
    run(&stage, &format!("SET LOCAL revocation.retention = 'on'; {delete}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_state_is_final() {
    let stage = filled().await;
    for change in [
        "state = 'cancelled', proof = NULL, revoked_at = NULL WHERE ordinal = 1",
        "state = 'pending', proof = NULL, revoked_at = NULL, finished_at = NULL, due_at = now(), sealed = \
            'x', sealed_key = 'k' WHERE ordinal = 1",
        "state = 'revoked', proof = 'accepted', revoked_at = now() WHERE ordinal = 2",
        "state = 'parked', finished_at = NULL, due_at = now(), sealed = 'x', sealed_key = 'k' WHERE ordinal \
            = 3",
        "finished_at = finished_at + interval '1 s' WHERE ordinal = 1",
    ] {
        let (code, message) = refused(&stage.db, &format!("UPDATE revocation.targets SET {change}")).await;
        assert_eq!(code, "23001", "{change}");
        assert!(message.contains("is final"), "{message}");
    }
    stage
        .db
        .execute("UPDATE revocation.targets SET confirmed_at = now() WHERE ordinal = 1")
        .await
        .expect("its confirmation is noted later");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_has_its_event() {
    let stage = filled().await;
    let copy = "INSERT INTO revocation.targets (event_id, ordinal, provider, lane, kind, sub, deny_until, \
        give_up_at, state, due_at) SELECT event, n, 'main', 'interactive', 'subject', 'u', now(), now(), \
        'pending', now() FROM ";
    let known = "'00000000-0000-7000-8000-000000000001'::uuid";
    for wrong in [
        format!("{copy} (VALUES ({known}, 7), (gen_random_uuid(), 7)) v (event, n)"),
        "DELETE FROM revocation.events".to_owned(),
        "UPDATE revocation.events SET event_id = gen_random_uuid()".to_owned(),
    ] {
        let (code, name) = refused(&stage.db, &wrong).await;
        assert_eq!((code.as_str(), name.as_str()), ("23503", "targets_event_id_fkey"), "{wrong}");
    }
    for table in ["events", "targets"] {
        assert_eq!(refused(&stage.db, &format!("TRUNCATE revocation.{table} CASCADE")).await.0, "23001");
    }
    run(&stage, &format!("{copy} (VALUES ({known}, 7)) v (event, n)")).await;
    run(&stage, "SET LOCAL revocation.retention = 'on'; DELETE FROM revocation.attempts").await;
    run(&stage, "WITH gone AS (DELETE FROM revocation.targets) DELETE FROM revocation.events").await;
}

/// No row of `revocation.attempts`, and no second version of the event's row.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_is_on_record_in_its_targets() {
    let (stage, memory) = (Stage::new().await, Memory::default());
    let idp = memory.serve().await;
    let worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    App::connect(&stage.amqp_url).await.publish(&logout("1", &canary_token(), &canary_token())).await;
    stage.wait_for_count(2, "audit.revocations WHERE state = 'revoked' AND denied_at IS NOT NULL").await;
    assert_eq!(stage.count("audit.attempts WHERE outcome = 'revoked' AND attempt = 1").await, 2);
    assert_eq!(stage.count("revocation.attempts").await, 0);
    assert_eq!(stage.count("audit.events WHERE denied_at IS NOT NULL").await, 1);
    let database = DatabaseConfig { url: Secret::new(stage.database_url.clone()), max_connections: 1 };
    let store = Store::new(&database).expect("a store");
    let owed = store.denials(WorkerNo(1), &(Uuid::nil()..Uuid::max()), true, None, 10).await;
    assert!(owed.expect("look").is_empty(), "its denial is known");
    drop(worker);
}
