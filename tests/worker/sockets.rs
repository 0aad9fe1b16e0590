//! Clients who dawdle at health and metrics keep out nobody, and take nothing from the rest of the worker.

use std::time::Duration;

use crate::harness::{App, Dawdle, Stage, Worker, ask_once, canary_token, closed, eventually, logout};
use crate::scripted_idp::Memory;

/// Answers take milliseconds; the rest is a machine with busy cores.
const SOON: Duration = Duration::from_secs(5);
/// Longer than a head may take, on a machine with busy cores.
const HEAD: Duration = Duration::from_secs(20);

fn address(worker: &Worker) -> String {
    worker.http.trim_start_matches("http://").to_owned()
}

fn open_files(worker: &Worker) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", worker.pid())).expect("its open files").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_request_is_answered_beside_any_crowd_and_logouts_go_on() {
    let (stage, memory) = (Stage::new().await, Memory::default());
    let idp = memory.serve().await;
    // So few that 300 connections would leave none for broker, database and provider.
    let worker =
        stage.worker(&format!("{}/revoke", idp.url())).through(&["prlimit", "--nofile=200"]).start().await;
    let (address, app) = (address(&worker), App::connect(&stage.amqp_url).await);
    let (mut crowds, mut logouts) = (Vec::new(), 0);
    for dawdle in Dawdle::ALL {
        crowds.push(dawdle.crowd(&address, 300).await);
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(ask_once(&address, path, SOON).await, Some(200), "{path} beside {dawdle:?}");
        }
        logouts += 1;
        app.publish(&logout(&logouts.to_string(), &canary_token(), &canary_token())).await;
        stage.wait_for_count(2 * logouts, "audit.revocations WHERE state = 'revoked'").await;
        assert!(open_files(&worker) < 200, "{dawdle:?}: {} open files", open_files(&worker));
    }
    assert!(!worker.log().contains("no connection can be accepted"), "it never ran out of open files");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_of_dawdling_has_its_end() {
    let stage = Stage::new().await;
    let worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    for (dawdle, status) in [
        (Dawdle::Silent, None),
        (Dawdle::HalfSent, None),
        (Dawdle::SlowBody, Some("405")),
        (Dawdle::EndlessHead, Some("431")),
    ] {
        let stream = dawdle.crowd(&address(&worker), 1).await.pop().expect("a connection");
        let answer = closed(stream, HEAD).await.unwrap_or_else(|| panic!("{dawdle:?} is not closed"));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(
            answer.split(' ').nth(1).filter(|_| dawdle_is_answered(dawdle, &answer)),
            status,
            "{dawdle:?}: {answer}"
        );
    }
}

/// A head without end may be cut off by a reset, which throws the answer away.
fn dawdle_is_answered(dawdle: Dawdle, answer: &str) -> bool {
    matches!(dawdle, Dawdle::SlowBody | Dawdle::EndlessHead) && !answer.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_ask_whether_it_is_ready_one_looks_at_postgres() {
    const SESSIONS: &str =
        "SELECT to_jsonb(sessions) FROM pg_stat_database WHERE datname = current_database()";
    let stage = Stage::new().await;
    let worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    let address = address(&worker);
    let sessions = async || stage.rows(SESSIONS).await[0].as_i64().expect("a number");
    let (before, began) = (sessions().await, std::time::Instant::now());
    for _ in 0..10 {
        let answers = futures::future::join_all((0..30).map(|_| ask_once(&address, "/readyz", SOON))).await;
        assert_eq!(answers, [Some(200); 30]);
        // Who goes before the answer leaves no session behind.
        drop(tokio::time::timeout(Duration::from_millis(1), ask_once(&address, "/readyz", SOON)).await);
    }
    let asked = i64::try_from(began.elapsed().as_secs()).expect("seconds") + 1;
    let opened = sessions().await - before;
    // Besides, the pools of worker and test may each have opened a few.
    assert!(opened <= asked + 20, "{opened} sessions in {asked} s for 310 questions");
    stage.db_is_away_and_back(&worker).await;
}

/// Where Postgres takes a connection and says no more, who waits for it keeps no place from others.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_postgres_keeps_nobody_else_out() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("postgres://w:x@{}/db", mute.local_addr().expect("its address"));
    let stage = Stage::new().await;
    let worker = stage.worker("http://127.0.0.1:9/revoke").set("DATABASE_URL", &url).spawn();
    let address = address(&worker);
    eventually("it is alive", async || ask_once(&address, "/healthz", SOON).await).await;
    for path in ["/readyz", "/", "/search?q=a", "/event?source=a&id=b", "/incident/a"] {
        let each = async |number: usize| {
            let path = if path.len() > 7 { format!("{path}{number}") } else { path.to_owned() };
            ask_once(&address, &path, HEAD).await
        };
        let crowd = futures::future::join_all((0..300).map(each));
        let good = async {
            let mut answers = Vec::new();
            for _ in 0..20 {
                answers.push(ask_once(&address, "/healthz", SOON).await);
            }
            answers
        };
        let (crowd, good) = tokio::join!(crowd, good);
        assert_eq!(good, [Some(200); 20], "beside {path}");
        assert!(crowd.iter().all(|status| status.is_none_or(|status| status == 503)), "{path}: {crowd:?}");
    }
    let long = format!("/event?source=a&id={}", "x".repeat(9000));
    assert_eq!(ask_once(&address, &long, SOON).await, Some(414));
}

impl Stage {
    /// What was seen is soon looked at again.
    async fn db_is_away_and_back(&self, worker: &Worker) {
        let refuse = |allow| {
            format!(
                "ALTER DATABASE \"{}\" ALLOW_CONNECTIONS {allow}",
                self.database_url.rsplit('/').next().expect("a name")
            )
        };
        self.execute(&refuse("false")).await;
        eventually("it is seen that Postgres refuses", async || {
            (worker.readiness().await == Some(503)).then_some(())
        })
        .await;
        self.execute(&refuse("true")).await;
        worker.wait_for_readiness(200).await;
    }

    /// From another database: no database closes itself.
    async fn execute(&self, sql: &str) {
        let mut url: url::Url = self.database_url.parse().expect("a URL");
        url.set_path("postgres");
        let other = sqlx::PgPool::connect(url.as_str()).await.expect("connect");
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&other).await.expect(sql);
    }
}
