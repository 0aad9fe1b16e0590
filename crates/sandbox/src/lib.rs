//! Private servers for tests and the demo, booted from the machine's own programs: free loopback ports, a
//! temporary directory, no root rights, several side by side. Each dies with the process that started it,
//! even when that is killed.
//!
//! Calls block; async code that must not stall wraps them in `spawn_blocking`.

mod application;
mod authlib;
mod nginx;
mod node;
mod oidc;
mod place;
mod postgres;
mod pretend;
mod process;
mod rabbitmq;
mod timeline;
mod token;
mod verifier;
mod worker;

use std::{
    io,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

pub use nginx::Nginx;
pub use node::TlsFiles;
pub use oidc::{OidcProvider, Tokens};
pub use place::Port;
pub use postgres::Postgres;
pub use rabbitmq::RabbitMq;
pub use timeline::{Login, Observer, Timeline, event};
pub use token::Token;
pub use verifier::Service;
pub use worker::{Surroundings, WorkerProcess};

/// Why a private server could not be started or told what to do.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A program is not installed.
    #[error(
        "cannot find the program `{program}`; install the Debian package `{package}` (`./dev setup` installs \
            everything)"
    )]
    Missing {
        /// The program that was looked for.
        program: String,
        /// The Debian package that holds it.
        package: &'static str,
    },
    /// The operating system refused a step.
    #[error("could not {action}: {source}")]
    Io {
        /// The step, as in "create /tmp/x".
        action: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("`{program}` failed: {detail}")]
    Failed {
        /// The program or the request.
        program: String,
        /// What it said.
        detail: String,
    },
    /// A server ended, or its deadline passed, before it answered.
    #[error("{server} {problem}; the end of its log:\n{log_tail}")]
    NotReady {
        /// The server.
        server: &'static str,
        /// "ended with …" or "did not answer within …".
        problem: String,
        /// Its log's last lines.
        log_tail: String,
    },
}

impl SandboxError {
    fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    /// One line: of a log's end, the first word of an error.
    pub fn brief(&self) -> String {
        match self {
            Self::NotReady { server, problem, log_tail } => {
                let cause =
                    log_tail.lines().find(|line| line.to_lowercase().contains("err")).unwrap_or_default();
                format!("{server} {problem}; {}", cause.trim()).trim_end_matches("; ").to_owned()
            }
            Self::Missing { program, package } => {
                format!("the program `{program}` is missing (Debian package {package})")
            }
            other => other.to_string().lines().next().unwrap_or_default().to_owned(),
        }
    }
}

/// How long a server may take to boot or to shut down on a machine with busy cores.
const DEADLINE: Duration = Duration::from_secs(120);

/// How often a condition that nothing announces is looked at.
const POLL: Duration = Duration::from_millis(20);

/// The first of `places`, then of PATH, that has `program`.
fn find(program: &str, package: &'static str, places: &[PathBuf]) -> Result<PathBuf, SandboxError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders = places.iter().cloned().chain(std::env::split_paths(&path)).chain(system);
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    found.ok_or_else(|| SandboxError::Missing { program: program.to_owned(), package })
}

/// The standard output of a program that must succeed.
fn succeeded(program: &Path, output: io::Result<Output>) -> Result<String, SandboxError> {
    let output = output.map_err(SandboxError::io(format!("run {}", program.display())))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let detail = format!("{}: {}{}", output.status, stdout, stderr.trim_end());
    Err(SandboxError::Failed { program: program.display().to_string(), detail })
}
