//! `provider`: what each provider waits for, and the order to wait no longer.

use std::path::Path;

use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;
use serde_json::json;

use super::CommandError;
use super::colour::Colour;
use super::operator::{Operator, open_store};
use super::output::{command, count, or_dash, printable, say, say_row};
use super::page::{Page, View};
use super::table::{Cell, Column, column, due, error, number, text, time, wide, word};
use super::watch::{Found, Watch};
use crate::attention::{RESTART, breaker};
use crate::config::{DatabaseSettings, Environment};
use crate::store::{ProviderBacklog, ProviderDetail, ProviderOperation, ProviderWorker, Store};
use crate::visible::apart;

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
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    watch: Watch,
}

/// Options of `provider show`.
#[derive(clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    provider: Name,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    watch: Watch,
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
    column("provider", |row| text(&row.row.provider)),
    column("breaker", |row| left_alone(&row.row)),
    column("waits for", |row| Cell::Text(row.waits_for.to_owned())),
    wide("waits since", |row| time(row.row.waits_since.as_ref())),
    column("held until", |row| time(row.row.held_until.as_ref())),
    wide("last success", |row| time(row.row.last_success_at.as_ref())),
    column("pending", |row| number(row.row.pending)),
    column("parked", |row| number(row.row.parked)),
    wide("last error", |row| error(row.row.last_error.as_ref())),
];

const MEMBERS: [Column<ProviderBacklog>; 12] = [
    column("breaker", left_alone),
    column("waits since", |row| time(row.waits_since.as_ref())),
    column("held until", |row| time(row.held_until.as_ref())),
    column("last success", |row| time(row.last_success_at.as_ref())),
    column("last failure", |row| time(row.last_failure_at.as_ref())),
    column("last error", |row| error(row.last_error.as_ref())),
    column("calls in 5 min", |row| number(row.calls_5m)),
    column("failures in 5 min", |row| number(row.failures_5m)),
    column("pending", |row| number(row.pending)),
    column("parked", |row| number(row.parked)),
    column("oldest", |row| time(row.oldest_received_at.as_ref())),
    column("next attempt", |row| due(row.next_attempt_at.as_ref())),
];

fn left_alone(row: &ProviderBacklog) -> Cell {
    let told = |state: &String| Cell::Word(breaker(state, row.reason.as_deref()));
    row.breaker.as_ref().map_or(Cell::Nothing, told)
}

const WORKERS: [Column<ProviderWorker>; 6] = [
    column("worker", |row| text(&row.worker)),
    column("breaker", |row| word(&row.breaker)),
    wide("waits since", |row| time(row.waits_since.as_ref())),
    column("held until", |row| time(row.held_until.as_ref())),
    column("last success", |row| time(row.last_success_at.as_ref())),
    column("last error", |row| error(row.last_error.as_ref())),
];

const OPERATIONS: [Column<ProviderOperation>; 4] = [
    column("at", |row| time(&row.at)),
    column("actor", |row| text(&row.actor)),
    column("action", |row| word(&row.action)),
    column("role", |row| text(row.role.as_ref())),
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
    let look = async || {
        let providers = told(store, None).await?;
        if args.json {
            return Ok(Found::Json(json!({ "providers": providers })));
        }
        let mut page = Page::new(args.view.look(store).await?);
        if providers.is_empty() {
            page.line("no worker is running, and no target is open");
        } else {
            page.table(&COLUMNS, &providers);
        }
        Ok(Found::Page(page))
    };
    args.watch.show(look).await
}

async fn show(store: &Store, args: &Show) -> Result<(), CommandError> {
    let look = async || {
        let name = &args.provider.name;
        let Some(mut provider) = told(store, Some(name)).await?.pop() else {
            return Err(unknown(store, name).await);
        };
        let detail = store.provider_detail(name).await?;
        if args.json {
            provider.detail = Some(detail);
            return Ok(Found::Json(json!(provider)));
        }
        let mut page = Page::new(args.view.look(store).await?);
        page.line(printable(&format!("provider {name} waits for {}", provider.waits_for)));
        let remedies = remedies(&provider.row);
        remedies.iter().for_each(|remedy| page.coloured(Colour::Waits, printable(remedy)));
        // Until when is known of those alone that asked for it.
        let is_told = |head: &str| head != "held until" || provider.row.held_until.is_some();
        page.members(MEMBERS.iter().filter(|column| is_told(column.head)), &provider.row);
        page.section("workers", &WORKERS, &detail.workers);
        page.section("operations", &OPERATIONS, &detail.operations);
        Ok(Found::Page(page))
    };
    args.watch.show(look).await
}

async fn resume(store: &Store, args: &Resume) -> Result<(), CommandError> {
    let name = &args.provider.name;
    // Before: what goes on at once must not be missing.
    let waiting = store.providers(Some(name)).await?.pop();
    let is_misconfigured = waiting.as_ref().is_some_and(|row| row.reason.as_deref() == Some("misconfigured"));
    let (pending, parked) = waiting.map_or((0, 0), |row| (row.pending, row.parked));
    let resumed = store.resume_provider(&args.operator.name(), name).await?;
    let Some(resumed) = resumed else { return Err(unknown(store, name).await) };
    if args.json {
        let mut row = json!(resumed);
        (row["provider"], row["effective_within_s"]) = (name.as_str().into(), 2.into());
        (row["pending"], row["parked"]) = (pending.into(), parked.into());
        say_row(&row);
        return Ok(());
    }
    let was = match &resumed.held_until {
        Some(until) => format!("it had asked to be left alone until {until}"),
        None => format!("its breaker was {}", or_dash(&resumed.breaker)),
    };
    say(printable(&format!("provider {name}: called again within 2 s, by all workers; {was}")));
    if is_misconfigured {
        say(RESTART);
    }
    let goes_on = match (resumed.held_until.is_some(), resumed.breaker.as_deref()) {
        (false, Some("open" | "half_open")) => "once it has answered a probe, which is sent at once",
        _ => "at once",
    };
    let early = match resumed.due {
        0 => String::new(),
        due => format!("; {} of them before the time of the next attempt", apart(due)),
    };
    let pending = count(pending, "target");
    say(format_args!("pending: {pending}; they go on {goes_on}, unless their incident is paused{early}"));
    if parked > 0 {
        let retry = command("retry --provider", "", name);
        say(printable(&format!("parked, and not tried again by this: {}: {retry}", count(parked, "target"))));
    }
    Ok(())
}

async fn told(store: &Store, name: Option<&str>) -> Result<Vec<Told>, CommandError> {
    let providers = store.providers(name).await?;
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

/// What to do about one that is left alone.
fn remedies(row: &ProviderBacklog) -> Vec<String> {
    let name = &row.provider;
    let resume = command("provider resume", "", name);
    let remedy = match (row.breaker.as_deref(), row.reason.as_deref()) {
        (None | Some("closed"), _) => return Vec::new(),
        (_, Some("misconfigured")) => {
            return vec![
                format!("mend credentials, address or certificate, then: {resume}"),
                RESTART.to_owned(),
            ];
        }
        (_, Some("retry_after")) => format!(
            "where that comes again: set providers.{name}.rate_per_s to what it allows and restart each \
                worker, or slow the incident that causes it: {}, or {}",
            command("incident throttle", "--rate N", "INCIDENT"),
            command("incident pause", "", "INCIDENT"),
        ),
        _ => format!("it is probed again within 75 s; at once: {resume}"),
    };
    vec![remedy]
}

/// Refuses a name that neither a running worker nor an open target knows.
///
/// # Errors
/// It is not known, or Postgres failed.
pub(super) async fn check_known(store: &Store, name: &str) -> Result<(), CommandError> {
    let known = store.providers(Some(name)).await?;
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
