//! The worker as a child process, configured by its environment alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use revocation_sandbox::Port;
use uuid::Uuid;

use super::{eventually, free_port};

/// A sealing key for tests.
pub(crate) const SEALING_KEY: &str = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A worker about to start.
#[derive(Clone)]
pub(crate) struct Setup {
    environment: BTreeMap<String, String>,
    flags: Vec<String>,
    through: Vec<String>,
    program: String,
}

/// A running worker. Dropping it kills it.
pub(crate) struct Worker {
    child: Child,
    /// Base URL of health and metrics.
    pub(crate) http: String,
    log: PathBuf,
    _port: Port,
}

impl Setup {
    pub(super) fn new(amqp_url: &str, database_url: &str) -> Self {
        let environment = BTreeMap::new();
        let program = env!("CARGO_BIN_EXE_revocation-worker").to_owned();
        Self { environment, flags: Vec::new(), through: Vec::new(), program }
            .set("AMQP_URL", amqp_url)
            .set("DATABASE_URL", database_url)
            .set("SEALING_KEYS", SEALING_KEY)
            .set("REVOCATION__LOG__FORMAT", "json")
            .set("REVOCATION__LOG__LEVEL", "trace")
            .set("REVOCATION__RETRY__INITIAL", "20ms")
            .set("REVOCATION__RETRY__MAX", "500ms")
            .set("REVOCATION__LEASE", "3s")
    }

    /// Where commands under test keep what they go on by.
    pub(crate) fn state_home() -> PathBuf {
        std::env::temp_dir().join(format!("revocation-worker-tests-{}", std::process::id()))
    }

    /// With an environment variable.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Without an environment variable.
    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// With a flag of `run`.
    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Started by a program that takes ours as its last arguments and becomes it, such as prlimit(1).
    pub(crate) fn through(mut self, program: &[&str]) -> Self {
        self.through = program.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Of another version.
    pub(crate) fn program(mut self, path: &str) -> Self {
        path.clone_into(&mut self.program);
        self
    }

    /// The program with this environment and nothing else of the test's own.
    pub(crate) fn command(&self) -> Command {
        let words =
            self.through.iter().map(String::as_str).chain([self.program.as_str()]).collect::<Vec<_>>();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("XDG_STATE_HOME", Self::state_home())
            .envs(&self.environment)
            .stdin(Stdio::null());
        command
    }

    /// Starts `run`; does not wait until it is ready.
    pub(crate) fn spawn(&self) -> Worker {
        self.launch("run", "REVOCATION__HTTP__LISTEN")
    }

    /// Starts `receive`, which takes inputs at `listen`, and waits until it is ready.
    pub(crate) async fn receive(&self, listen: &str) -> Worker {
        let receiver = self.clone().set("REVOCATION__RECEIVE__LISTEN", listen);
        let mut receiver = receiver.launch("receive", "REVOCATION__RECEIVE__HEALTH_LISTEN");
        receiver.ready().await;
        receiver
    }

    /// Starts a command whose health is at an address that this variable sets.
    fn launch(&self, command: &str, listens_by: &str) -> Worker {
        let port = free_port();
        let listen = port.address();
        let log = std::env::temp_dir().join(format!("worker-{}.log", Uuid::now_v7()));
        let output = std::fs::File::create(&log).expect("create the log");
        let errors = output.try_clone().expect("a second handle");
        let child = self
            .clone()
            .set(listens_by, &listen)
            .command()
            .arg(command)
            .args(&self.flags)
            .stdout(output)
            .stderr(errors)
            .spawn();
        Worker { child: child.expect("start the worker"), http: format!("http://{listen}"), log, _port: port }
    }

    /// Starts `run` and waits until it is ready.
    pub(crate) async fn start(&self) -> Worker {
        let mut worker = self.spawn();
        worker.ready().await;
        worker
    }
}

impl Worker {
    /// A field of `/proc/<pid>/status` in MiB: `VmRSS`, or `VmHWM`, which is its peak.
    pub(crate) fn memory_mib(&self, field: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process's status");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
    }

    /// Waits until `/readyz` says so.
    pub(crate) async fn ready(&mut self) {
        eventually("the worker is ready", async || {
            if let Some(status) = self.child.try_wait().expect("wait for the worker") {
                panic!("the worker ended with {status}:\n{}", self.log());
            }
            let answer = reqwest::get(format!("{}/readyz", self.http)).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// The body of an endpoint.
    pub(crate) async fn get(&self, path: &str) -> String {
        let answer = reqwest::get(format!("{}{path}", self.http)).await.expect("ask the worker");
        answer.text().await.expect("read the answer")
    }

    /// Everything it has printed.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("read the log")
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().expect("run kill");
        assert!(status.success(), "kill -s {name}");
    }

    /// The status of `/readyz`; `None` where nothing answers.
    pub(crate) async fn readiness(&self) -> Option<u16> {
        Some(reqwest::get(format!("{}/readyz", self.http)).await.ok()?.status().as_u16())
    }

    /// Waits until `/readyz` answers with this status.
    pub(crate) async fn wait_for_readiness(&self, status: u16) {
        eventually(&format!("/readyz answers {status}"), async || {
            (self.readiness().await == Some(status)).then_some(())
        })
        .await;
    }

    /// Waits until a line of its log contains `text`.
    pub(crate) async fn wait_for_log(&self, text: &str) {
        eventually(&format!("the worker logs {text:?}"), async || self.log().contains(text).then_some(()))
            .await;
    }

    /// The value of a line of `/metrics`; 0 where there is none yet.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0.0)
    }

    /// Waits until it is stopped by SIGSTOP (state `T` of proc_pid_stat(5)).
    pub(crate) async fn frozen(&self) {
        let path = format!("/proc/{}/stat", self.child.id());
        eventually("the worker freezes", async || {
            let stat = std::fs::read_to_string(&path).ok()?;
            stat.rsplit_once(") ")?.1.starts_with('T').then_some(())
        })
        .await;
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill the worker");
        self.child.wait().expect("wait for the worker");
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually("the worker ends", async || self.child.try_wait().expect("wait for the worker")).await
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended().await
    }
}

impl Drop for Worker {
    #[expect(clippy::print_stdout, reason = "a failed test shows its worker's last words")]
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log
                .lines()
                .filter(|line| !line.contains("\"TRACE\"") && !line.contains("\"DEBUG\""))
                .collect();
            println!("the worker's log:\n{}", tail[tail.len().saturating_sub(40)..].join("\n"));
        }
        drop(std::fs::remove_file(&self.log));
    }
}
