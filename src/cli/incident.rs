//! `incident`: mass revocations, from the order to the end.

mod approve;
mod cancel;
mod export;
mod list;
mod open;
mod pause;
mod retry;
mod show;
mod steering;
mod throttle;
mod verify;
mod watch;
mod words;

use std::path::Path;

use clap::builder::NonEmptyStringValueParser;

use super::CommandError;
use super::operator::{Operator, open_store};
use super::output::printable;
use crate::config::{DatabaseSettings, Environment};
use crate::store::{IncidentDetail, Store};

pub(super) use retry::retryable;

/// What to do.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Order a mass revocation: have tokens, users, sessions, clients or issuers denied everywhere and
    /// revoked
    Open(open::Args),
    /// List them, active ones first
    List(list::Args),
    /// Show everything about one, what it waits for first
    Show(show::Args),
    /// Follow one until it is finished
    Watch(watch::Args),
    /// Let one run that waits for a second person
    Approve(approve::Args),
    /// Revoke nothing more of it until `resume`; denials go on
    Pause(Change),
    /// Go on after `pause`
    Resume(Change),
    /// Limit how many of its targets are revoked a second
    Throttle(throttle::Args),
    /// Give up what is not done; what is denied stays denied
    Cancel(cancel::Args),
    /// Make its parked targets, and those that wait for a retry, due now
    Retry(Change),
    /// Write everything that is on record of one to one signed file, for auditors
    Export(export::Args),
    /// Check such a file: whatever was changed, removed or added is found
    Verify(verify::Args),
}

/// The incident that is meant.
#[derive(clap::Args)]
pub(super) struct Name {
    /// The incident
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: String,
}

/// Arguments of every command that changes an incident.
#[derive(clap::Args)]
pub(super) struct Change {
    #[command(flatten)]
    incident: Name,
    #[command(flatten)]
    operator: Operator,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(path: Option<&Path>, command: &Command) -> Result<(), CommandError> {
    match command {
        Command::Open(args) => open::run(path, args).await,
        Command::List(args) => list::run(&open(path).await?, args).await,
        Command::Show(args) => show::run(&open(path).await?, args).await,
        Command::Watch(args) => watch::run(&open(path).await?, args).await,
        Command::Approve(args) => approve::run(&open(path).await?, args).await,
        Command::Pause(args) => pause::pause(&open(path).await?, args).await,
        Command::Resume(args) => pause::resume(&open(path).await?, args).await,
        Command::Throttle(args) => throttle::run(&open(path).await?, args).await,
        Command::Cancel(args) => cancel::run(&open(path).await?, args).await,
        Command::Retry(args) => retry::run(path, args).await,
        Command::Export(args) => export::run(path, args).await,
        Command::Verify(args) => verify::run(path, args),
    }
}

async fn open(path: Option<&Path>) -> Result<Store, CommandError> {
    open_store(&DatabaseSettings::load(path, &Environment::of_process())?.database).await
}

/// The refusal of an incident that the database does not know.
fn unknown(name: &str) -> CommandError {
    CommandError::failed(printable(&format!(
        "incident {name} is not on record; it may still be in the broker, or was refused (revocation-worker \
            dead list)"
    )))
}

/// An incident that is on record.
async fn find(store: &Store, name: &str) -> Result<IncidentDetail, CommandError> {
    store.incident(name).await?.ok_or_else(|| unknown(name))
}
