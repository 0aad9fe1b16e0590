//! Who gives an order, and where it is recorded.

use super::CommandError;
use crate::config::DatabaseConfig;
use crate::store::Store;

/// Option of every command that writes `audit.operations`.
#[derive(clap::Args)]
pub(super) struct Operator {
    /// Who orders it, for the record [default: $USER, else $LOGNAME, else unknown]; where the database role
    /// is somebody's ([people]), that person does
    #[arg(long, value_name = "NAME", value_parser = person)]
    actor: Option<String>,
}

/// Without the blanks around it: they must not make one person two.
fn person(name: &str) -> Result<String, &'static str> {
    match name.trim() {
        "" => Err("it must name somebody"),
        name => Ok(name.to_owned()),
    }
}

impl Operator {
    /// The name for the record.
    pub(super) fn name(&self) -> String {
        let variable = |name| std::env::var(name).ok().and_then(|value| person(&value).ok());
        let known = self.actor.clone().or_else(|| variable("USER")).or_else(|| variable("LOGNAME"));
        known.unwrap_or_else(|| "unknown".to_owned())
    }
}

/// The database, reached and with a schema that fits: before anything is done that must be recorded there.
pub(super) async fn open_store(config: &DatabaseConfig) -> Result<Store, CommandError> {
    let store = Store::new(config).map_err(|e| CommandError::Usage(e.to_string()))?;
    store.ping().await?;
    store.check_schema().await?;
    Ok(store)
}
