//! `incident retry`: makes an incident's parked targets, and those that wait for a retry, due now.

use std::path::Path;

use serde_json::json;

use super::steering::EFFECTIVE_WITHIN_S;
use super::{Change, find};
use crate::cli::CommandError;
use crate::cli::operator::open_store;
use crate::cli::output::{count, printable, say, say_json};
use crate::config::{Environment, RetrySettings};
use crate::store::{RetryScope, Store};

/// The state of an incident that something of may be left to try.
///
/// # Errors
/// It is not on record, or has ended.
pub(in crate::cli) async fn retryable(store: &Store, name: &str) -> Result<String, CommandError> {
    let state = find(store, name).await?.row.state;
    match state.as_str() {
        "finished" | "cancelled" => Err(CommandError::failed(printable(&format!(
            "incident {name}: it is {state}: nothing is left to retry"
        )))),
        _ => Ok(state),
    }
}

pub(super) async fn run(path: Option<&Path>, args: &Change) -> Result<(), CommandError> {
    let settings = RetrySettings::load(path, &Environment::of_process())?;
    let (store, name) = (open_store(&settings.database).await?, &args.incident.name);
    let state = retryable(&store, name).await?;
    let scope = RetryScope::Incident(name.clone());
    let due = store.retry(&args.operator.name(), &scope, settings.retry.give_up_after).await;
    store.close().await;
    let due = due?;
    if args.json {
        let within = EFFECTIVE_WITHIN_S;
        say_json(&json!({ "incident": name, "due": due, "state": state, "effective_within_s": within }));
        return Ok(());
    }
    let when = match state.as_str() {
        "running" => format!("effective within {EFFECTIVE_WITHIN_S} s, on all workers"),
        "paused" => "they are tried after `incident resume`".to_owned(),
        _ => "they are tried after `incident approve`".to_owned(),
    };
    say(printable(&format!("incident {name}: {} became due; {when}", count(due, "target"))));
    Ok(())
}
