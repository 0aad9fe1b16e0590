//! `target show`

use serde_json::json;

use crate::harness::Stage;
use crate::incident_record::{PARKED, REVOKED, UNSUPPORTED};
use crate::program::{bare, command, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_targets_story_says_how_it_stands_and_what_to_do() {
    let stage = Stage::new().await;
    stage.incident("leak", "running").await;
    let event = stage.event("leak", 6).await;
    let error = "last_error = 'POST https://id.example.com/revoke answered 400 invalid_request: no; parked'";
    stage.change(event, 0..1, &format!("{PARKED}, {error}, attempts = 2")).await;
    stage.change(event, 1..2, REVOKED).await;
    stage.change(event, 2..3, UNSUPPORTED).await;
    stage.change(event, 3..4, "waiting = false, due_at = now() + interval '1 hour'").await;
    stage.change(event, 5..6, &format!("{PARKED}, token_type_hint = 'refresh_token'")).await;
    stage
        .execute(&format!(
            "INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at, \
                 duration_ms, outcome, http_status, error)
             SELECT '{event}', 0, n, true, 1, now(), 12, 'rejected', 400,
                 'POST https://x/y answered 400 invalid_request'
             FROM generate_series(1, 2) n"
        ))
        .await;
    let id = |ordinal: u32| format!("{event}-{ordinal}");
    for (ordinal, wanted) in [
        (
            0,
            vec![
                "parked at provider main\n".to_owned(),
                "it needs a person: 400 invalid_request: no".to_owned(),
            ],
        ),
        (0, vec![format!("target cancel --reason WHY {}\n", id(0)), "incident         leak\n".to_owned()]),
        (1, vec!["revoked at provider main\nthe provider accepted it\n".to_owned()]),
        (2, vec!["the provider cannot revoke it, verifiers refuse it until it expires\n".to_owned()]),
        (3, vec!["it waits for its next attempt, due 20".to_owned(), "next_attempt_at  in ".to_owned()]),
        (4, vec!["a worker has it, or it waits for its incident's turn\n".to_owned()]),
        (5, vec!["it may still get new access tokens from the provider".to_owned()]),
    ] {
        let ran = run(&mut command(&stage), &["target", "show", &id(ordinal)]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ordinal}");
        for wanted in wanted {
            assert!(ran.stdout.contains(&wanted), "{ordinal}: {wanted:?} in {}", ran.stdout);
        }
        let mut calls = ran.stdout.lines().skip_while(|line| *line != "calls");
        assert!(calls.all(|line| line.chars().count() <= 80), "{}", ran.stdout);
    }
    let shown = run(&mut command(&stage), &["target", "show", &id(0)]).stdout;
    assert_eq!(shown.matches("400 invalid").count(), 4, "{shown}");
    let json = run(&mut command(&stage), &["target", "show", &id(0), "--json"]).json();
    assert_eq!(
        (&json["target"]["state"], json["attempts"].as_array().map(Vec::len)),
        (&json!("parked"), Some(2))
    );
    assert_eq!(json["attempts"][1]["http_status"], 400);

    // What is pasted of the story does what it says.
    let line = shown.lines().find(|line| line.contains("revocation-worker retry")).expect("a command");
    let (_, pasted) = line.split_once("revocation-worker ").expect("a command");
    let ran = run(&mut command(&stage), &pasted.split(' ').collect::<Vec<_>>());
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "1 target became due\n"), "{}", ran.stderr);

    let unknown = run(&mut command(&stage), &["target", "show", "00000000-0000-7000-8000-000000000001-0"]);
    assert_eq!(
        (unknown.code, unknown.stderr.contains("no such revocation_id")),
        (1, true),
        "{}",
        unknown.stderr
    );
    assert_eq!(run(&mut bare(&[]), &["target", "show", "7"]).code, 2);
}
