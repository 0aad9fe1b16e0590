//! The ten questions of docs/audit.md, asked as the page has them.

use std::process::Command;

use sqlx::{AssertSqlSafe, Executor, Row as _};

use crate::harness::Stage;
use crate::incident_record::{HELD, HOT, PARKED, REVOKED};

const PAGE: &str = include_str!("../../docs/audit.md");

/// The blocks of one language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let starts = PAGE.split(&fence).skip(1);
    starts.map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

/// What the page's examples ask for: a token, a user and a session, an event, an incident, and all that there
/// may be of these.
async fn asked_for() -> Stage {
    let stage = Stage::new().await;
    stage.incident("leak", "running").await;
    let event = stage.event("leak", 5).await;
    for (places, set) in [
        (0..1, PARKED),
        (1..2, HELD),
        (2..3, REVOKED),
        (2..3, "token_sha256 = sha256('example'), sub = 'user-1', sid = 'session-1'"),
    ] {
        stage.change(event, places, set).await;
    }
    stage
        .execute(&format!(
            "UPDATE revocation.events SET source = '/apps/shop', id = '6f1c', denied_at = now()
                 WHERE event_id = '{event}';
             INSERT INTO revocation.workers (instance, version, lease_until) VALUES ('w', '1', now());
             INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at,
                 duration_ms, outcome, http_status, error)
             VALUES ('{event}', 0, 1, true, 1, now(), 12, 'transient', 503, 'busy');
             INSERT INTO revocation.rejected_events (rejected_at, queue, routing_key, code, detail,
                 body_sha256, body_bytes, worker_no)
             VALUES (now(), 'q', 'k', 'not_json', 'd', sha256('x'), 1, 1);
             INSERT INTO revocation.purged (month, ends_before, actor, follows, sha256)
             VALUES ('2024-01-01', '2025-01-01Z', 'bob', sha256('a'), sha256('b'))"
        ))
        .await;
    stage.roles().await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_gets_an_answer_to_each_question_of_the_page() {
    let stage = asked_for().await;
    let auditor = stage.login("auditor").await;
    let mut session = auditor.session().await;
    let compiles: String = sqlx::query_scalar("SHOW jit").fetch_one(&mut session).await.expect("a setting");
    assert_eq!(compiles, "off", "it would take longer than the questions do");
    let queries = blocks("sql");
    assert!(queries.len() >= 10, "ten questions, ten queries: {}", queries.len());
    for query in queries {
        let rows = session.fetch_all(AssertSqlSafe(query)).await;
        let rows = rows.unwrap_or_else(|error| panic!("{query}: {error}"));
        assert!(!rows.is_empty(), "no row answers {query}");
    }
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_revocation-worker"));
    let folder = program.parent().expect("a folder").display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    for script in blocks("sh") {
        let mut shell = Command::new("bash");
        let ran = shell
            .args(["-euo", "pipefail", "-c", script])
            .env_clear()
            .envs([("PATH", path.as_str()), ("DATABASE_URL", &auditor.url), ("TOKEN", "example")])
            .current_dir("/")
            .output()
            .expect("run bash");
        assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(!said.is_empty() && !said.contains("nothing on record"), "{script}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_name_and_each_time_is_found_by_an_index() {
    let stage = Stage::new().await;
    let of_targets = |condition| format!("SELECT * FROM audit.revocations WHERE {condition}");
    for (query, index) in [
        (of_targets("token_sha256 = 'a'"), "targets_token"),
        (of_targets("signed_sha256 = 'a'"), "targets_signed_parts"),
        (of_targets("sub = 'a'"), "targets_by_sub"),
        (of_targets("sid = 'a'"), "targets_by_sid"),
        (of_targets("finished_at IS NULL"), "targets_leased"),
        (of_targets("finished_at IS NULL"), "targets_waiting"),
        ("SELECT * FROM audit.attempts WHERE started_at >= now()".to_owned(), "targets_times"),
        ("SELECT * FROM audit.recorded_results WHERE at >= now()".to_owned(), "targets_times"),
    ] {
        let plan = format!("SET enable_seqscan = off; EXPLAIN {query}");
        let plan = sqlx::raw_sql(AssertSqlSafe(plan)).fetch_all(&stage.db).await.expect("a plan");
        let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
        let plan = plan.join("\n");
        assert!(plan.contains(index) && !plan.contains("Seq Scan on targets"), "{query}: {plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_told_of_once_in_whatever_state() {
    let stage = Stage::new().await;
    stage.incident("leak", "running").await;
    for real_id in ["NULL, id = 'a'", r"'a', id = E'a\x1f' || repeat('=', 254)"] {
        let event = stage.event("leak", 5).await;
        stage
            .execute(&format!("UPDATE revocation.events SET real_id = {real_id} WHERE event_id = '{event}'"))
            .await;
        for (place, set) in [(0, HOT), (1, HELD), (2, PARKED), (3, REVOKED)] {
            stage.change(event, place..place + 1, set).await;
        }
        for (condition, found) in [
            ("finished_at IS NULL", "0, 1, 2, 4"),
            ("state = 'revoked'", "3"),
            ("event_source = '/soc' AND event_id = 'a'", "0, 1, 2, 3, 4"),
            ("target_kind = 'token'", "0, 1, 2, 3, 4"),
        ] {
            let told = stage
                .text(&format!(
                    "SELECT string_agg(substr(revocation_id, 38), ', ' ORDER BY revocation_id)
                     FROM audit.revocations WHERE event_row = '{event}' AND {condition}"
                ))
                .await;
            assert_eq!(told.as_deref(), Some(found), "{condition}, {real_id}");
        }
    }
}
