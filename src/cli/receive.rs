//! `receive`: the HTTP receiver of standard inputs.

use std::path::Path;

use super::CommandError;
use super::interrupt::interruption;
use crate::app;
use crate::config::{Environment, ReceiveSettings};
use crate::core_dump;
use crate::telemetry;

pub(super) async fn run(path: Option<&Path>) -> Result<(), CommandError> {
    let stop = interruption()?;
    let forbidden = core_dump::forbid();
    let settings = ReceiveSettings::load(path, &Environment::of_process())?;
    telemetry::log(&settings.log);
    if let Err(error) = forbidden {
        tracing::warn!(%error, "core dumps are not forbidden: this process's memory, with secrets, may be \
            written to a file or read by its user");
    }
    Ok(app::receive::run(settings, stop).await?)
}
