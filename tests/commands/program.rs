//! The program under test, run once to its end.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{Setup, Stage};

/// What a command said and how it ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{e}: {:?}; standard error: {:?}", self.stdout, self.stderr))
    }
}

/// A command in a test's surroundings: broker and database, no provider.
pub(crate) fn command(stage: &Stage) -> Command {
    bare(&[("AMQP_URL", &stage.amqp_url), ("DATABASE_URL", &stage.database_url)])
}

/// A command with these variables alone, in a directory without a configuration file.
pub(crate) fn bare(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_revocation-worker"));
    command
        .env_clear()
        .env("XDG_STATE_HOME", Setup::state_home())
        .current_dir("/")
        .envs(variables.iter().copied());
    command
}

/// Runs it with nothing to read.
pub(crate) fn run(command: &mut Command, arguments: &[&str]) -> Ran {
    feed(command, arguments, "")
}

/// Runs it with `input` on standard input.
pub(crate) fn feed(command: &mut Command, arguments: &[&str], input: &str) -> Ran {
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start");
    let mut pipe = child.stdin.take().expect("a pipe");
    let output = std::thread::scope(|scope| {
        // A command that fails early does not read to the end.
        scope.spawn(move || drop(pipe.write_all(input.as_bytes())));
        child.wait_with_output().expect("wait for the command")
    });
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ran {
        code: output.status.code().expect("an exit code"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}
