//! Postgres answers, and takes no writes: said of Postgres, by all who can be asked, and of nobody else.

use std::process::Command;

use serde_json::json;
use url::Url;

use crate::harness::{App, Logout, Setup, Stage, Worker, eventually, scripted_idp::Memory};
use crate::program::run;

/// The server's words for each, and where in them it says what it is.
const REFUSALS: [(&str, &str, &str); 4] = [
    ("53100", "could not extend file \"base/5/16384\": No space left on device", "No space left on device"),
    ("58030", "could not write block 7 in file \"base/5/16384\": Input/output error", "Input/output error"),
    ("53200", "out of memory", "out of memory"),
    ("XX000", "could not extend file \"base/5/16384\": Disk quota exceeded", "Disk quota exceeded"),
];

/// Rows that are there can be changed, and none can be added.
async fn fill(stage: &Stage, code: &str, message: &str) {
    let each = |does: &str| {
        format!(
            "DO $$ DECLARE t text; BEGIN
                 FOREACH t IN ARRAY ARRAY['events', 'attempts', 'room']
                 LOOP EXECUTE format('{does}', t); END LOOP;
             END $$;"
        )
    };
    let function = format!(
        "CREATE OR REPLACE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $f$
         BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = '{message}'; END $f$;"
    );
    let trigger = "CREATE TRIGGER no_room BEFORE INSERT ON revocation.%I EXECUTE FUNCTION no_room()";
    stage.execute(&(function + &each(trigger))).await;
}

async fn give_room(stage: &Stage) {
    stage.execute("DROP FUNCTION no_room CASCADE").await;
}

/// What each says while the server says `words`.
async fn all_name_it(worker: &Worker, command: impl Fn() -> Command, words: &str) {
    worker.wait_for_readiness(503).await;
    let since = "Postgres refuses writes since 20";
    let ready = worker.get("/readyz").await;
    assert!(ready.starts_with(since) && ready.contains(words) && ready.lines().count() == 1, "{ready}");
    assert_eq!(worker.metric("revocation_database_up").await, 0.0);
    let page = eventually("the page has looked", async || {
        let page = worker.get("/").await;
        page.contains(words).then_some(page)
    })
    .await;
    let first = page.split("<h1").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap_or_default();
    assert!(first.contains(since) && first.contains(words), "{first}");
    let status = run(&mut command(), &["status"]);
    let first = status.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with("Postgres refuses writes: ") && first.contains(words), "{}", status.stdout);
    assert!(first.ends_with(": revocation-worker check"), "{first}");
    let check = run(&mut command(), &["check"]);
    let database = check.stdout.lines().find(|line| line.contains("database: ")).unwrap_or_default();
    assert!(database.starts_with("PROBLEM") && check.code == 1, "{}", check.stdout);
}

fn wrong(command: &mut Command) -> serde_json::Value {
    run(command, &["status", "--json"]).json()["wrong"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_until_it_has_room() {
    let (stage, memory, logouts) = (Stage::new().await, Memory::default(), Logout::many(REFUSALS.len()));
    let idp = memory.serve().await;
    let setup = stage.worker(&format!("{}/revoke", idp.url()));
    let worker = setup.start().await;
    let app = App::connect(&stage.amqp_url).await;
    for ((code, message, words), logout) in REFUSALS.into_iter().zip(&logouts) {
        fill(&stage, code, message).await;
        let before = stage.text("SELECT max(last_seen_at)::text FROM audit.workers").await;
        app.publish(&logout.event()).await;
        all_name_it(&worker, || setup.command(), words).await;
        let checked = run(&mut setup.command(), &["check"]).stdout;
        assert!(
            checked.contains(&format!("it takes no writes: write to the database: {message}")),
            "{checked}"
        );
        eventually("a lease is renewed, which is no sign of room", async || {
            let now = stage.text("SELECT max(last_seen_at)::text FROM audit.workers").await;
            (now > before).then_some(())
        })
        .await;
        assert_eq!(worker.readiness().await, Some(503));
        assert_eq!(wrong(&mut setup.command()).as_array().map(Vec::len), Some(1));
        give_room(&stage).await;
        worker.wait_for_readiness(200).await;
        assert_eq!(worker.metric("revocation_database_up").await, 1.0);
        assert_eq!(wrong(&mut setup.command()), json!([]));
    }
    stage.all_revoked(&logouts, &memory).await;
    assert_eq!(stage.count("revocation.room").await, 0);
}

async fn read_only(stage: &Stage, change: &str) {
    let name = Url::parse(&stage.database_url).expect("a URL").path().trim_start_matches('/').to_owned();
    stage.execute(&format!("BEGIN READ WRITE; ALTER DATABASE {name} {change}; COMMIT")).await;
    stage
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'revocation-worker'",
        )
        .await;
}

/// Its worker renews no lease, its verifiers report nothing, and what is due is taken by nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_postgres_blames_nobody_else() {
    let (stage, memory, logouts) = (Stage::new().await, Memory::default(), Logout::many(1));
    let idp = memory.serve().await;
    let setup: Setup = stage.worker(&format!("{}/revoke", idp.url()));
    let worker = setup.start().await;
    stage
        .execute(
            "INSERT INTO revocation.verifier_reports (service, instance, broker_user, verified, \
                last_seen_at, reported_at, applied_time, entries, stale)
             VALUES ('shop-api', 'pod-1', 'shop', true, now(), now(), now(), 7, false)",
        )
        .await;
    let app = App::connect(&stage.amqp_url).await;
    read_only(&stage, "SET default_transaction_read_only = on").await;
    app.publish(&logouts[0].event()).await;
    stage.wait_for_count(1, "revocation.workers WHERE lease_until < now()").await;
    stage.wait_for_count(1, "audit.verifiers WHERE NOT live").await;
    all_name_it(&worker, || setup.command(), "in a read-only transaction").await;
    let said = wrong(&mut setup.command());
    assert_eq!(said.as_array().map(Vec::len), Some(1), "{said}");
    assert!(
        said[0].as_str().is_some_and(|said| said.contains("it is a standby, or set read-only")),
        "{said}"
    );
    let page = worker.get("/").await;
    let waits = page.split("Waits for a person").nth(1).and_then(|rest| rest.split("</section>").next());
    assert_eq!(waits.map(|waits| waits.matches("<li>").count()), Some(1), "{waits:?}");
    read_only(&stage, "RESET default_transaction_read_only").await;
    worker.wait_for_readiness(200).await;
    stage.all_revoked(&logouts, &memory).await;
}
