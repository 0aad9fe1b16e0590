//! What migrations do to those who work meanwhile, and to each other.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};

use crate::harness::{Setup, Stage};

/// The last migration before one that changes the table of targets.
const BEFORE_A_CHANGE: i64 = 17;

/// The last migration before an index that is made while workers go on.
const BEFORE_AN_INDEX: i64 = 20;

async fn migrated_to(version: i64) -> (Stage, Setup) {
    let stage = Stage::empty().await;
    sqlx::migrate!().run_to(version, &stage.db).await.expect("migrate");
    let setup = stage.worker("http://127.0.0.1:9/revoke");
    (stage, setup)
}

fn migrating(setup: &Setup) -> Child {
    let mut command = setup.command();
    command.arg("migrate").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start migrate")
}

async fn ends_well(child: Child) {
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output()).await.expect("no panic");
    let ended = ended.expect("wait for migrate");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

async fn newest_is_applied(stage: &Stage) {
    let newest = sqlx::migrate!().iter().map(|migration| migration.version).max();
    let applied = stage.count(&format!("_sqlx_migrations WHERE version = {}", newest.unwrap_or(0))).await;
    assert_eq!(applied, 1);
    assert_eq!(stage.count("pg_index WHERE NOT indisvalid").await, 0, "indexes that are not whole");
}

/// Who waits for a table's lock holds up all that come after, for as long as it waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_waits_for_a_long_reader_holds_nobody_up_for_long() {
    let (stage, setup) = migrated_to(BEFORE_A_CHANGE).await;
    let mut reader = stage.db.begin().await.expect("a transaction");
    reader.execute("SELECT count(*) FROM revocation.targets").await.expect("read");
    let migration = migrating(&setup);
    let waits = "pg_locks WHERE NOT granted AND relation = 'revocation.targets'::regclass";
    stage.wait_for_count(1, waits).await;
    let mut worker = PgConnection::connect(&stage.database_url).await.expect("connect");
    let began = Instant::now();
    worker.execute("SELECT count(*) FROM revocation.targets").await.expect("read");
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(5), "held up for {waited:?}");
    // The reader goes on; it is tried again.
    stage.wait_for_count(1, waits).await;
    reader.commit().await.expect("the reader ends");
    ends_well(migration).await;
    newest_is_applied(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_workers_may_migrate_at_once() {
    let (stage, setup) = migrated_to(BEFORE_AN_INDEX).await;
    for migration in [(); 6].map(|()| migrating(&setup)) {
        ends_well(migration).await;
    }
    newest_is_applied(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_made_anew_where_whoever_made_it_was_killed() {
    let (stage, setup) = migrated_to(BEFORE_AN_INDEX).await;
    let mut writer = stage.db.begin().await.expect("a transaction");
    writer.execute("LOCK TABLE revocation.targets IN ROW EXCLUSIVE MODE").await.expect("write");
    let mut killed = migrating(&setup);
    stage.wait_for_count(1, "pg_index WHERE NOT indisvalid").await;
    killed.kill().expect("kill it");
    killed.wait().expect("wait for it");
    let session = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
        AND state = 'active' AND query LIKE '%CREATE INDEX CONCURRENTLY%'";
    stage.raw(&format!("SELECT pg_terminate_backend(pid) FROM {session}")).await;
    stage.wait_for_count(0, session).await;
    assert_eq!(stage.count("pg_index WHERE NOT indisvalid").await, 1, "it left half an index");
    writer.commit().await.expect("the writer ends");
    ends_well(migrating(&setup)).await;
    newest_is_applied(&stage).await;
}
