//! What a call answered, wherever its error is shown with little room.

use crate::harness::{Stage, eventually};
use crate::incident_record::PARKED;
use crate::program::{command, run};

const CALLED: &str = "POST https://id.example.com/realms/shop/protocol/openid-connect/revoke";

/// A parked target, its call, and what the provider said last.
async fn failed(said: &str) -> (Stage, String) {
    let stage = Stage::new().await;
    let error = format!("{CALLED} {said}");
    stage.incident("leak", "running").await;
    let event = stage.event("leak", 1).await;
    stage.change(event, 0..1, &format!("last_error = '{error}', {PARKED}")).await;
    stage
        .execute(
            "INSERT INTO revocation.workers (instance, version, lease_until) \
             VALUES ('pod-1', '0.1.0', now() + interval '1 hour')",
        )
        .await;
    stage
        .execute(&format!(
            "INSERT INTO revocation.provider_status (worker_no, provider, breaker, calls_5m, \
                 failures_5m, last_error)
             SELECT worker_no, 'main', 'open', 20, 20, '{error}' FROM revocation.workers"
        ))
        .await;
    stage
        .execute(&format!(
            "INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at, \
                 duration_ms, outcome, error)
             SELECT '{event}', 0, 1, true, worker_no, now(), 12, 'rejected', '{error}'
             FROM revocation.workers"
        ))
        .await;
    (stage, format!("{event}-0"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_and_the_code_are_seen_first() {
    for (said, seen) in [
        ("answered 401 invalid_client: unknown client or secret; wait", "401 inval"),
        ("answered 503 (an HTML page); will be tried again", "503 (an H"),
        ("failed: host name lookup: no such host; mend this", "host name"),
    ] {
        let (stage, id) = failed(said).await;
        let tables: [&[&str]; 5] = [
            &["status"],
            &["audit"],
            &["audit", "--attempts"],
            &["audit", "--state", "parked"],
            &["target", "show", &id],
        ];
        for arguments in tables {
            let shown = run(&mut command(&stage), arguments).stdout;
            assert!(
                shown.lines().skip(1).any(|line| line.contains(seen) && !line.contains("POST")),
                "{shown}"
            );
        }
        let wide = run(&mut command(&stage), &["audit", "--state", "parked", "--wide"]).stdout;
        assert!(wide.contains(&format!("{CALLED} {said}")), "{wide}");
        let worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
        eventually("the page says it", async || {
            worker.get("/").await.contains(&format!("<summary><bdi class=\"name\">{seen}")).then_some(())
        })
        .await;
    }
}

/// The id is whole, and the command that takes it does.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_is_listed_by_the_id_to_paste() {
    let (stage, id) = failed("answered 403; parked").await;
    for arguments in
        [&["audit", "--state", "parked"][..], &["audit", "--state", "parked", "--provider", "main"]]
    {
        let shown = run(&mut command(&stage), arguments).stdout;
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        let first = shown.lines().nth(1).and_then(|line| line.split_whitespace().next());
        assert_eq!(first, Some(id.as_str()), "{shown}");
    }
    let ran = run(&mut command(&stage), &["target", "cancel", &id, "--reason", "ours"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}
