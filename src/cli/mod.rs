//! The commands (docs/contract.md, section 8): one file each.

mod audit;
mod check;
mod colour;
mod completions;
mod dead;
mod incident;
mod interrupt;
mod keygen;
mod man;
mod migrate;
mod operator;
mod output;
mod page;
mod progress;
mod provider;
mod purge;
mod receive;
mod reconcile;
mod record;
#[cfg(test)]
mod reference;
mod retry;
mod run;
#[cfg(feature = "sandbox")]
mod sandbox;
mod status;
mod stream;
mod submit;
mod table;
mod target;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::app::AppError;
use crate::broker::{BrokerError, PublishError};
use crate::config::ConfigError;
use crate::order::error::OrderError;
use crate::store::{SchemaError, StoreError};

/// What it is called.
const NAME: &str = "revocation-worker";

/// Revokes OAuth tokens everywhere after a logout.
#[derive(Parser)]
#[command(name = NAME, version, about, arg_required_else_help = true)]
struct Cli {
    /// Configuration file (TOML). Default: revocation-worker.toml, if present.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the worker
    Run(run::Args),
    /// Take logouts by HTTP in the forms of standards, and publish them as events
    Receive,
    /// Set up the stream that a sender of Shared Signals has for us, at its transmitter
    #[command(subcommand)]
    Stream(stream::Command),
    /// Bring the database's schema up to date
    Migrate,
    /// Look at configuration, broker, database and providers, and say what is wrong
    Check(check::Args),
    /// Publish events from NDJSON
    Submit(submit::Args),
    /// Handle incidents: mass revocations, from the order to the end
    #[command(subcommand)]
    Incident(incident::Command),
    /// Show how everything stands, what is wrong first
    Status(status::Args),
    /// Search the record: what became of a token, a user, an incident, and every call that was made
    Audit(Box<audit::Args>),
    /// Make parked targets, and those that wait for a retry, due now
    Retry(retry::Args),
    /// Look at what providers wait for, and have them called again
    #[command(subcommand)]
    Provider(provider::Command),
    /// Handle single targets
    #[command(subcommand)]
    Target(target::Command),
    /// Look at refused messages, put them back or throw them away
    #[command(subcommand)]
    Dead(dead::Command),
    /// Remove what is too old from the record, whole months at a time
    Purge(purge::Args),
    /// Compare the denials in the log of the invalidations with the events on record
    Reconcile(reconcile::Args),
    /// Make a sealing key, or a key that signs exports
    Keygen(keygen::Args),
    /// Print what a shell needs to complete commands and options
    Completions(completions::Args),
    /// Print the manual
    Man(man::Args),
    /// Log pretend users out on private servers and watch every token die
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::Args),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Wrong usage or configuration: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It was tried and failed: exit code 1. The sentence says what to do.
    #[error("{0}")]
    Failed(String),
    /// The same, with what to do in a line of its own, which is the last.
    #[error("{why}")]
    Advised {
        /// What was tried, and what came of it.
        why: String,
        /// What to do about it.
        remedy: &'static str,
        /// Whether the same may work later.
        is_passing: bool,
    },
}

const AGAIN: &str =
    "`revocation-worker check` says what is wrong; once that is mended, give the same command again";
const RIGHTS: &str =
    "the database role of this session lacks a right: see docs/authorization.md, and migrations/roles.sql";

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let remedy = if error.is_forbidden() { RIGHTS } else { AGAIN };
        Self::Advised { why: error.to_string(), remedy, is_passing: error.is_passing() }
    }
}

impl From<SchemaError> for CommandError {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Store(error) => error.into(),
            error => Self::failed(error),
        }
    }
}

impl From<PublishError> for CommandError {
    fn from(error: PublishError) -> Self {
        Self::Advised { why: error.to_string(), remedy: AGAIN, is_passing: true }
    }
}

impl From<BrokerError> for CommandError {
    fn from(error: BrokerError) -> Self {
        Self::Advised { why: error.to_string(), remedy: AGAIN, is_passing: true }
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<OrderError> for CommandError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Usage(why) => Self::Usage(why),
            OrderError::Failed(why) => Self::Failed(why),
        }
    }
}

impl From<AppError> for CommandError {
    fn from(error: AppError) -> Self {
        if error.is_configuration() {
            Self::Usage(error.to_string())
        } else {
            Self::Failed(error.to_string())
        }
    }
}

impl CommandError {
    /// A failure with its text.
    fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// A failure with its text, and what to do about it.
    fn advised(error: impl std::fmt::Display, remedy: &'static str) -> Self {
        Self::Advised { why: error.to_string(), remedy, is_passing: false }
    }

    /// Whether the same may work later.
    fn is_passing(&self) -> bool {
        matches!(self, Self::Advised { is_passing: true, .. })
    }
}

/// The commands with all that there is to say of each.
fn tree() -> clap::Command {
    Cli::command()
}

/// Runs the command that the process was called with. Exit code 0 done, 1 failed, 2 wrong usage or
/// configuration.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&CommandError::failed(format!("start the runtime: {error}"))),
    };
    match runtime.block_on(dispatch(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn dispatch(cli: Cli) -> Result<(), CommandError> {
    let config = cli.config.as_deref();
    match cli.command {
        Command::Run(args) => run::run(config, &args).await,
        Command::Receive => receive::run(config).await,
        Command::Stream(command) => stream::run(config, &command).await,
        Command::Migrate => migrate::run(config).await,
        Command::Check(args) => check::run(config, &args).await,
        Command::Submit(args) => submit::run(config, &args).await,
        Command::Incident(command) => incident::run(config, &command).await,
        Command::Status(args) => status::run(config, &args).await,
        Command::Audit(args) => audit::run(config, &args).await,
        Command::Retry(args) => retry::run(config, &args).await,
        Command::Provider(command) => provider::run(config, &command).await,
        Command::Target(command) => target::run(config, &command).await,
        Command::Dead(command) => dead::run(config, &command).await,
        Command::Purge(args) => purge::run(config, &args).await,
        Command::Reconcile(args) => reconcile::run(config, &args).await,
        Command::Keygen(args) => keygen::run(&args),
        Command::Completions(args) => {
            completions::run(&args);
            Ok(())
        }
        Command::Man(args) => man::run(&args),
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => sandbox::run(&args).await,
    }
}

fn fail(error: &CommandError) -> ExitCode {
    // Who asked for JSON parses what comes, also where nothing else does.
    if std::env::args_os().any(|argument| argument == "--json") && !output::has_spoken() {
        output::say_json(&serde_json::json!({ "error": error.to_string() }));
    }
    output::remark(format_args!("{NAME}: {error}"));
    match error {
        CommandError::Usage(_) => ExitCode::from(2),
        CommandError::Failed(_) => ExitCode::from(1),
        CommandError::Advised { remedy, .. } => {
            output::remark(remedy);
            ExitCode::from(1)
        }
    }
}
