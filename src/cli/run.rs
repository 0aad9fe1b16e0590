//! `run`: the worker.

use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::CommandError;
use crate::app;
use crate::config::{Config, Environment};
use crate::core_dump;
use crate::telemetry;

/// Options of `run`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Bring the schema up to date first
    #[arg(long)]
    migrate: bool,
}

pub(super) async fn run(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    let (terminate, interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let forbidden = core_dump::forbid();
    let config = Config::load(path, &Environment::of_process())?;
    telemetry::log(&config.log);
    if let Err(error) = forbidden {
        tracing::warn!(%error, "core dumps are not forbidden: this process's memory, with tokens and \
            secrets, may be written to a file or read by its user");
    }
    let stop = CancellationToken::new();
    tokio::spawn(obey(terminate, interrupt, stop.clone()));
    Ok(app::run(config, args.migrate, stop).await?)
}

fn listen(kind: SignalKind) -> Result<Signal, CommandError> {
    signal(kind).map_err(|e| CommandError::failed(format!("listen for signals: {e}")))
}

/// The first signal asks for an orderly end, the second ends at once with 128 + its number.
async fn obey(mut terminate: Signal, mut interrupt: Signal, stop: CancellationToken) {
    for count in 1.. {
        let number = tokio::select! {
            _ = terminate.recv() => 15,
            _ = interrupt.recv() => 2,
        };
        if count > 1 {
            std::process::exit(128 + number);
        }
        stop.cancel();
    }
}
