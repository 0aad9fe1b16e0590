//! Processes of the contenders: how they are started, watched and stopped.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::process::{Child, Command};

use crate::contender::Contender;
use crate::stage::{STREAM_SETTINGS, Stage};
use crate::{Result, measure, peer};

/// The worker, built in the same profile as this benchmark.
const WORKER: &str = env!("CARGO_BIN_EXE_revocation-worker");
/// The broker user of everybody here.
pub(crate) const USER: &str = "guest";
/// How long anything that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running contender. Dropping it kills it.
pub(crate) struct Client {
    pub(crate) pid: u32,
    /// Microseconds since 1970.
    pub(crate) started_us: i64,
    child: Child,
    log: Log,
}

impl Client {
    /// Starts it.
    pub(crate) fn start(contender: Contender, stage: &Stage, revoke_url: &str) -> Result<Self> {
        let mut command = match contender {
            Contender::Bare => own_program(&env::current_exe()?, &["bare"], stage, revoke_url),
            Contender::Go => own_program(peer::program()?, &[], stage, revoke_url),
            Contender::Worker => worker("run", stage, revoke_url),
        };
        let log = Log::new();
        let (out, err) = (File::create(&log.0)?, File::options().append(true).open(&log.0)?);
        command.stdin(Stdio::null()).stdout(out).stderr(err).kill_on_drop(true);
        let started_us = measure::now_us();
        let child = command.spawn()?;
        let pid = child.id().ok_or("the contender ended at its start")?;
        Ok(Self { pid, started_us, child, log })
    }

    /// Fails when it has ended, or `since` is too long ago.
    pub(crate) fn check(&mut self, waiting_for: &str, since: Instant) -> Result {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!(
                "waiting for {waiting_for}, but the contender ended with {status}:\n{}",
                self.log.tail()
            )
            .into());
        }
        if since.elapsed() > PATIENCE {
            return Err(format!(
                "waiting for {waiting_for} for {} s:\n{}",
                PATIENCE.as_secs(),
                self.log.tail()
            )
            .into());
        }
        Ok(())
    }

    /// Asks it to finish and waits for its end.
    pub(crate) async fn stop(mut self) -> Result {
        let mut kill = Command::new("/bin/sh");
        kill.args(["-c", r#"kill -s TERM "$0""#, &self.pid.to_string()]).status().await?;
        let status = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await??;
        if status.success() {
            Ok(())
        } else {
            Err(format!("the contender ended with {status}:\n{}", self.log.tail()).into())
        }
    }
}

fn own_program(program: &Path, arguments: &[&str], stage: &Stage, revoke_url: &str) -> Command {
    let mut command = launcher(program);
    command
        .args(arguments)
        .env("AMQP_URL", &stage.amqp_url)
        .env("DATABASE_URL", &stage.database_url)
        .env("REVOKE_URL", revoke_url)
        .env("CONCURRENCY", stage.concurrency.to_string());
    command
}

/// `revocation-worker migrate`.
pub(crate) async fn migrate(stage: &Stage) -> Result {
    let output = worker("migrate", stage, "http://127.0.0.1/unused").output().await?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{WORKER} migrate` failed: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// One of the worker's commands, in the surroundings of this run.
pub(crate) fn worker(verb: &str, stage: &Stage, revoke_url: &str) -> Command {
    let mut command = launcher(Path::new(WORKER));
    command.arg(verb).env("AMQP_URL", &stage.amqp_url).env("DATABASE_URL", &stage.database_url);
    command.env("SEALING_KEYS", format!("bench:{}", STANDARD.encode([7; 32])));
    let concurrency = stage.concurrency.to_string();
    let settings = [
        ("DEFAULT_PROVIDER", "main"),
        ("PROVIDERS__MAIN__KIND", "rfc7009"),
        ("PROVIDERS__MAIN__REVOCATION_ENDPOINT", revoke_url),
        ("PROVIDERS__MAIN__CLIENT_ID", "bench"),
        ("PROVIDERS__MAIN__CLIENT_SECRET", "bench-secret"),
        ("PROVIDERS__MAIN__CONCURRENCY", &concurrency),
        ("AUTHORIZATION__MASS_REVOCATION_USERS", USER),
        ("PEOPLE__OPENER__BROKER_USERS", USER),
        ("PEOPLE__APPROVER__DATABASE_ROLES", "postgres"),
        ("AUTHORIZATION__APPROVAL_ABOVE_TARGETS", "1000000000"),
        ("HTTP__LISTEN", "127.0.0.1:0"),
        ("LOG__FORMAT", "json"),
    ];
    for (setting, value) in settings.into_iter().chain(STREAM_SETTINGS) {
        command.env(format!("REVOCATION__{setting}"), value);
    }
    command
}

/// `setpriv`, so that the contender dies with the benchmark, even when that is killed; it turns into
/// `program`. No setting gets in from outside.
fn launcher(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).current_dir("/");
    command
}

/// The contender's output, removed on drop.
struct Log(PathBuf);

impl Log {
    fn new() -> Self {
        static LOGS: AtomicU32 = AtomicU32::new(0);
        let number = LOGS.fetch_add(1, Ordering::Relaxed);
        Self(env::temp_dir().join(format!("revocation-bench-{}-{number}.log", std::process::id())))
    }

    fn tail(&self) -> String {
        let log = fs::read_to_string(&self.0).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // What cannot be removed stays in the temporary directory.
        let _ = fs::remove_file(&self.0);
    }
}
