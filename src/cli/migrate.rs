//! `migrate`: brings the schema up to date.

use std::path::Path;

use super::CommandError;
use super::output::say;
use crate::config::{DatabaseSettings, Environment};
use crate::store::Store;
use crate::telemetry;

pub(super) async fn run(path: Option<&Path>) -> Result<(), CommandError> {
    let settings = DatabaseSettings::load(path, &Environment::of_process())?;
    telemetry::log(&settings.log);
    let store = Store::new(&settings.database).map_err(|e| CommandError::Usage(e.to_string()))?;
    let version = store.migrate(settings.people.as_ref()).await?;
    store.close().await;
    say(format_args!("the schema is at version {version}"));
    Ok(())
}
