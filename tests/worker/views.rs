//! The record's public face.

use sqlx::{AssertSqlSafe, Executor, Row};

use crate::harness::Stage;
use crate::schema::filled;

/// The views of docs/contract.md, section 7 and their columns, in order.
pub(crate) const VIEWS: [(&str, &str); 29] = [
    (
        "attempts",
        "revocation_id attempt worker started_at duration_ms outcome http_status error retry_after_ms",
    ),
    ("backlog", "provider lane state targets oldest_received_at next_attempt_at"),
    ("checkpoints", "checkpoint_no made_at after_at until_at document sha256 key_id public_key signature"),
    ("dead_letters", "messages seen_at many_since"),
    (
        "event_attempts",
        "event_row revocation_id attempt worker started_at duration_ms outcome http_status error \
            retry_after_ms",
    ),
    ("event_attempts_under_way", "event_row revocation_id attempt worker started_at"),
    (
        "events",
        "event_row event_source event_id event_type incident lane reason actor broker_user occurred_at \
            received_at not_before denied_at withheld",
    ),
    (
        "incident_approvals",
        "incident opened_via asks asking approval_above approved_role approved_asks approved_targets \
            contributors",
    ),
    ("incident_providers", "incident provider pending revoked unsupported expired parked cancelled"),
    (
        "incidents",
        "incident state reason opened_by approved_by opened_at targets_expected targets_received denied \
            pending revoked unsupported expired parked \
         cancelled rate_per_s eta_seconds finished_at approved_at throttle_per_s cancelled_by cancel_reason \
         approval_for",
    ),
    ("lost_workers", "instance version started_at last_seen_at taken_over_at"),
    ("operations", "at actor action incident detail role"),
    ("overdue", "provider lane state since"),
    ("propagation", "event_source event_id incident denied_at applied_by live_verifiers waiting_for"),
    ("provider_orders", "order_no at provider action actor role"),
    (
        "provider_workers",
        "provider worker breaker waits_since held_until last_success_at last_failure_at last_error calls_5m \
            failures_5m",
    ),
    (
        "providers",
        "provider breaker last_success_at last_failure_at last_error calls_5m failures_5m p50_ms_5m \
            p95_ms_5m waits_since held_until",
    ),
    ("purged", "month relation provider kind state rows"),
    (
        "purges",
        "purge_no month began_at ended_at actor role ends_before events targets attempts others follows \
            sha256 checkpoint key_id public_key signature",
    ),
    (
        "recorded_attempts",
        "at event_row ordinal attempt answered worker_no started_at duration_ms outcome \
            http_status error retry_after_ms noted_at noted_role",
    ),
    ("recorded_operations", "at operation_no actor role action incident detail noted_at noted_role"),
    (
        "recorded_refusals",
        "at rejected_no queue routing_key broker_user code detail body_sha256 body_bytes \
            event_source event_id worker_no noted_at noted_role",
    ),
    (
        "recorded_results",
        "at event_row ordinal provider kind token_type_hint token_sha256 signed_sha256 jti \
            jti_iss sub sid client_id iss token_expires_at cutoff state proof attempts \
            last_worker last_outcome last_http_status last_error call_began_at revoked_at source \
            id real_id event_type reason actor broker_user occurred_at received_at not_before \
            body_sha256 noted_at noted_role",
    ),
    (
        "rejected_events",
        "rejected_at queue routing_key broker_user code detail body_sha256 body_bytes event_source event_id",
    ),
    (
        "revocations",
        "revocation_id event_source event_id event_type incident lane provider target_kind token_type_hint \
            token_sha256 sub sid client_id iss \
         not_before reason actor state proof attempts occurred_at received_at denied_at revoked_at \
         confirmed_at finished_at next_attempt_at \
         token_expires_at last_outcome last_http_status last_error worker signed_sha256 identity_reused \
         event_row trace_id",
    ),
    (
        "silent_verifiers",
        "service instance last_seen_at applied_offset lag_seconds entries up_to_date stale_reason \
            staleness_policy applied_time live broker_user verified silent_s",
    ),
    (
        "targets",
        "event_row ordinal incident provider lane kind state attempts finished_at deny_until in_flight",
    ),
    (
        "verifiers",
        "service instance last_seen_at applied_offset lag_seconds entries up_to_date stale_reason \
            staleness_policy applied_time live \
         broker_user verified",
    ),
    ("workers", "instance version started_at last_seen_at in_flight clock_offset_ms lease_until"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_views_have_the_contracts_columns() {
    let stage = Stage::new().await;
    let rows = sqlx::query(
        "SELECT table_name::text, string_agg(column_name::text, ' ' ORDER BY ordinal_position),
             bool_and(data_type = 'timestamp with time zone' OR data_type NOT LIKE 'timestamp%')
         FROM information_schema.columns WHERE table_schema = 'audit' GROUP BY table_name ORDER BY \
         table_name",
    )
    .fetch_all(&stage.db)
    .await
    .unwrap();
    let found: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(found, VIEWS.map(|(view, columns)| (view.to_owned(), columns.to_owned())));
    assert!(rows.iter().all(|row| row.get(2)), "times are timestamptz");
    assert_eq!(
        stage.count("information_schema.tables WHERE table_schema = 'audit' AND table_type <> 'VIEW'").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_auditor_reads_every_view_and_nothing_else() {
    let stage = filled().await;
    for _run_twice in 0..2 {
        stage.db.execute(include_str!("../../migrations/auditor.sql")).await.expect("auditor.sql runs");
    }
    let mut auditor = stage.db.acquire().await.unwrap();
    auditor.execute("SET ROLE auditor").await.unwrap();
    for (view, _) in VIEWS {
        let rows = auditor.fetch_all(AssertSqlSafe(format!("SELECT * FROM audit.{view}"))).await;
        rows.unwrap_or_else(|error| panic!("audit.{view}: {error}"));
    }
    let tables = sqlx::query("SELECT tablename::text FROM pg_tables WHERE schemaname = 'revocation'")
        .fetch_all(&stage.db)
        .await
        .unwrap();
    assert!(tables.len() >= 8);
    let tables = tables.iter().map(|row| format!("SELECT 1 FROM revocation.{}", row.get::<String, _>(0)));
    let writes = [
        "DELETE FROM audit.rejected_events",
        "UPDATE audit.operations SET actor = 'x'",
        "INSERT INTO audit.operations (actor, action) VALUES ('x', 'x')",
        "SELECT revocation.revocation_id(gen_random_uuid(), 1::smallint)",
        "CREATE TABLE audit.mine (a int)",
    ];
    for statement in tables.chain(writes.map(str::to_owned)) {
        match auditor.execute(AssertSqlSafe(statement.clone())).await {
            Err(sqlx::Error::Database(error)) => {
                assert_eq!(error.code().as_deref(), Some("42501"), "{statement}: {error}")
            }
            other => panic!("{statement}: {other:?}"),
        }
    }
    // The pool must not lend this connection out again as it is.
    auditor.close().await.unwrap();
}
