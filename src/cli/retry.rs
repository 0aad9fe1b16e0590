//! `retry`: parked targets, and those that wait for a retry, become due now.

use std::path::Path;

use clap::builder::NonEmptyStringValueParser as Word;
use serde_json::json;

use super::operator::{Operator, open_store};
use super::output::{count, say, say_json};
use super::{CommandError, incident, provider};
use crate::config::{Environment, RetrySettings};
use crate::store::{RetryScope, Store};
use crate::target::TargetId;

/// Options of `retry`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    operator: Operator,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Scope {
    /// All targets of a provider
    #[arg(long, value_name = "NAME", value_parser = Word::new())]
    provider: Option<String>,
    /// All targets of an incident
    #[arg(long, value_name = "NAME", value_parser = Word::new())]
    incident: Option<String>,
    /// One target: the revocation_id of audit.revocations
    #[arg(long, value_name = "REVOCATION_ID", value_parser = target_id)]
    id: Option<TargetId>,
}

pub(super) fn target_id(text: &str) -> Result<TargetId, &'static str> {
    TargetId::parse(text).ok_or("not a revocation_id as audit.revocations has it: <event uuid>-<number>")
}

impl Scope {
    /// clap sees to it that exactly one is given.
    fn read(&self) -> Result<RetryScope, CommandError> {
        let named = self
            .provider
            .clone()
            .map(RetryScope::Provider)
            .or_else(|| self.incident.clone().map(RetryScope::Incident));
        let scope = named.or_else(|| self.id.map(RetryScope::Target));
        scope.ok_or_else(|| CommandError::Usage("name --provider, --incident or --id".to_owned()))
    }
}

pub(super) async fn run(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    let scope = args.scope.read()?;
    let settings = RetrySettings::load(path, &Environment::of_process())?;
    let store = open_store(&settings.database).await?;
    let retried = retry(&store, &args.operator.name(), &scope, settings.retry.give_up_after).await;
    store.close().await;
    let due = retried?;
    if args.json {
        say_json(&json!({ "due": due }));
    } else {
        say(format_args!("{} became due", count(due, "target")));
    }
    Ok(())
}

async fn retry(
    store: &Store,
    actor: &str,
    scope: &RetryScope,
    fresh_budget: std::time::Duration,
) -> Result<u64, CommandError> {
    match scope {
        RetryScope::Provider(name) => provider::check_known(store, name).await?,
        RetryScope::Incident(name) => drop(incident::retryable(store, name).await?),
        RetryScope::Target(id) => check_open(store, *id).await?,
    }
    store.retry(actor, scope, fresh_budget).await.map_err(CommandError::from)
}

/// Refuses one target by name where trying it again is not possible.
async fn check_open(store: &Store, id: TargetId) -> Result<(), CommandError> {
    match store.target_state(id).await? {
        None => Err(CommandError::failed(format!(
            "retry {id}: no such revocation_id is on record: `revocation-worker audit` lists them"
        ))),
        Some(target) if target.is_final => Err(CommandError::failed(format!(
            "retry {id}: it is {}, which is final; nothing is left to try",
            target.state
        ))),
        Some(_) => Ok(()),
    }
}
