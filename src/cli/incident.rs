//! `incident`: mass revocations, from the order to the end.

mod open;

use std::path::Path;

use super::CommandError;

/// What to do with an incident.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Order a mass revocation: have tokens, users, sessions, clients or issuers denied everywhere and revoked
    Open(open::Args),
}

pub(super) async fn run(path: Option<&Path>, command: &Command) -> Result<(), CommandError> {
    match command {
        Command::Open(args) => open::run(path, args).await,
    }
}
