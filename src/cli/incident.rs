//! `incident`: mass revocations.

mod export;
mod verify;

use std::path::Path;

use super::CommandError;

/// What to do with one.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Write everything that is on record of an incident to one signed file
    Export(export::Args),
    /// Check such a file: any change, removal or addition is found
    Verify(verify::Args),
}

pub(super) async fn run(path: Option<&Path>, command: &Command) -> Result<(), CommandError> {
    match command {
        Command::Export(args) => export::run(path, args).await,
        Command::Verify(args) => verify::run(path, args),
    }
}
