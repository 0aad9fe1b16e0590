//! `provider`: what each provider waits for, and the order to wait no longer.

use std::path::Path;

use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;
use serde_json::json;

use super::CommandError;
use super::operator::{Operator, open_store};
use super::output::{Column, count, or_dash, printable, say, say_row, say_table, section};
use crate::config::{DatabaseSettings, Environment};
use crate::store::{ProviderBacklog, ProviderDetail, ProviderOperation, ProviderWorker, Store};

/// What to do.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List them: what each one waits for, as all workers see it
    List(List),
    /// Show everything about one, worker by worker
    Show(Show),
    /// End a pause or a wait: have it called again, with what waits for another attempt due now
    Resume(Resume),
}

/// Options of `provider list`.
#[derive(clap::Args)]
pub(super) struct List {
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

/// Options of `provider show`.
#[derive(clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    provider: Name,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// Options of `provider resume`.
#[derive(clap::Args)]
pub(super) struct Resume {
    #[command(flatten)]
    provider: Name,
    #[command(flatten)]
    operator: Operator,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The provider that is meant.
#[derive(clap::Args)]
struct Name {
    /// The provider, as in [providers.NAME]
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: String,
}

/// A provider as it is on record, with a sentence on what it waits for.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    row: ProviderBacklog,
    waits_for: &'static str,
    #[serde(flatten)]
    detail: Option<ProviderDetail>,
}

const COLUMNS: [Column<Told>; 9] = [
    ("provider", |row| row.row.provider.clone()),
    ("breaker", |row| or_dash(&row.row.breaker)),
    ("waits_for", |row| row.waits_for.to_owned()),
    ("waits_since", |row| or_dash(&row.row.waits_since)),
    ("held_until", |row| or_dash(&row.row.held_until)),
    ("last_success_at", |row| or_dash(&row.row.last_success_at)),
    ("pending", |row| row.row.pending.to_string()),
    ("parked", |row| row.row.parked.to_string()),
    ("last_error", |row| or_dash(&row.row.last_error)),
];

const MEMBERS: [Column<ProviderBacklog>; 12] = [
    ("breaker", |row| or_dash(&row.breaker)),
    ("waits_since", |row| or_dash(&row.waits_since)),
    ("held_until", |row| or_dash(&row.held_until)),
    ("last_success_at", |row| or_dash(&row.last_success_at)),
    ("last_failure_at", |row| or_dash(&row.last_failure_at)),
    ("last_error", |row| or_dash(&row.last_error)),
    ("calls_5m", |row| row.calls_5m.to_string()),
    ("failures_5m", |row| row.failures_5m.to_string()),
    ("pending", |row| row.pending.to_string()),
    ("parked", |row| row.parked.to_string()),
    ("oldest_received_at", |row| or_dash(&row.oldest_received_at)),
    ("next_attempt_at", |row| or_dash(&row.next_attempt_at)),
];

const WORKERS: [Column<ProviderWorker>; 6] = [
    ("worker", |row| row.worker.clone()),
    ("breaker", |row| row.breaker.clone()),
    ("waits_since", |row| or_dash(&row.waits_since)),
    ("held_until", |row| or_dash(&row.held_until)),
    ("last_success_at", |row| or_dash(&row.last_success_at)),
    ("last_error", |row| or_dash(&row.last_error)),
];

const OPERATIONS: [Column<ProviderOperation>; 4] = [
    ("at", |row| row.at.clone()),
    ("actor", |row| row.actor.clone()),
    ("action", |row| row.action.clone()),
    ("role", |row| or_dash(&row.role)),
];

/// So many names are told.
const NAMES: usize = 10;

pub(super) async fn run(path: Option<&Path>, command: &Command) -> Result<(), CommandError> {
    let store = open_store(&DatabaseSettings::load(path, &Environment::of_process())?.database).await?;
    let done = match command {
        Command::List(args) => list(&store, args).await,
        Command::Show(args) => show(&store, args).await,
        Command::Resume(args) => resume(&store, args).await,
    };
    store.close().await;
    done
}

async fn list(store: &Store, args: &List) -> Result<(), CommandError> {
    let providers = told(store, None).await?;
    if args.json {
        say_row(&json!({ "providers": providers }));
    } else if providers.is_empty() {
        say("no worker is running, and no target is open");
    } else {
        say_table(&COLUMNS, &providers);
    }
    Ok(())
}

async fn show(store: &Store, args: &Show) -> Result<(), CommandError> {
    let name = &args.provider.name;
    let Some(mut provider) = told(store, Some(name)).await?.pop() else {
        return Err(unknown(store, name).await);
    };
    let detail = store.provider_detail(name).await.map_err(CommandError::failed)?;
    if args.json {
        provider.detail = Some(detail);
        say_row(&provider);
        return Ok(());
    }
    say(printable(&format!("provider {name}: {}", provider.waits_for)));
    for (member, value) in &MEMBERS {
        say(printable(&format!("{member}: {}", value(&provider.row))));
    }
    section("workers", &WORKERS, &detail.workers);
    section("operations", &OPERATIONS, &detail.operations);
    Ok(())
}

async fn resume(store: &Store, args: &Resume) -> Result<(), CommandError> {
    let name = &args.provider.name;
    let resumed = store.resume_provider(&args.operator.name(), name).await.map_err(CommandError::failed)?;
    let Some(resumed) = resumed else { return Err(unknown(store, name).await) };
    if args.json {
        let mut row = json!(resumed);
        (row["provider"], row["effective_within_s"]) = (name.as_str().into(), 2.into());
        say_row(&row);
        return Ok(());
    }
    let was = match &resumed.held_until {
        Some(until) => format!("it had asked to be left alone until {until}"),
        None => format!("its breaker was {}", or_dash(&resumed.breaker)),
    };
    say(printable(&format!("provider {name}: called again within 2 s, by all workers; {was}")));
    say(format_args!("due now that waited for another attempt: {}", count(resumed.due, "target")));
    Ok(())
}

async fn told(store: &Store, name: Option<&str>) -> Result<Vec<Told>, CommandError> {
    let providers = store.providers(name).await.map_err(CommandError::failed)?;
    let told = |row: ProviderBacklog| Told { waits_for: waits_for(&row), row, detail: None };
    Ok(providers.into_iter().map(told).collect())
}

/// What has to happen before it is called again.
fn waits_for(provider: &ProviderBacklog) -> &'static str {
    match (provider.breaker.as_deref(), provider.held_until.is_some()) {
        (None, _) => "a worker that has it configured",
        (Some(_), true) => "its Retry-After to pass",
        (Some("open"), false) => "a probe to be answered",
        (Some("half_open"), false) => "the answer to a probe",
        (Some(_), false) => "nothing",
    }
}

/// Refuses a name that neither a running worker nor an open target knows.
///
/// # Errors
/// It is not known, or Postgres failed.
pub(super) async fn check_known(store: &Store, name: &str) -> Result<(), CommandError> {
    let known = store.providers(Some(name)).await.map_err(CommandError::failed)?;
    if known.is_empty() { Err(unknown(store, name).await) } else { Ok(()) }
}

async fn unknown(store: &Store, name: &str) -> CommandError {
    let known = store.providers(None).await.unwrap_or_default();
    let names: Vec<_> = known.into_iter().take(NAMES).map(|row| row.provider).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let advice = "revocation-worker provider list shows those that are known";
    CommandError::failed(printable(&format!(
        "provider {name}: no running worker has it; known are: {known}; {advice}"
    )))
}
