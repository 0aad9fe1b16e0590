//! `provider`: what each provider waits for, and the order to wait no longer.

use std::path::Path;

use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};

use super::CommandError;
use super::operator::{Operator, open_store};
use super::output::{cell, count, printable, say, say_json, say_table, section};
use crate::config::{DatabaseSettings, Environment};
use crate::store::Store;

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

const COLUMNS: [&str; 9] = [
    "provider",
    "breaker",
    "waits_for",
    "waits_since",
    "held_until",
    "last_success_at",
    "pending",
    "parked",
    "last_error",
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
        say_json(&json!({ "providers": providers }));
    } else if providers.is_empty() {
        say("no worker is running, and no target is open");
    } else {
        say_table(COLUMNS, providers.iter().map(|provider| COLUMNS.map(|column| cell(&provider[column]))));
    }
    Ok(())
}

async fn show(store: &Store, args: &Show) -> Result<(), CommandError> {
    let name = &args.provider.name;
    let provider = told(store, Some(name)).await?.pop();
    let Some(mut provider) = provider else { return Err(unknown(store, name).await) };
    let detail = store.provider_detail(name).await.map_err(CommandError::failed)?;
    for member in ["workers", "operations"] {
        provider[member] = detail[member].clone();
    }
    if args.json {
        say_json(&provider);
        return Ok(());
    }
    say(printable(&format!("provider {name}: {}", cell(&provider["waits_for"]))));
    for member in [
        "breaker",
        "waits_since",
        "held_until",
        "last_success_at",
        "last_failure_at",
        "last_error",
        "calls_5m",
        "failures_5m",
        "pending",
        "parked",
        "oldest_received_at",
        "next_attempt_at",
    ] {
        say(printable(&format!("{member}: {}", cell(&provider[member]))));
    }
    section(
        "workers",
        &provider["workers"],
        ["worker", "breaker", "waits_since", "held_until", "last_success_at", "last_error"],
    );
    section("operations", &provider["operations"], ["at", "actor", "action", "role"]);
    Ok(())
}

async fn resume(store: &Store, args: &Resume) -> Result<(), CommandError> {
    let name = &args.provider.name;
    let resumed = store.resume_provider(&args.operator.name(), name).await.map_err(CommandError::failed)?;
    let Some(mut resumed) = resumed else { return Err(unknown(store, name).await) };
    if args.json {
        (resumed["provider"], resumed["effective_within_s"]) = (name.as_str().into(), 2.into());
        say_json(&resumed);
        return Ok(());
    }
    let was = match resumed["held_until"].as_str() {
        Some(until) => format!("it had asked to be left alone until {until}"),
        None => format!("its breaker was {}", cell(&resumed["breaker"])),
    };
    say(printable(&format!("provider {name}: called again within 2 s, by all workers; {was}")));
    say(format_args!(
        "due now that waited for another attempt: {}",
        count(resumed["due"].as_u64().unwrap_or(0), "target")
    ));
    Ok(())
}

/// The providers as they are on record, each with a sentence on what it waits for.
async fn told(store: &Store, name: Option<&str>) -> Result<Vec<Value>, CommandError> {
    let mut providers = store.providers(name).await.map_err(CommandError::failed)?;
    for provider in &mut providers {
        provider["waits_for"] = waits_for(provider).into();
    }
    Ok(providers)
}

/// What has to happen before it is called again.
fn waits_for(provider: &Value) -> &'static str {
    match (provider["breaker"].as_str(), provider["held_until"].is_null()) {
        (None, _) => "a worker that has it configured",
        (Some(_), false) => "its Retry-After to pass",
        (Some("open"), true) => "a probe to be answered",
        (Some("half_open"), true) => "the answer to a probe",
        (Some(_), true) => "nothing",
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
    let names: Vec<_> = known.iter().take(NAMES).map(|provider| cell(&provider["provider"])).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let advice = "revocation-worker provider list shows those that are known";
    CommandError::failed(printable(&format!(
        "provider {name}: no running worker has it; known are: {known}; {advice}"
    )))
}
