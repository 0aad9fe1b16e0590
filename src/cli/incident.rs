//! `incident`: mass revocations, from the order to the end.

mod cancel;
mod export;
mod look;
mod open;
mod steer;
mod verify;
mod watch;
mod words;

use std::path::Path;

use clap::builder::NonEmptyStringValueParser;

use super::CommandError;
use super::operator::{Operator, open_store};
use super::output::printable;
use crate::config::{DatabaseSettings, Environment};
use crate::store::Store;

pub(super) use steer::retryable;
pub(super) use words::call_for_action;

/// What to do.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Order a mass revocation: have tokens, users, sessions, clients or issuers denied everywhere and
    /// revoked
    Open(open::Args),
    /// List them, active ones first
    List(look::List),
    /// Show everything about one, what it waits for first
    Show(look::Show),
    /// Follow one until it is finished
    Watch(watch::Args),
    /// Let one run that waits for a second person
    Approve(steer::Approve),
    /// Start nothing more of it until `resume`
    Pause(Order),
    /// Go on after `pause`
    Resume(Order),
    /// Limit how many of its targets are revoked a second
    Throttle(steer::Throttle),
    /// Give up what is not done; what is denied stays denied
    Cancel(cancel::Args),
    /// Make its parked targets due now
    Retry(Order),
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
pub(super) struct Order {
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
        Command::List(args) => look::list(&open(path).await?, args).await,
        Command::Show(args) => look::show(&open(path).await?, args).await,
        Command::Watch(args) => watch::run(&open(path).await?, args).await,
        Command::Approve(args) => steer::approve(&open(path).await?, args).await,
        Command::Pause(args) => steer::pause(&open(path).await?, args).await,
        Command::Resume(args) => steer::resume(&open(path).await?, args).await,
        Command::Throttle(args) => steer::throttle(&open(path).await?, args).await,
        Command::Cancel(args) => cancel::run(&open(path).await?, args).await,
        Command::Retry(args) => steer::retry(path, args).await,
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
