//! `incident export` and `incident verify`

mod refused;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use futures::TryStreamExt;
use revocation_worker::config::{DatabaseConfig, Secret};
use revocation_worker::store::{Rows, Store};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};

use crate::harness::{CANARY, Stage, canary_token, eventually};
use crate::program::{Ran, bare, command, feed, run};
use crate::scripted_idp::{Reply, ScriptedIdp};

const SEALING_KEY: &str = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A directory of a test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("evidence-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&directory).expect("make a directory");
        Self(directory)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("remove the directory");
    }
}

/// An incident of two events and 13 tokens, all revoked; another incident; and a verifier.
async fn incident() -> Stage {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let setup = stage
        .worker(&format!("{}/revoke", idp.url()))
        .set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", "guest");
    let mut worker = setup.start().await;
    let mass = |id: &str, incident: &str, tokens: &[String]| {
        let targets: Vec<_> =
            tokens.iter().map(|token| json!({ "token": token, "token_type_hint": "access_token" })).collect();
        json!({ "specversion": "1.0", "id": id, "source": "/soc", "type": "auth.mass_revocation.v1",
                "data": { "provider": "main", "incident": incident, "targets": targets } })
    };
    let events = [
        mass("1", "leak", &[canary_token(), canary_token()]),
        mass("2", "leak", &std::array::from_fn::<_, 11, _>(|_| canary_token())),
        mass("3", "other", &[canary_token()]),
    ];
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    assert_eq!(feed(&mut command(&stage), &["submit"], &lines).code, 0);
    stage
        .wait_for_count(
            14,
            "audit.revocations WHERE state = 'revoked' AND denied_at IS NOT NULL AND \
        confirmed_at IS NOT NULL",
        )
        .await;
    assert!(worker.stop().await.success());
    execute(
        &stage,
        "INSERT INTO revocation.verifier_reports (service, instance, broker_user, verified, reported_at, \
            entries, stale)
         VALUES ('shop-api', 'pod-1', 'shop', true, now(), 7, false)",
    )
    .await;
    stage
}

/// By event in the order of receipt, then by the target's number.
const ORDER: &str = "left(revocation_id, 36), split_part(revocation_id, '-', 6)::int";

async fn execute(stage: &Stage, statement: &str) {
    stage.db.execute(AssertSqlSafe(statement)).await.expect("execute");
}

fn export(stage: &Stage, arguments: &[&str]) -> Ran {
    let arguments = [&["incident", "export", "leak"], arguments].concat();
    run(command(stage).env("SEALING_KEYS", SEALING_KEY), &arguments)
}

fn verify(variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    run(&mut bare(variables), &[&["incident", "verify"], arguments].concat())
}

/// The lines of a member, as tar itself unpacks it.
fn lines(archive: &str, member: &str) -> Vec<Value> {
    let output = Command::new("tar")
        .args(["--extract", "--to-stdout", "--file", archive, member])
        .output()
        .expect("run tar");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_holds_what_the_views_show_and_no_token() {
    let stage = incident().await;
    let (scratch, when) = (Scratch::new(), "WHERE incident = 'leak'");
    let file = scratch.file("leak.tar");
    let ran = export(&stage, &["--out", &file, "--actor", "alice", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let result = ran.json();
    let operations = stage
        .count("audit.operations WHERE incident = 'leak' AND detail->>'phase' IS DISTINCT FROM 'written'")
        .await;
    let rows = json!({
        "incident.json": 1, "revocations.ndjson": 13, "attempts.ndjson": 13,
        "operations.ndjson": operations, "verifiers.ndjson": 1, "propagation.ndjson": 2,
        "README.txt": result["rows"]["README.txt"],
    });
    assert_eq!((&result["rows"], &result["file"]), (&rows, &json!(file)));

    let bytes = std::fs::read(&file).expect("read the archive");
    assert_eq!((result["bytes"].as_u64(), bytes.len() % 512), (Some(bytes.len() as u64), 0));
    assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "no token is in it");
    assert_eq!(std::fs::metadata(&file).expect("look at it").permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&scratch.0).expect("look around").count(), 1, "nothing else is left");

    let event = "(SELECT e.event_id FROM revocation.events e WHERE e.id = v.event_id)";
    let view = async |view: &str, rest: &str| {
        stage.rows(&format!("SELECT row_to_json(v) FROM {view} v {rest}")).await
    };
    assert_eq!(
        lines(&file, "revocations.ndjson"),
        view("audit.revocations", &format!("{when} ORDER BY {ORDER}")).await
    );
    assert_eq!(
        lines(&file, "propagation.ndjson"),
        view("audit.propagation", &format!("{when} ORDER BY {event}")).await
    );
    assert_eq!(
        lines(&file, "operations.ndjson"),
        view(
            "audit.operations",
            &format!("{when} AND detail->>'phase' IS DISTINCT FROM 'written' ORDER BY at")
        )
        .await
    );
    let head = &lines(&file, "incident.json")[0];
    assert_eq!(
        [&head["exported_by"], &head["incident"]["incident"], &head["incident"]["targets_received"]],
        [&json!("alice"), &json!("leak"), &json!(13)]
    );

    let digest = result["sha256"].as_str().expect("a digest");
    let fingerprint = result["signer"]["fingerprint"].as_str().expect("a fingerprint");
    let record = format!(
        "audit.operations WHERE actor = 'alice' AND action = 'export' AND incident = 'leak' AND \
            detail->>'key_fingerprint' = '{fingerprint}'
         AND detail->>'sha256' = '{digest}' AND detail->'rows'->>'revocations.ndjson' = '13'"
    );
    assert_eq!(stage.count(&record).await, 1);
    assert_eq!(stage.count("audit.operations WHERE action = 'export'").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_those_of_the_view_however_they_ended() {
    let stage = incident().await;
    // Lost, then answered late after all; lost for good; under way.
    let target = "FROM revocation.targets t JOIN revocation.events e USING (event_id) WHERE e.incident = \
        'leak' AND (id, ordinal) IN";
    for (columns, targets) in [
        ("2, false, 1, now(), NULL::integer, 'unknown'", "(('1', 0), ('1', 1))"),
        ("2, true, 1, now(), 7, 'transient'", "(('1', 0))"),
    ] {
        let insert = "INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, \
            started_at, duration_ms, outcome)";
        execute(&stage, &format!("{insert} SELECT event_id, ordinal, {columns} {target} {targets}")).await;
    }
    let columns = "event_id, ordinal, provider, lane, kind, deny_until, give_up_at, sub";
    let values = "event_id, 77, provider, 'mass', 'subject', deny_until, give_up_at, 'u'";
    let insert = format!(
        "INSERT INTO revocation.targets ({columns}, incident, state, attempts, due_at, lease_owner, \
            leased_at)"
    );
    execute(
        &stage,
        &format!("{insert} SELECT {values}, 'leak', 'pending', 3, now(), 1, now() {target} (('2', 0))"),
    )
    .await;

    let scratch = Scratch::new();
    let file = scratch.file("leak.tar");
    let ran = export(&stage, &["--out", &file]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let of_view = format!(
        "SELECT row_to_json(a) FROM audit.attempts a
         WHERE revocation_id IN (SELECT revocation_id FROM audit.revocations WHERE incident = 'leak') ORDER \
         BY {ORDER}, attempt"
    );
    let (found, expected) = (lines(&file, "attempts.ndjson"), stage.rows(&of_view).await);
    assert_eq!((found.len(), &found), (16, &expected));
    assert_eq!(found.iter().filter(|row| row["outcome"].is_null()).count(), 1, "one is under way: {found:?}");
    assert_eq!(found.iter().filter(|row| row["outcome"] == "unknown").count(), 1, "one was lost: {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_members_show_one_moment() {
    let stage = incident().await;
    let config = DatabaseConfig { url: Secret::new(stage.database_url.clone()), max_connections: 4 };
    let store = Store::new(&config).unwrap_or_else(|error| panic!("{error}"));
    let mut snapshot =
        store.snapshot("leak").await.unwrap_or_else(|error| panic!("{error}")).expect("an incident");
    let of_leak = "(SELECT event_id FROM revocation.events WHERE incident = 'leak')";
    execute(&stage, &format!("UPDATE revocation.targets SET sid = 'later' WHERE event_id IN {of_leak}"))
        .await;
    execute(
        &stage,
        "INSERT INTO revocation.operations (actor, action, incident) VALUES ('bob', 'later', 'leak')",
    )
    .await;
    for rows in [Rows::Revocations, Rows::Operations] {
        let rows: Vec<String> =
            snapshot.rows(rows).try_collect().await.unwrap_or_else(|error| panic!("{error}"));
        assert!(!rows.is_empty() && !rows.iter().any(|row| row.contains("later")), "{rows:?}");
    }
    assert!(store.snapshot("no such").await.is_ok_and(|found| found.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_needs_nothing_but_the_file_and_a_key_to_trust() {
    let stage = incident().await;
    let scratch = Scratch::new();
    let file = scratch.file("leak.tar");
    let exported = export(&stage, &["--out", &file, "--json"]).json();
    let key = exported["signer"]["public_key"].as_str().expect("a key");
    let fingerprint = exported["signer"]["fingerprint"].as_str().expect("a fingerprint");

    let ran = verify(&[("SEALING_KEYS", &format!("new:{},{SEALING_KEY}", &SEALING_KEY[5..]))], &[&file]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "an older sealing key still counts: {}", ran.stdout);
    assert!(
        ran.stdout.contains(&format!("signer: known, key sealing:test, fingerprint {fingerprint}\n")),
        "{}",
        ran.stdout
    );
    let other = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    assert_eq!(verify(&[], &[&file, "--public-key", other, "--public-key", key]).code, 0);
    let ran = verify(&[("SEALING_KEYS", SEALING_KEY)], &[&file, "--public-key", other, "--json"]);
    assert_eq!(
        (ran.code, &ran.json()["intact"], &ran.json()["signer_known"]),
        (1, &json!(true), &json!(false))
    );
    assert!(ran.stderr.contains("no trusted key signed it"), "{}", ran.stderr);

    let ran = verify(&[], &[&file]);
    assert_eq!(
        (
            ran.code,
            ran.stdout.contains(&format!("signer: NOT KNOWN, key sealing:test, fingerprint {fingerprint}"))
        ),
        (1, true)
    );
    assert!(
        ran.stderr.contains("no key to trust was given") && ran.stderr.contains("--any-signer"),
        "{}",
        ran.stderr
    );
    assert_eq!(verify(&[], &[&file, "--any-signer"]).code, 0);

    let mut bytes = std::fs::read(&file).expect("read");
    let at = bytes.windows(17).position(|window| window == b"\"state\":\"revoked\"").expect("a state");
    bytes[at + 9] = b'R';
    std::fs::write(&file, &bytes).expect("write");
    let ran = verify(&[], &[&file, "--any-signer"]);
    let finding = "revocations.ndjson: lines were changed, removed, added or moved, the first of them \
        between line 1 and the end\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (1, finding));
    assert!(ran.stderr.contains(" is not what was exported: 1 finding"), "{}", ran.stderr);
    let ran = verify(&[], &[&file, "--json", "--public-key", key]);
    assert_eq!(
        (ran.code, &ran.json()["intact"], &ran.json()["findings"][0]),
        (1, &json!(false), &json!(finding.trim_end()))
    );
}
