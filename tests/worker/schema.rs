//! What the database refuses whoever asks.

use std::process::Output;

use sqlx::{AssertSqlSafe, Executor, PgPool};

use crate::harness::{Setup, Stage, eventually};

/// One event with a pending token (0), a revoked token (1), a cancelled session (2), an expired token (3);
/// one row in each append-only table.
const ROWS: &str = "
    INSERT INTO revocation.workers (instance, version, lease_until) VALUES ('w', '1', now());
    INSERT INTO revocation.events (event_id, source, id, event_type, lane, received_at, not_before, \
    body_sha256, accepted_by)
        VALUES ('00000000-0000-7000-8000-000000000001', '/apps/shop', '1', 'auth.logout.v1', 'interactive', \
        now(), now(), sha256('x'), 1);
    INSERT INTO revocation.targets (event_id, ordinal, provider, lane, kind, token_sha256, sid, deny_until, \
    give_up_at, state, proof,
            due_at, sealed, sealed_key, revoked_at, finished_at, token_expires_at)
        SELECT '00000000-0000-7000-8000-000000000001', n.*, CASE n.kind WHEN 'token' THEN now() END
        FROM (VALUES
            (0, 'main', 'interactive', 'token', sha256('a'), NULL, now(), now(), 'pending', NULL, now(), \
            '\\x01'::bytea, 'k', NULL, NULL),
            (1, 'main', 'interactive', 'token', sha256('b'), NULL, now(), now(), 'revoked', 'accepted', \
            NULL, NULL, NULL, now(), now()),
            (2, 'main', 'interactive', 'session', NULL, 's', now(), now(), 'cancelled', NULL, NULL, NULL, \
            NULL, NULL, now()),
            (3, 'main', 'interactive', 'token', sha256('c'), NULL, now(), now(), 'expired', NULL, NULL, \
            NULL, NULL, NULL, now())
        ) n (ordinal, provider, lane, kind, token_sha256, sid, deny_until, give_up_at, state, proof, due_at, \
        sealed, sealed_key, revoked_at, finished_at);
    INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at, \
    duration_ms, outcome)
        VALUES ('00000000-0000-7000-8000-000000000001', 1, 1, true, 1, now(), 1, 'revoked');
    INSERT INTO revocation.verifier_reports (service, instance, broker_user, verified, reported_at, entries, \
    stale)
        VALUES ('s', 'i', 'u', true, now(), 0, false);
    INSERT INTO revocation.rejected_events (rejected_at, queue, routing_key, code, detail, body_sha256, \
    body_bytes, worker_no)
        VALUES (now(), 'q', 'k', 'not_json', 'd', sha256('x'), 1, 1);
    INSERT INTO revocation.operations (actor, action) VALUES ('someone', 'retry');
    INSERT INTO revocation.provider_orders (provider, action, actor) VALUES ('main', 'resume', 'someone');";

/// Changes of `revocation.targets` by hand, and the constraint that refuses each.
const WRONG: [(&str, &str); 53] = [
    (
        "state = 'done', finished_at = now(), due_at = NULL, sealed = NULL, sealed_key = NULL WHERE ordinal \
            = 0",
        "state_machine",
    ),
    ("state = 'revoked' WHERE ordinal = 0", "state_machine"),
    ("state = 'expired', finished_at = now() WHERE ordinal = 0", "state_machine"),
    ("due_at = NULL WHERE ordinal = 0", "state_machine"),
    ("due_at = now() WHERE ordinal = 1", "state_machine"),
    ("finished_at = now() WHERE ordinal = 0", "state_machine"),
    ("state = 'cancelled', finished_at = now(), due_at = NULL WHERE ordinal = 0", "state_machine"),
    ("sealed = NULL, sealed_key = NULL WHERE ordinal = 0", "state_machine"),
    ("sealed = 'x', sealed_key = 'k' WHERE ordinal = 1", "state_machine"),
    ("sealed = 'x', sealed_key = 'k' WHERE ordinal = 2", "state_machine"),
    ("sealed_key = NULL WHERE ordinal = 0", "sealed_has_key"),
    ("lease_owner = 1, leased_at = now() WHERE ordinal = 0", "leased_is_pending"),
    (
        "lease_owner = 1, leased_at = now(), attempts = 1, state = 'parked' WHERE ordinal = 0",
        "leased_is_pending",
    ),
    ("lease_owner = 1, leased_at = now(), attempts = 1 WHERE ordinal = 1", "leased_is_pending"),
    ("lease_owner = 1, attempts = 1 WHERE ordinal = 0", "lease_is_whole"),
    ("leased_at = now() WHERE ordinal = 0", "lease_is_whole"),
    ("revoked_at = now() WHERE ordinal = 0", "state_machine"),
    ("revoked_at = NULL WHERE ordinal = 1", "state_machine"),
    ("proof = NULL WHERE ordinal = 1", "state_machine"),
    ("proof = 'contradicted' WHERE ordinal = 1", "state_machine"),
    ("proof = 'accepted' WHERE ordinal = 0", "state_machine"),
    ("proof = 'sure' WHERE ordinal = 1", "values_are_known"),
    ("confirmed_at = now() WHERE ordinal = 0", "state_machine"),
    ("token_expires_at = NULL WHERE ordinal = 3", "state_machine"),
    ("attempts = -1 WHERE ordinal = 0", "values_are_known"),
    ("failures = 1 WHERE ordinal = 0", "values_are_known"),
    ("token_sha256 = NULL WHERE ordinal = 0", "names_what_its_kind_must"),
    ("token_sha256 = sha256('x') WHERE ordinal = 2", "only_tokens_have_token_facts"),
    ("token_sha256 = 'x' WHERE ordinal = 0", "values_are_known"),
    ("token_expires_at = now() WHERE ordinal = 2", "only_tokens_have_token_facts"),
    ("token_type_hint = 'id_token' WHERE ordinal = 0", "values_are_known"),
    ("sid = NULL WHERE ordinal = 2", "names_what_its_kind_must"),
    ("kind = 'subject' WHERE ordinal = 2", "names_what_its_kind_must"),
    ("kind = 'client' WHERE ordinal = 2", "names_what_its_kind_must"),
    ("kind = 'issuer' WHERE ordinal = 2", "names_what_its_kind_must"),
    ("kind = 'device' WHERE ordinal = 2", "names_what_its_kind_must"),
    ("lane = 'fast' WHERE ordinal = 0", "values_are_known"),
    ("ordinal = -1 WHERE ordinal = 0", "values_are_known"),
    ("last_error = repeat('x', 501) WHERE ordinal = 0", "values_are_known"),
    ("last_outcome = 'fine' WHERE ordinal = 0", "values_are_known"),
    ("waiting = true WHERE ordinal = 0", "waiting_is_untried"),
    ("waiting = true, incident = 'i', attempts = 1 WHERE ordinal = 0", "waiting_is_untried"),
    ("waiting = true, incident = 'i', state = 'parked' WHERE ordinal = 0", "waiting_is_untried"),
    ("waiting = true, incident = 'i' WHERE ordinal = 1", "waiting_is_untried"),
    ("cutoff = now() WHERE ordinal = 0", "names_what_its_kind_must"),
    ("signed_sha256 = 'x' WHERE ordinal = 0", "values_are_known"),
    ("signed_sha256 = sha256('x') WHERE ordinal = 2", "only_tokens_have_token_facts"),
    ("jti_iss = 'i' WHERE ordinal = 0", "names_what_its_kind_must"),
    (
        "call_began_at = now(), last_worker = 1, last_outcome = 'revoked', attempts = 1 WHERE ordinal = 0",
        "call_ended_it",
    ),
    (
        "call_began_at = now(), last_worker = 1, last_outcome = 'unknown', attempts = 1 WHERE ordinal = 1",
        "call_ended_it",
    ),
    ("call_began_at = now(), last_outcome = 'revoked', attempts = 1 WHERE ordinal = 1", "call_ended_it"),
    ("call_began_at = now(), last_worker = 1, last_outcome = 'revoked' WHERE ordinal = 1", "call_ended_it"),
    ("denied_at = now(), incident = 'i' WHERE ordinal = 1", "denied_is_of_no_incident"),
];

pub(crate) async fn filled() -> Stage {
    let stage = Stage::new().await;
    stage.db.execute(ROWS).await.expect("the rows are valid");
    stage
}

/// Runs a statement that must be refused; returns SQLSTATE and the constraint's name, or the message where
/// there is none.
pub(crate) async fn refused(db: &PgPool, statement: &str) -> (String, String) {
    match db.execute(AssertSqlSafe(statement.to_owned())).await {
        Err(sqlx::Error::Database(error)) => (
            error.code().expect("a code").into_owned(),
            error.constraint().unwrap_or(error.message()).to_owned(),
        ),
        Err(error) => panic!("{statement}: {error}"),
        Ok(_) => panic!("was allowed: {statement}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_wrong_state_can_be_written_by_hand() {
    let stage = filled().await;
    for (change, constraint) in WRONG {
        // Without triggers, which keep some of these columns from any change.
        let change_alone =
            format!("SET LOCAL session_replication_role = replica; UPDATE revocation.targets SET {change}");
        let (code, name) = refused(&stage.db, &change_alone).await;
        assert_eq!((code.as_str(), name.as_str()), ("23514", constraint), "{change}");
    }
    let names = "SELECT to_jsonb(conname) FROM pg_constraint WHERE conrelid = 'revocation.targets'::regclass \
        AND contype = 'c'";
    let untried: Vec<_> = stage
        .rows(names)
        .await
        .into_iter()
        .filter(|name| WRONG.iter().all(|(_, tried)| name != tried))
        .collect();
    assert!(untried.is_empty(), "constraints that no change above runs into: {untried:?}");
    let event = "INSERT INTO revocation.events (event_id, source, id, event_type, lane, incident, \
        received_at, not_before, body_sha256, accepted_by)
                 VALUES (gen_random_uuid(), ";
    for (values, constraint) in [
        (
            "'/apps/shop', '1', 'auth.logout.v1', 'interactive', NULL, now(), now(), sha256('x'), 1)",
            "events_source_id_key",
        ),
        (
            "'/apps/shop', '2', 'auth.logout.v1', 'mass', NULL, now(), now(), sha256('x'), 1)",
            "lane_fits_incident",
        ),
        (
            "'/apps/shop', '2', 'auth.mass_revocation.v1', 'mass', NULL, now(), now(), sha256('x'), 1)",
            "lane_fits_incident",
        ),
        (
            "'/apps/shop', '2', 'auth.logout.v1', 'mass', 'leak', now(), now(), sha256('x'), 1)",
            "lane_fits_incident",
        ),
        (
            "'/apps/shop', '2', 'auth.logout.v1', 'interactive', NULL, now(), now(), 'x', 1)",
            "values_are_known",
        ),
    ] {
        assert_eq!(refused(&stage.db, &format!("{event}{values}")).await.1, constraint, "{values}");
    }
    let attempt = "INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, \
        started_at, duration_ms, outcome)
                   VALUES ('00000000-0000-7000-8000-000000000001', ";
    for (values, constraint) in [
        ("9, 1, true, 1, now(), 1, 'revoked')", "attempts_event_id_ordinal_fkey"),
        ("1, 1, true, 1, now(), 1, 'revoked')", "attempts_pkey"),
        ("1, 2, true, 1, now(), 1, 'unknown')", "unanswered_is_unknown"),
        ("1, 2, true, 1, now(), NULL, 'revoked')", "answered_took_time"),
        ("1, 0, true, 1, now(), 1, 'revoked')", "attempts_attempt_check"),
    ] {
        assert_eq!(refused(&stage.db, &format!("{attempt}{values}")).await.1, constraint, "{values}");
    }
}

const APPEND_ONLY: [(&str, &str); 4] = [
    ("attempts", "error = 'x'"),
    ("rejected_events", "detail = 'x'"),
    ("operations", "actor = 'x'"),
    ("provider_orders", "actor = 'x'"),
];

#[tokio::test(flavor = "multi_thread")]
async fn history_can_only_grow_and_only_retention_shortens_it() {
    let stage = filled().await;
    let superuser = stage.text("SELECT usesuper::text FROM pg_user WHERE usename = current_user").await;
    assert_eq!(superuser.as_deref(), Some("true"), "the owner and superuser himself is refused");
    for (table, change) in APPEND_ONLY {
        let [update, delete, truncate] = [
            format!("UPDATE revocation.{table} SET {change}"),
            format!("DELETE FROM revocation.{table}"),
            format!("TRUNCATE revocation.{table}"),
        ];
        let announce = "SET LOCAL revocation.retention = 'on'";
        for statement in [
            &update,
            &delete,
            &truncate,
            &format!("{announce}; {update}"),
            &format!("{announce}; {truncate}"),
        ] {
            let (code, message) = refused(&stage.db, statement).await;
            assert_eq!(code, "23001", "{statement}");
            assert!(message.contains(&format!("revocation.{table} refused")), "{message}");
        }
        stage.db.execute(AssertSqlSafe(format!("{announce}; {delete}"))).await.expect("retention deletes");
        assert_eq!(stage.count(&format!("revocation.{table}")).await, 0);
        assert_eq!(
            refused(&stage.db, "UPDATE revocation.targets SET finished_at = now() WHERE ordinal = 1").await.0,
            "23001"
        );
    }
}

fn migrate(setup: &Setup) -> Output {
    setup.command().arg("migrate").output().expect("run migrate")
}

/// Everything in the two schemas and the list of migrations, as text.
async fn fingerprint(stage: &Stage) -> String {
    let sql = "SELECT concat_ws(E'\\n',
        (SELECT string_agg(concat_ws(' ', table_schema, table_name, column_name, data_type, column_default, \
        is_nullable), E'\\n'
             ORDER BY table_schema, table_name, ordinal_position) FROM information_schema.columns WHERE \
             table_schema IN ('revocation', 'audit')),
        (SELECT string_agg(conname || pg_get_constraintdef(oid), E'\\n' ORDER BY oid) FROM pg_constraint \
        WHERE connamespace = 'revocation'::regnamespace),
        (SELECT string_agg(indexdef, E'\\n' ORDER BY indexname) FROM pg_indexes WHERE schemaname = \
        'revocation'),
        (SELECT string_agg(pg_get_triggerdef(oid), E'\\n' ORDER BY oid) FROM pg_trigger WHERE NOT \
        tgisinternal),
        (SELECT string_agg(m::text, E'\\n' ORDER BY version) FROM _sqlx_migrations m))";
    stage.text(sql).await.expect("a text")
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_twice_is_migrating_once() {
    let stage = Stage::empty().await;
    let setup = stage.worker("http://127.0.0.1:9/revoke");
    let first = migrate(&setup);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let after_first = fingerprint(&stage).await;
    let second = migrate(&setup);
    assert!(second.status.success());
    assert_eq!(fingerprint(&stage).await, after_first);
    assert_eq!(second.stdout, first.stdout, "both say which version the schema is at");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_schema_stops_the_start_and_a_newer_one_does_not() {
    let stage = Stage::empty().await;
    let setup = stage.worker("http://127.0.0.1:9/revoke");
    let mut worker = setup.spawn();
    assert_eq!(worker.ended().await.code(), Some(1));
    let said = worker.log();
    assert!(
        said.contains("at version 0")
            && said.contains("run `revocation-worker migrate` (or `run --migrate`)"),
        "{said}"
    );
    assert_eq!(
        stage.count("pg_namespace WHERE nspname IN ('revocation', 'audit')").await,
        0,
        "nothing was created"
    );

    assert!(setup.clone().flag("--migrate").start().await.stop().await.success());
    assert!(setup.start().await.stop().await.success());
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
        VALUES (9999, 'newer', true, 'x', 0)";
    stage.db.execute(newer).await.unwrap();
    assert!(setup.start().await.stop().await.success());
    assert!(setup.clone().flag("--migrate").start().await.stop().await.success());
    assert!(migrate(&setup).status.success());
    assert_eq!(stage.count("_sqlx_migrations WHERE version = 9999").await, 1);
}

/// Postgres puts the schema that bears the user's name first in his search path.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_named_like_the_schema_migrates_twice_too() {
    let stage = Stage::empty().await;
    // Roles belong to the whole server: another run of this test may have made it.
    stage
        .db
        .execute(
            "DO $$ BEGIN CREATE ROLE revocation SUPERUSER LOGIN; EXCEPTION WHEN duplicate_object THEN \
            NULL; END $$",
        )
        .await
        .expect("a role");
    stage.db.execute("ALTER ROLE revocation PASSWORD 'pw'").await.expect("a password");
    let mut url: url::Url = stage.database_url.parse().expect("a URL");
    url.set_username("revocation").and(url.set_password(Some("pw"))).expect("a user");
    let setup = stage.worker("http://127.0.0.1:9/revoke").set("DATABASE_URL", url.as_str());
    for _twice in 0..2 {
        let done = migrate(&setup);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

/// Else a rolling update would go on to the next replica, or stop this one, in the middle of a migration.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_ready_only_when_its_migration_is_done() {
    let stage = Stage::empty().await;
    sqlx::migrate!().run(&stage.db).await.unwrap();
    let mut other = stage.db.begin().await.unwrap();
    other.execute("LOCK TABLE _sqlx_migrations").await.unwrap();
    let mut worker = stage.worker("http://127.0.0.1:9/revoke").flag("--migrate").spawn();
    let answer = eventually("the worker waits for nothing but its schema", async || {
        let answer = reqwest::get(format!("{}/readyz", worker.http)).await.ok()?.text().await.ok()?;
        (answer.lines().count() == 1).then_some(answer)
    })
    .await;
    assert!(answer.starts_with("not registered yet"), "{answer}");
    other.commit().await.unwrap();
    worker.ready().await;
    assert_eq!(stage.count("audit.workers").await, 1);
}
