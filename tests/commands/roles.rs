//! What each role of `migrations/roles.sql` may do, and what it may not.

mod forbidden;
mod older;
mod said;

use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};

use self::forbidden::FORBIDDEN;
use crate::harness::Stage;
use crate::incident_record::PARKED;
use crate::program::{bare, command, run};

const WORKER: &str = "revocation_worker";
const OPERATOR: &str = "revocation_operator";
const RETENTION: &str = "revocation_retention";
const OWNER: &str = "revocation_owner";

/// A missing right, a rule of a trigger, a violated CHECK.
const REFUSALS: [&str; 3] = ["42501", "23001", "23514"];

async fn filled() -> Stage {
    let stage = Stage::new().await;
    for (name, state) in [("waits", "awaiting_approval"), ("runs", "running"), ("paused", "paused")] {
        stage.incident(name, state).await;
        let event = stage.event(name, 3).await;
        stage.change(event, 0..1, PARKED).await;
    }
    stage
        .execute(
            "UPDATE revocation.incidents SET asks = '{client}', asking = 2, targets_expected = 50 \
        WHERE incident = 'waits'",
        )
        .await;
    stage
        .execute("INSERT INTO revocation.workers (instance, version, lease_until) VALUES ('w', '1', now())")
        .await;
    stage
        .execute(
            "INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at, \
                duration_ms, outcome)
             SELECT event_id, 0, 1, true, 1, now(), 1, 'transient' FROM revocation.events",
        )
        .await;
    stage
        .execute(
            "INSERT INTO revocation.rejected_events (rejected_at, queue, routing_key, code, detail, \
                body_sha256, body_bytes, worker_no)
             VALUES (now(), 'q', 'k', 'not_json', 'd', sha256('x'), 1, 1)",
        )
        .await;
    stage.roles().await;
    stage.roles().await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn no_role_does_what_is_not_its_own() {
    let stage = filled().await;
    let before = stage.rows("SELECT to_jsonb(i) FROM revocation.incidents i ORDER BY incident").await;
    for role in [WORKER, OPERATOR, "auditor", RETENTION, "", OWNER] {
        let login = stage.login(role).await;
        for (_, statement) in FORBIDDEN.into_iter().filter(|(of, _)| *of == role) {
            let mut session = login.session().await;
            match session.execute(AssertSqlSafe(statement)).await {
                Err(sqlx::Error::Database(error)) => {
                    let code = error.code().unwrap_or_default();
                    assert!(REFUSALS.contains(&&*code), "{role}: {statement}: {code} {error}");
                }
                other => panic!("{role} may: {statement}: {other:?}"),
            }
        }
    }
    assert_eq!(stage.rows("SELECT to_jsonb(i) FROM revocation.incidents i ORDER BY incident").await, before);
    assert_eq!(stage.count("revocation.people").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_is_a_role_and_not_a_setting() {
    let stage = filled().await;
    let mut session = stage.login(RETENTION).await.session().await;
    session.execute("SET revocation.retention = 'on'").await.expect("say so");
    for table in ["operations", "attempts", "rejected_events"] {
        session
            .execute(AssertSqlSafe(format!("DELETE FROM revocation.{table}")))
            .await
            .unwrap_or_else(|e| panic!("{table}: {e}"));
        assert_eq!(stage.count(&format!("revocation.{table}")).await, 0);
    }
    stage.execute("UPDATE revocation.incidents SET finished_at = now() WHERE incident = 'runs'").await;
    session
        .execute("DELETE FROM revocation.incidents WHERE incident = 'runs'")
        .await
        .expect("what is over goes");
    assert_eq!(stage.count("revocation.incidents").await, 2);
}

/// A table that nobody thought of would be out of the worker's reach, and one that is append-only in name
/// alone within it.
#[tokio::test(flavor = "multi_thread")]
async fn every_table_and_function_has_its_rights() {
    let stage = Stage::new().await;
    let roles = include_str!("../../migrations/roles.sql");
    // Two tables are written by triggers, with their owner's rights.
    let tables = "SELECT to_jsonb(tablename) FROM pg_tables WHERE schemaname = 'revocation'
        AND tablename NOT IN ('incident_counts', 'incident_denied')";
    for table in stage.rows(tables).await {
        let table = table.as_str().expect("a name");
        assert!(
            roles.contains(&format!("revocation.{table}")),
            "roles.sql does not say who may do what with revocation.{table}"
        );
    }
    let unpinned = "pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE pronamespace IN \
            ('revocation'::regnamespace, 'audit'::regnamespace)
        AND prosqlbody IS NULL AND NOT coalesce(proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], \
        false)";
    assert_eq!(
        stage.text(&format!("SELECT string_agg(proname, ' ') FROM {unpinned}")).await,
        None,
        "functions that look for names where the session says"
    );
    let open = "pg_proc WHERE prosecdef AND pronamespace = 'revocation'::regnamespace AND prorettype <> \
        'trigger'::regtype
        AND has_function_privilege('public', oid, 'EXECUTE')";
    assert_eq!(
        stage.text(&format!("SELECT string_agg(proname, ' ') FROM {open}")).await,
        None,
        "orders that anybody may give"
    );
}

/// As after a migration that roles.sql was not run after.
#[tokio::test(flavor = "multi_thread")]
async fn check_names_what_the_workers_role_lacks() {
    let stage = filled().await;
    let worker = stage.login(WORKER).await;
    for (right, table) in [
        ("INSERT", "operations"),
        ("INSERT", "incidents"),
        ("INSERT", "incident_samples"),
        ("SELECT", "incident_counts"),
    ] {
        stage.execute(&format!("REVOKE {right} ON revocation.{table} FROM revocation_worker")).await;
        let mut check = stage.worker("https://127.0.0.1:1/revoke").command();
        let ran = run(check.env("DATABASE_URL", &worker.url), &["check", "--json"]);
        assert!(ran.stdout.contains(&format!("{right} on revocation.{table}")), "{}", ran.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_migrates() {
    let stage = filled().await;
    let [owner, worker, operator] =
        [stage.login(OWNER).await, stage.login(WORKER).await, stage.login(OPERATOR).await];
    for login in [&worker, &operator] {
        let ran = run(&mut bare(&[("DATABASE_URL", &login.url)]), &["migrate"]);
        let sentence = format!(
            "revocation-worker: bring the schema up to date: role {} must not, since the schema belongs to \
                revocation_owner: run `revocation-worker \
             migrate` as a member of that role, and `run` without --migrate\n",
            login.role
        );
        assert_eq!((ran.code, ran.stderr), (1, sentence));
    }
    let mut setup =
        stage.worker("http://127.0.0.1:9/revoke").set("DATABASE_URL", &worker.url).flag("--migrate").spawn();
    assert_eq!(setup.ended().await.code(), Some(1));
    assert!(
        setup.log().contains("must not, since the schema belongs to revocation_owner"),
        "{}",
        setup.log()
    );

    let people = [
        ("DATABASE_URL", owner.url.as_str()),
        ("REVOCATION__PEOPLE__BOB__DATABASE_ROLES", operator.role.as_str()),
    ];
    for _twice in 0..2 {
        let ran =
            run(bare(&people).env("REVOCATION__PEOPLE__ALICE__BROKER_USERS", "soc,soc-2"), &["migrate"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    }
    let told = stage
        .rows("SELECT jsonb_build_array(person, kind, name) FROM revocation.people ORDER BY person, name")
        .await;
    assert_eq!(
        told,
        [
            json!(["alice", "broker_user", "soc"]),
            json!(["alice", "broker_user", "soc-2"]),
            json!(["bob", "role", operator.role])
        ]
    );
    assert_eq!(
        stage.count(&format!("audit.operations WHERE action = 'people' AND role = '{}'", owner.role)).await,
        3,
        "each change once"
    );
    assert_eq!(run(&mut bare(&[("DATABASE_URL", &owner.url)]), &["migrate"]).code, 0);
    assert_eq!(stage.count("revocation.people").await, 3, "without [people] it stays as it was");
    let ran = run(
        &mut bare(&[("DATABASE_URL", &operator.url)]),
        &["incident", "approve", "waits", "--actor", "alice", "--json"],
    );
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(stage.of("waits", "approved_by").await.as_deref(), Some("bob"));
}

/// Operators approve by what the database was told, which a worker must not read.
#[tokio::test(flavor = "multi_thread")]
async fn run_and_check_tell_where_the_database_was_told_of_other_people() {
    const NOTE: &str = "[people] is not what the database was told";
    let stage = Stage::new().await;
    stage.roles().await;
    stage
        .people(
            &json!({ "alice": { "broker_users": ["soc", "soc-2"] }, "bob": { "database_roles": ["bob"] } }),
        )
        .await;
    let worker = stage.login(WORKER).await;
    let (alice, bob) = ("REVOCATION__PEOPLE__ALICE__BROKER_USERS", "REVOCATION__PEOPLE__BOB__DATABASE_ROLES");
    let configured: [(&[(&str, &str)], bool); 6] = [
        (&[], false),
        (&[(alice, "soc-2,soc"), (bob, "bob")], false),
        (&[(alice, "soc"), (bob, "bob")], true),
        (&[(alice, "soc,soc-2,soc-3"), (bob, "bob")], true),
        (&[(alice, "soc,soc-2"), (bob, "robert")], true),
        (&[(alice, "soc,soc-2")], true),
    ];
    for (people, differs) in configured {
        let setup = stage.worker("https://127.0.0.1:9/revoke").set("DATABASE_URL", &worker.url);
        let setup = people.iter().fold(setup, |setup, (name, value)| setup.set(name, value));
        let ran = run(&mut setup.command(), &["check", "--json"]);
        let report = ran.json();
        let checks = report["checks"].as_array().expect("a list");
        let database = checks.iter().find(|check| check["what"] == "database").expect("the database's");
        assert_eq!(
            (&database["ok"], database.to_string().contains(NOTE)),
            (&json!(true), differs),
            "{people:?}: {database}"
        );
        let mut started = setup.start().await;
        assert!(started.stop().await.success());
        assert_eq!(started.log().contains(NOTE), differs, "{people:?}");
    }
    let setup = stage.worker("https://127.0.0.1:9/revoke").set(alice, "soc").flag("--migrate");
    let mut started = setup.start().await;
    assert!(started.stop().await.success());
    assert!(!started.log().contains(NOTE), "it has told the database itself");
    assert_eq!(stage.count("revocation.people").await, 1);
}

/// Changes of an incident by hand, and what the record then says of each.
const BY_HAND: [(&str, &str, &str, &str); 8] = [
    ("state = 'paused'", "pause", "running", "paused"),
    ("state = 'running'", "resume", "paused", "running"),
    ("throttle_per_s = 5", "throttle", "running", "running"),
    ("finished_at = now()", "finish", "running", "finished"),
    ("finished_at = NULL", "reopen", "finished", "running"),
    ("state = 'awaiting_approval'", "stop", "running", "awaiting_approval"),
    ("state = 'running'", "start", "awaiting_approval", "running"),
    ("state = 'cancelled', cancelled_by = 'x', cancel_reason = 'y'", "cancel", "running", "cancelled"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_an_incident_is_on_record_whoever_makes_it() {
    let stage = Stage::new().await;
    stage.incident("leak", "running").await;
    stage.event("leak", 2).await;
    let session = stage.text("SELECT session_user::text").await;
    for (change, action, from, to) in BY_HAND {
        stage
            .execute(&format!(
                "SET revocation.actor = 'somebody'; UPDATE revocation.incidents SET {change}, \
                was_paused = was_paused"
            ))
            .await;
        let rows = stage
            .rows("SELECT to_jsonb(o) FROM audit.operations o WHERE incident = 'leak' ORDER BY at")
            .await;
        let last = rows.last().expect("a row");
        let said = ["action", "role"].map(|member| last[member].clone());
        assert_eq!(said, [json!(action), json!(session)], "{change}");
        assert_eq!(
            [&last["detail"]["from"], &last["detail"]["to"], &last["detail"]["targets_received"]],
            [&json!(from), &json!(to), &json!(2)]
        );
    }
    let rows = stage.count("audit.operations WHERE incident = 'leak'").await;
    assert_eq!(rows, 1 + BY_HAND.len() as i64, "one each, and one for the opening");
    stage.execute("UPDATE revocation.incidents SET was_paused = true").await;
    assert_eq!(
        stage.count("audit.operations WHERE incident = 'leak'").await,
        rows,
        "what changes no state leaves none"
    );
}

/// With a right to the audit views and no other, and as an operator.
#[tokio::test(flavor = "multi_thread")]
async fn commands_that_read_run_under_every_role_that_reads() {
    let stage = filled().await;
    stage.execute("UPDATE revocation.workers SET lease_until = now() + interval '1 day'").await;
    stage
        .execute(
            "INSERT INTO revocation.provider_status (worker_no, provider, breaker, calls_5m, \
        failures_5m) VALUES (1, 'main', 'closed', 1, 0)",
        )
        .await;
    let event = stage.text("SELECT id FROM revocation.events LIMIT 1").await.expect("an event");
    let reading: [&[&str]; 8] = [
        &["status", "--json"],
        &["status", "--event", "/soc", &event, "--json"],
        &["incident", "list", "--json"],
        &["incident", "show", "waits", "--json"],
        &["provider", "list", "--json"],
        &["provider", "show", "main", "--json"],
        &["incident", "show", "runs"],
        &["status"],
    ];
    for role in ["auditor", OPERATOR, WORKER, OWNER] {
        let login = stage.login(role).await;
        for arguments in reading {
            let ran = run(&mut bare(&[("DATABASE_URL", &login.url)]), arguments);
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{role}: {arguments:?}");
        }
    }
    let stranger = stage.login("").await;
    let ran = run(&mut bare(&[("DATABASE_URL", &stranger.url)]), &["status"]);
    assert_eq!(
        (ran.code, ran.stderr.contains("permission denied for schema audit")),
        (1, true),
        "{}",
        ran.stderr
    );
    assert_eq!(run(&mut command(&stage), &["status"]).code, 0);
}
