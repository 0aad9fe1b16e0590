//! `purge`: what is too old goes, what is open stays, and what went is on record.

mod long_ago;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use revocation_evidence::{Hash, PublicKey};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};

use self::long_ago::{OPEN, month};
use crate::harness::{App, Logout, Stage, eventually};
use crate::program::{Ran, bare, run};
use crate::scripted_idp::{Memory, ScriptedIdp};

const SEALING_KEY: &str = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Runs `purge` as the login of this URL.
fn purge(url: &str, arguments: &[&str]) -> Ran {
    let variables = [("DATABASE_URL", url), ("SEALING_KEYS", SEALING_KEY)];
    run(&mut bare(&variables), &[&["purge"], arguments].concat())
}

/// The same in JSON; it must succeed.
fn purged(url: &str, arguments: &[&str]) -> Value {
    let ran = purge(url, &[&["--older-than", "400d", "--json"], arguments].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
    ran.json()
}

/// What went, by table, of all months together.
fn rows(of: &Value) -> [u64; 4] {
    let months = of["months"].as_array().expect("a list");
    ["events", "targets", "attempts", "rejected_events"]
        .map(|table| months.iter().map(|month| month["rows"][table].as_u64().unwrap_or_default()).sum())
}

async fn retention(stage: &Stage) -> String {
    stage.grown_old().await;
    stage.roles().await;
    stage.login("revocation_retention").await.url
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_goes_by_months_and_leaves_its_counts() {
    let stage = Stage::new().await;
    let url = retention(&stage).await;
    let before = stage.snapshot().await;
    let dry = purged(&url, &["--dry-run"]);
    assert_eq!(rows(&dry), [57, 57, 59, 2], "{dry:#}");
    assert_eq!(
        (stage.snapshot().await, stage.count("audit.purges").await),
        (before, 0),
        "nothing has changed"
    );

    let done = purged(&url, &[]);
    assert_eq!(rows(&done), rows(&dry));
    let months = done["months"].as_array().expect("a list");
    assert_eq!((&months[0]["month"], &months[1]["month"]), (&json!("2024-01"), &json!("2024-02")));
    // The parked target, the revocation that verifiers were not told of, the young one.
    assert_eq!(months[0]["open_targets"], json!([stage.text(OPEN).await.expect("an id")]));
    assert_eq!((&months[0]["kept_events"], &months[1]["kept_events"]), (&json!(1), &json!(2)));
    assert_eq!(stage.count("revocation.events").await, 3);
    assert_eq!(stage.count("audit.attempts").await, 2, "those of what stays");
    assert_eq!(stage.count("audit.operations WHERE action = 'retry'").await, 1, "the young one");
    assert_eq!(stage.count("revocation.workers WHERE instance = 'gone'").await, 1, "it is in what stays");
    for (rows, wanted) in [
        ("audit.purged WHERE month = '2024-01-01' AND kind = 'token' AND state = 'revoked' AND rows = 29", 1),
        ("audit.purged WHERE month = '2024-02-01' AND kind = 'token' AND provider = 'main' AND rows = 28", 1),
        ("audit.purged WHERE relation = 'rejected_events' AND kind = 'not_json' AND rows = 1", 2),
        ("audit.purges WHERE ended_at IS NOT NULL AND attempts = events + 1", 2),
        ("audit.operations WHERE action = 'purge' AND detail -> 'rows' ->> 'events' IN ('28', '29')", 2),
    ] {
        assert_eq!(stage.count(rows).await, wanted, "{rows}");
    }
    assert_eq!(rows(&purged(&url, &[])), [0; 4], "what is kept is not purged by asking again");
    assert_eq!(stage.count("audit.purges").await, 2, "and leaves no row");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_is_signed_and_chained() {
    let stage = Stage::new().await;
    let url = retention(&stage).await;
    stage
        .execute(
            "DELETE FROM revocation.provider_status; DELETE FROM revocation.workers WHERE instance = 'idle'",
        )
        .await;
    let wanted = chained(&stage).await;
    purged(&url, &[]);
    let purges = stage.rows("SELECT to_jsonb(p) FROM audit.purges p ORDER BY purge_no").await;
    let [first, second] = &purges[..] else { panic!("two purges: {purges:?}") };
    assert_eq!(first["sha256"], json!(wanted));
    assert_eq!((&first["follows"], &second["follows"]), (&json!("0".repeat(64)), &first["sha256"]));
    for purge in &purges {
        let text = |column: &str| purge[column].as_str().expect("a text");
        let checkpoint: Value = serde_json::from_str(text("checkpoint")).expect("JSON");
        assert_eq!((&checkpoint["sha256"], &checkpoint["month"]), (&purge["sha256"], &purge["month"]));
        let key = PublicKey::parse(text("public_key")).expect("a key");
        let signature = BASE64_STANDARD.decode(text("signature")).expect("base64");
        assert!(key.has_signed(text("checkpoint").as_bytes(), &signature));
        assert!(!key.has_signed(&text("checkpoint").as_bytes()[1..], &signature));
    }
    for wrong in [
        "UPDATE revocation.purged SET actor = 'x'",
        "DELETE FROM revocation.purged",
        "TRUNCATE revocation.purged CASCADE",
        "UPDATE revocation.purged_counts SET rows = rows + 1",
        "INSERT INTO revocation.purged_counts VALUES (1, 'targets', '', '', '', 1)",
        "DELETE FROM revocation.purged_counts",
    ] {
        let refused = stage.db.execute(AssertSqlSafe(wrong)).await;
        let code = refused.err().and_then(|e| Some(e.as_database_error()?.code()?.into_owned()));
        assert_eq!(code.as_deref(), Some("23001"), "{wrong}");
    }
}

/// The digest of January, as whoever holds a copy of the record computes it.
async fn chained(stage: &Stage) -> String {
    let lines = "SELECT line FROM (
            SELECT event_id, 1 AS place, 'events ' || to_jsonb(e)::text AS line FROM revocation.events e
            UNION ALL SELECT event_id, 2, 'targets ' || to_jsonb(t)::text FROM revocation.targets t
            UNION ALL SELECT event_id, 3, 'attempts ' || to_jsonb(a)::text FROM revocation.attempts a
        ) l WHERE event_id < audit.first_event_row('2024-02-01Z') AND event_id NOT IN (
            SELECT event_id FROM revocation.targets WHERE state = 'parked')
        ORDER BY event_id, place, line COLLATE \"C\"";
    let refusals = "SELECT 'rejected_events ' || to_jsonb(r)::text FROM revocation.rejected_events r
        WHERE rejected_at < '2024-02-01Z' ORDER BY rejected_no";
    let orders = "SELECT 'operations ' || to_jsonb(o)::text FROM revocation.operations o
        WHERE at < '2024-02-01Z' ORDER BY operation_no";
    let mut session = stage.db.acquire().await.expect("a session");
    session.execute("SET TimeZone = 'UTC'").await.expect("as the digest has it");
    let mut hash = Hash::parse(&"0".repeat(64)).expect("zeros");
    for lines in [lines, refusals, orders] {
        let lines: Vec<String> = sqlx::query_scalar(lines).fetch_all(&mut *session).await.expect("the lines");
        assert!(!lines.is_empty());
        for line in lines {
            hash = Hash::of(&[hash.as_ref(), Hash::of(&[line.as_bytes()]).as_ref()]);
        }
    }
    hash.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_was_interrupted_goes_on_where_it_was() {
    let stage = Stage::new().await;
    let url = retention(&stage).await;
    let begin = "SELECT revocation.begin_purge('2024-01-01', '2025-01-01Z', 'somebody')";
    for statement in [begin, "SELECT revocation.purge_events(1, NULL, 5)"] {
        stage.execute(statement).await;
    }
    assert_eq!(stage.count("audit.purges WHERE ended_at IS NULL").await, 1);
    let done = purged(&url, &[]);
    assert_eq!(rows(&done)[0], 57 - 5);
    assert_eq!(stage.count("audit.purges WHERE ended_at IS NULL").await, 0);
    assert_eq!(
        stage.count("audit.purges WHERE month = '2024-01-01' AND events = 29").await,
        1,
        "one row for all"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_retention_purges() {
    let stage = Stage::new().await;
    retention(&stage).await;
    let (events, attempts) =
        (stage.count("revocation.events").await, stage.count("revocation.attempts").await);
    for role in ["revocation_worker", "revocation_operator", "auditor", ""] {
        let ran = purge(&stage.login(role).await.url, &["--older-than", "400d"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{role}");
        assert!(ran.stderr.contains("permission denied"), "{role}: {}", ran.stderr);
    }
    // It owns the functions, and is no member of the role: what is append-only stays.
    let ran = purge(&stage.login("revocation_owner").await.url, &["--older-than", "400d"]);
    assert_eq!((ran.code, ran.stderr.contains("the table is append-only")), (1, true), "{}", ran.stderr);
    assert_eq!(
        (stage.count("revocation.events").await, stage.count("revocation.attempts").await),
        (events, attempts)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_age_is_given_and_no_less_than_the_streams() {
    let stage = Stage::new().await;
    for (arguments, sentence) in [
        (&[][..], "--older-than <AGE>"),
        (&["--older-than", "400"], "time unit needed"),
        (&["--older-than", "29d"], "--older-than 29days: not less than invalidation.stream_max_age, 30days"),
    ] {
        let ran = purge(&stage.database_url, arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        assert!(ran.stderr.contains(sentence), "{}", ran.stderr);
    }
    let without_key =
        run(&mut bare(&[("DATABASE_URL", &stage.database_url)]), &["purge", "--older-than", "400d"]);
    assert_eq!((without_key.code, without_key.stderr.contains("evidence.signing_key")), (2, true));
}

/// The counts of an incident decide whether the next one of its name may run.
#[tokio::test(flavor = "multi_thread")]
async fn an_incident_goes_with_its_counts_once_its_events_have() {
    let stage = Stage::new().await;
    let url = retention(&stage).await;
    for (name, of) in [("leak", "2024-03"), ("goes-on", "2024-04")] {
        stage.incident(name, "running").await;
        stage.execute(&month(of, 3, Some(name))).await;
    }
    stage
        .execute("UPDATE revocation.incidents SET finished_at = '2024-03-30Z' WHERE incident = 'leak'")
        .await;
    assert_eq!(rows(&purged(&url, &[]))[0], 57 + 3);
    for table in ["incidents", "incident_counts", "incident_denied"] {
        let of = |name: &str| format!("revocation.{table} WHERE incident = '{name}'");
        assert_eq!((stage.count(&of("leak")).await, stage.count(&of("goes-on")).await), (0, 1), "{table}");
    }
    assert_eq!(stage.count("revocation.events WHERE incident = 'goes-on'").await, 3);
}

/// Logouts go on as if nothing happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_feels_nothing_of_a_purge() {
    let stage = Stage::new().await;
    let url = retention(&stage).await;
    stage.execute(&month("2024-03", 20_000, None)).await;
    let (memory, logouts) = (Memory::default(), Logout::many(200));
    let answering = memory.clone();
    let idp = ScriptedIdp::start(move |request| answering.answer(request)).await;
    let worker_login = stage.login("revocation_worker").await;
    let setup = stage.worker(&format!("{}/revoke", idp.url())).set("DATABASE_URL", &worker_login.url);
    let mut worker = setup.start().await;
    let app = App::connect(&stage.amqp_url).await;
    let purging = tokio::task::spawn_blocking(move || purged(&url, &[]));
    for logout in &logouts {
        app.publish(&logout.event()).await;
    }
    let done = purging.await.expect("it ends");
    // The worker may have told verifiers meanwhile of what they did not know.
    assert!([20_057, 20_058].contains(&rows(&done)[0]), "{done:#}");
    let revoked = "audit.revocations WHERE event_source = '/apps/shop' AND confirmed_at IS NOT NULL";
    stage.wait_for_count(400, revoked).await;
    eventually("the provider saw them all", async || {
        logouts.iter().flat_map(|logout| &logout.tokens).all(|token| memory.is_revoked(token)).then_some(())
    })
    .await;
    assert!(worker.stop().await.success());
    let log = worker.log();
    let complaints: Vec<_> = log
        .lines()
        .filter(|line| line.contains(r#""level":"ERROR""#) || line.contains(r#""level":"WARN""#))
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}
