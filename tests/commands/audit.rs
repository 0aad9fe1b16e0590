//! `audit`

use std::io::Write;

use revocation_worker::store::audit::{ATTEMPTS, REVOCATIONS};
use revocation_worker::target::Token;
use serde_json::{Value, json};
use sqlx::Row as _;

use crate::harness::{App, Stage, canary_token, logout};
use crate::incident_record::{HELD, PARKED};
use crate::program::{Ran, bare, command, feed, run};
use crate::scripted_idp::{Reply, ScriptedIdp};

fn audit(stage: &Stage, arguments: &[&str]) -> Ran {
    let ran = run(&mut command(stage), &[&["audit"], arguments].concat());
    assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
    ran
}

/// The objects that `--json` prints.
fn objects(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn rows(stage: &Stage, arguments: &[&str]) -> Vec<Value> {
    objects(&audit(stage, &[arguments, &["--json"]].concat()))
}

/// The token itself comes by a pipe or a file, and neither it nor a part of it is told.
#[tokio::test(flavor = "multi_thread")]
async fn one_tokens_story_is_found_by_its_digest_alone() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let (access, refresh) = (canary_token(), canary_token());
    App::connect(&stage.amqp_url).await.publish(&logout("1", &access, &refresh)).await;
    stage.wait_for_count(2, "audit.revocations WHERE state = 'revoked'").await;
    assert!(worker.stop().await.success());

    let mut file = std::env::temp_dir();
    file.push(format!("token-{}", std::process::id()));
    std::fs::File::create(&file).and_then(|mut f| writeln!(f, "{refresh}")).expect("a file");
    let digest = Token::new(refresh.clone()).fingerprint().to_string();
    let piped = feed(&mut command(&stage), &["audit", "--token", "-", "--json"], &format!("{refresh}\n"));
    let of_file = audit(&stage, &["--token", &file.display().to_string(), "--json"]);
    let of_digest = audit(&stage, &["--token-sha256", &digest.to_uppercase(), "--json"]);
    let sql = feed(&mut bare(&[]), &["audit", "--token", "-", "--sql"], &refresh);
    std::fs::remove_file(&file).expect("remove it");
    for ran in [&piped, &of_file, &of_digest] {
        let found = objects(ran);
        assert_eq!((found.len(), &found[0]["token_sha256"]), (1, &json!(digest)), "{}", ran.stderr);
        assert_eq!((&found[0]["state"], &found[0]["event_id"]), (&json!("revoked"), &json!("1")));
    }
    assert!(sql.stdout.contains(&format!("r.token_sha256 = '{digest}'")), "{}", sql.stdout);
    let calls = feed(&mut command(&stage), &["audit", "--attempts", "--token", "-", "--json"], &refresh);
    assert_eq!((objects(&calls).len(), &objects(&calls)[0]["outcome"]), (1, &json!("revoked")));

    let mistaken = run(&mut command(&stage), &["audit", "--token", &refresh]);
    assert_eq!((mistaken.code, mistaken.stdout.as_str()), (2, ""));
    assert!(mistaken.stderr.contains("never the token itself"), "{}", mistaken.stderr);
    for ran in [piped, of_file, of_digest, sql, calls, mistaken] {
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(&refresh[..16]), "the token is told");
    }
}

/// Two incidents and a logout, with a target in each state that matters, and calls.
async fn filled() -> Stage {
    let stage = Stage::new().await;
    for name in ["leak", "it's"] {
        stage.incident(name.replace('\'', "''").as_str(), "running").await;
    }
    let (leak, other) = (stage.event("leak", 5).await, stage.event("it''s", 3).await);
    stage.change(leak, 0..1, PARKED).await;
    stage.change(leak, 1..2, HELD).await;
    stage.change(other, 0..3, "provider = 'second'").await;
    stage
        .execute(
            "UPDATE revocation.targets SET sub = '=1+1', sid = 's', client_id = 'c', iss = 'https://i' \
        WHERE ordinal = 2",
        )
        .await;
    stage
        .execute(&format!(
            "INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at,
                 duration_ms, outcome, http_status)
             SELECT '{leak}', 0, n, true, 1, now() - make_interval(hours => 5 - n), 12, 'transient', 503
             FROM generate_series(1, 4) n"
        ))
        .await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_finds_its_rows_and_sql_says_how() {
    let stage = filled().await;
    let digest = Token::new("2".to_owned()).fingerprint().to_string();
    let filters: [(&[&str], usize); 18] = [
        (&[], 8),
        (&["--incident", "leak"], 5),
        (&["--incident", "it's"], 3),
        (&["--provider", "second"], 3),
        (&["--state", "parked"], 1),
        (&["--state", "parked,pending", "--incident", "leak"], 5),
        (&["--sub", "=1+1"], 2),
        (&["--sid", "s", "--provider", "main"], 1),
        (&["--client", "c"], 2),
        (&["--iss", "https://i"], 2),
        (&["--token-sha256", &digest], 2),
        (&["--since", "1h"], 8),
        (&["--until", "1h"], 0),
        (&["--attempts"], 5),
        (&["--attempts", "--since", "150m"], 3),
        (&["--attempts", "--incident", "leak", "--until", "150m"], 2),
        (&["--attempts", "--provider", "main", "--state", "parked"], 4),
        (&["--attempts", "--provider", "second"], 0),
    ];
    for (filter, wanted) in filters {
        let found = rows(&stage, filter);
        assert_eq!(found.len(), wanted, "{filter:?}");
        let sql = run(&mut bare(&[]), &[&["audit", "--sql"], filter].concat()).stdout;
        let sql = sql.trim_end().trim_end_matches(';');
        assert_eq!(stage.rows(sql).await.len(), wanted, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_without_a_gap() {
    let stage = filled().await;
    for (view, of_whole) in [(&[][..], 8), (&["--attempts"][..], 5), (&["--incident", "leak"][..], 5)] {
        let key = |row: &Value| format!("{}/{}", row["revocation_id"], row["attempt"]);
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let further = after.iter().flat_map(|place| ["--after", place]).collect::<Vec<_>>();
            let ran = audit(&stage, &[view, &["--limit", "2", "--json"], &further].concat());
            found.extend(objects(&ran).iter().map(key));
            match ran.stderr.trim().split_once("--after ") {
                Some((_, place)) => after = Some(place.to_owned()),
                None => break,
            }
        }
        let whole: Vec<_> = rows(&stage, view).iter().map(key).collect();
        assert_eq!((found.len(), &found), (of_whole, &whole));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spreadsheet_gets_every_column_and_no_formula() {
    let stage = filled().await;
    for (view, columns) in [("revocations", &REVOCATIONS[..]), ("attempts", &ATTEMPTS[..])] {
        let names = stage
            .rows(&format!(
                "SELECT to_jsonb(column_name::text) FROM information_schema.columns
                 WHERE table_schema = 'audit' AND table_name = '{view}' ORDER BY ordinal_position"
            ))
            .await;
        assert_eq!(names, columns.iter().map(|name| json!(name)).collect::<Vec<_>>(), "audit.{view}");
    }
    let csv = audit(&stage, &["--csv"]).stdout;
    assert_eq!((csv.matches("\r\n").count(), csv.matches(",'=1+1,").count()), (9, 2), "{csv}");
    assert!(csv.starts_with("revocation_id,event_source,event_id,"), "{csv}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_asks_and_others_are_told_what_they_lack() {
    let stage = filled().await;
    stage.roles().await;
    let auditor = stage.login("auditor").await;
    for (filter, wanted) in [(&["--incident", "leak"][..], 5), (&["--attempts", "--incident", "leak"], 5)] {
        let arguments = [&["audit", "--json"], filter].concat();
        let ran = run(&mut bare(&[("DATABASE_URL", &auditor.url)]), &arguments);
        assert_eq!((ran.code, objects(&ran).len()), (0, wanted), "{}", ran.stderr);
    }
    let stranger = stage.login("").await;
    let ran = run(&mut bare(&[("DATABASE_URL", &stranger.url)]), &["audit"]);
    let last = ran.stderr.lines().last().unwrap_or_default();
    assert_eq!((ran.code, last.contains("lacks a right")), (1, true), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused() {
    for wrong in [
        &["--token-sha256", "abc"][..],
        &["--state", "done"],
        &["--since", "yesterday"],
        &["--event-id", "1"],
        &["--after", "x"],
        &["--json", "--csv"],
        &["--limit", "0"],
        &["--sub", ""],
    ] {
        assert_eq!(run(&mut bare(&[]), &[&["audit"], wrong].concat()).code, 2, "{wrong:?}");
    }
    let empty = feed(&mut bare(&[]), &["audit", "--token", "-", "--sql"], "\n");
    assert_eq!((empty.code, empty.stderr.contains("nothing is in it")), (2, true), "{}", empty.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_found_by_its_trace() {
    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let app = App::connect(&stage.amqp_url).await;
    for id in ["1", "2"] {
        let mut event = logout(id, &canary_token(), &canary_token());
        if id == "1" {
            event["traceparent"] = json!(TRACEPARENT);
        }
        app.publish(&event).await;
    }
    stage.wait_for_count(4, "audit.revocations WHERE state = 'revoked'").await;
    assert!(worker.stop().await.success());
    for given in [TRACEPARENT, &TRACEPARENT[3..35], &TRACEPARENT[3..35].to_uppercase()] {
        let found = rows(&stage, &["--trace", given]);
        let of_it = |row: &Value| (row["event_id"].clone(), row["trace_id"].clone());
        assert_eq!(
            found.iter().map(of_it).collect::<Vec<_>>(),
            vec![(json!("1"), json!(TRACEPARENT[3..35])); 2]
        );
        assert_eq!(rows(&stage, &["--attempts", "--trace", given]).len(), 2);
    }
    let plan = "SET enable_seqscan = off; EXPLAIN SELECT * FROM audit.revocations WHERE trace_id = 'a'";
    let plan = sqlx::raw_sql(plan).fetch_all(&stage.db).await.expect("a plan");
    let plan: String = plan.iter().map(|line| line.get::<String, _>(0)).collect();
    assert!(plan.contains("events_by_trace"), "{plan}");
    let wrong = run(&mut command(&stage), &["audit", "--trace", "0af7"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("neither 32 hexadecimal digits nor a traceparent"));
}
