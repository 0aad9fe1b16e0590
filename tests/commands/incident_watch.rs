//! `incident watch`: lines where there is no terminal, bars on one, until the incident is finished.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::{JoinHandle, JoinSet};
use url::Url;
use uuid::Uuid;

use crate::harness::{PATIENCE, Stage};
use crate::incident_record::{PARKED, REVOKED};
use crate::program::{bare, command};

struct Watching {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Watching {
    fn start(command: std::process::Command, arguments: &[&str]) -> Self {
        let mut command = Command::from(command);
        let command = command.args([&["incident", "watch", "leak", "--every", "100ms"], arguments].concat());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("start");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let stderr = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        Self { child, stdout, stderr }
    }

    /// The next line of standard output for which `wanted` holds.
    async fn line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let look = async {
            loop {
                let line = self.stdout.next_line().await.expect("read").expect("it goes on");
                if wanted(&line) {
                    return line;
                }
            }
        };
        tokio::time::timeout(PATIENCE, look).await.expect("such a line")
    }

    async fn remark(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.stderr.next_line())
            .await
            .expect("a remark")
            .expect("read")
            .expect("a line")
    }

    async fn code(&mut self) -> Option<i32> {
        while self.stdout.next_line().await.expect("read").is_some() {}
        self.child.wait().await.expect("wait for the command").code()
    }
}

async fn running() -> (Stage, Uuid) {
    let stage = Stage::new().await;
    stage.incident("leak", "running").await;
    let event = stage.event("leak", 4).await;
    (stage, event)
}

async fn finish(stage: &Stage, event: Uuid) {
    stage.change(event, 0..4, REVOKED).await;
    stage.deny(event).await;
    assert_eq!(stage.store().finish_incidents().await.expect("finish"), ["leak"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_json_object_a_line_until_it_is_finished() {
    let (stage, event) = running().await;
    let mut watching = Watching::start(command(&stage), &["--json"]);
    let first: Value = serde_json::from_str(&watching.line(|_| true).await).expect("JSON");
    assert_eq!(
        (&first["state"], &first["pending"], &first["residual_risk"]["undenied"]),
        (&json!("running"), &json!(4), &json!(4))
    );
    stage.change(event, 0..1, PARKED).await;
    watching.line(|line| line.contains(r#""parked":1"#)).await;
    finish(&stage, event).await;
    let last: Value =
        serde_json::from_str(&watching.line(|line| line.contains("finished\"")).await).expect("JSON");
    assert_eq!(
        (&last["revoked"], &last["residual_risk"]["undenied"]),
        (&json!(4), &json!(0)),
        "what is left open is looked for once more"
    );
    assert_eq!(watching.code().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_lines_where_there_is_no_terminal() {
    let (stage, event) = running().await;
    let mut watching = Watching::start(command(&stage), &[]);
    let line = watching.line(|_| true).await;
    assert_eq!(line, "incident leak running: denied 0 of 4; 4 pending; rate -, left -, throttle off");
    let line = watching.line(|_| true).await;
    let wanted = "incident leak leaves open: 4 targets neither denied nor expired: verifiers accept them";
    assert_eq!(line, wanted);
    finish(&stage, event).await;
    watching.line(|line| line.starts_with("incident leak finished: denied 4 of 4; 4 revoked; ")).await;
    assert_eq!(watching.code().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_one_ends_it_when_nothing_is_left_to_give_up() {
    let (stage, _) = running().await;
    let mut watching = Watching::start(command(&stage), &[]);
    watching.line(|line| line.contains("running")).await;
    stage.steered(&["cancel", "leak", "--reason", "no"]);
    watching.line(|line| line.contains("cancelled: denied 0 of 4; 4 cancelled")).await;
    assert_eq!(watching.code().await, Some(0));
    let ran = stage.steer(&["watch", "leak"]);
    let states = ran.stdout.lines().filter(|line| !line.starts_with("incident leak leaves open: ")).count();
    assert_eq!((ran.code, states), (0, 1), "it is over already: {}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_it() {
    let (stage, _) = running().await;
    let mut watching = Watching::start(command(&stage), &[]);
    watching.line(|_| true).await;
    let pid = watching.child.id().expect("it runs").to_string();
    assert!(
        std::process::Command::new("kill").args(["-s", "INT", &pid]).status().expect("run kill").success()
    );
    assert_eq!(watching.code().await, Some(0));
    assert_eq!(stage.of("leak", "state").await.as_deref(), Some("running"), "the incident goes on");
}

/// A way to the database that can be shut.
struct Door {
    port: u16,
    task: JoinHandle<()>,
}

impl Door {
    async fn open(port: u16, server: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
        let port = listener.local_addr().expect("an address").port();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = TcpStream::connect(&server).await.expect("reach the database");
                connections.spawn(async move {
                    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await)
                });
            }
        });
        Self { port, task }
    }

    /// All connections end, and new ones are refused.
    async fn shut(self) -> u16 {
        self.task.abort();
        assert!(self.task.await.is_err_and(|e| e.is_cancelled()));
        self.port
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_told_and_waited_for() {
    let (stage, event) = running().await;
    let mut url: Url = stage.database_url.parse().expect("a URL");
    let server = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
    let door = Door::open(0, server.clone()).await;
    url.set_port(Some(door.port)).expect("a port");
    let mut watching = Watching::start(bare(&[("DATABASE_URL", url.as_str())]), &[]);
    watching.line(|_| true).await;
    let port = door.shut().await;
    let away = watching.remark().await;
    // The query that was under way breaks; or, between two, no new connection comes about.
    let sentences = ["Postgres cannot be reached", "no connection to Postgres within"];
    let is_said = sentences.iter().any(|sentence| away.contains(sentence));
    assert!(is_said && away.ends_with("; trying again"), "{away}");
    let _door = Door::open(port, server).await;
    assert_eq!(watching.remark().await, "the database is back", "it is said once that it is away");
    finish(&stage, event).await;
    watching.line(|line| line.contains("finished")).await;
    assert_eq!(watching.code().await, Some(0));
}

/// `script` gives it a terminal.
#[tokio::test(flavor = "multi_thread")]
async fn bars_on_a_terminal() {
    let (stage, event) = running().await;
    stage.change(event, 0..1, PARKED).await;
    let watch = format!(
        "stty rows 40 cols 120; {} incident watch leak --every 100ms",
        env!("CARGO_BIN_EXE_revocation-worker")
    );
    let mut script = Command::new("script");
    script
        .args(["-q", "-e", "-c", &watch, "/dev/null"])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    script.envs([
        ("DATABASE_URL", stage.database_url.as_str()),
        ("PATH", "/usr/bin:/bin"),
        ("TERM", "xterm"),
        ("SHELL", "/bin/sh"),
    ]);
    let ran = tokio::spawn(async move { script.output().await.expect("run script") });
    stage
        .wait_for_count(
            1,
            "pg_stat_activity WHERE application_name = 'revocation-worker' AND datname = current_database()",
        )
        .await;
    finish(&stage, event).await;
    let ran = tokio::time::timeout(PATIENCE, ran).await.expect("an end").expect("no panic");
    let text = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{text}");
    for wanted in [
        "incident leak finished",
        "denied",
        "4 of 4",
        "100 %",
        "rate -, left -, throttle off",
        "4 revoked",
        "residual risk: ",
    ] {
        assert!(text.contains(wanted), "{wanted:?} in {text}");
    }
}
