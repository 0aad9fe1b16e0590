//! `target show`: one target's story, what to do about it first.

use serde_json::{Value, json};

use crate::attention::target as told;
use crate::cli::CommandError;
use crate::cli::colour::Colour;
use crate::cli::output::{cell, printable};
use crate::cli::page::{Page, View};
use crate::cli::retry::target_id;
use crate::cli::table::{Cell, Column, column, error, number, text, time, word};
use crate::cli::watch::{Found, Watch};
use crate::store::{AttemptRow, RevocationRow, Store};
use crate::target::TargetId;

/// Options of `target show`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The target: revocation_id of audit.revocations, which `audit --state parked` and log lines have
    #[arg(value_name = "REVOCATION_ID", value_parser = target_id)]
    id: TargetId,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    watch: Watch,
}

/// What else the row has, where it has it.
const FURTHER: [&str; 12] = [
    "event_source",
    "event_id",
    "incident",
    "reason",
    "actor",
    "sub",
    "sid",
    "client_id",
    "iss",
    "token_sha256",
    "trace_id",
    "worker",
];
const TIMES: [&str; 6] =
    ["received_at", "denied_at", "next_attempt_at", "finished_at", "confirmed_at", "token_expires_at"];

const ATTEMPTS: [Column<AttemptRow>; 7] = [
    column("started", |row| time(&row.started_at)),
    column("try", |row| number(u64::from(row.attempt))),
    column("outcome", |row| word(row.outcome.as_ref())),
    column("http", |row| row.http_status.map_or(Cell::Nothing, |status| Cell::Number(status.to_string()))),
    column("ms", |row| number(row.duration_ms)),
    column("worker", |row| text(row.worker.as_ref())),
    column("error", |row| error(row.error.as_ref())),
];

pub(super) async fn run(store: &Store, args: &Args) -> Result<(), CommandError> {
    let look = async || {
        let Some(story) = store.target_story(args.id).await? else {
            return Err(CommandError::failed(format!(
                "target {}: no such revocation_id is on record: `revocation-worker audit` lists them",
                args.id
            )));
        };
        if args.json {
            return Ok(Found::Json(json!(story)));
        }
        let mut page = Page::new(args.view.look(store).await?);
        let row = &story.target;
        let head = format!("target {}: {} at provider {}", row.revocation_id, row.state, row.provider);
        page.coloured(Colour::of(&row.state), printable(&head));
        told(row).iter().for_each(|finding| page.line(printable(&finding.to_string())));
        page.line("");
        page.pairs(members(row));
        page.section("calls", &ATTEMPTS, &story.attempts);
        Ok(Found::Page(page))
    };
    args.watch.show(look).await
}

fn members(row: &RevocationRow) -> Vec<(String, Cell)> {
    let value = |name: &str| match name {
        "next_attempt_at" => row.next_attempt_at.clone(),
        _ => row.further.get(name).filter(|value| **value != Value::Null).map(cell),
    };
    let own = [
        ("kind", Some(&row.target_kind)),
        ("hint", row.token_type_hint.as_ref()),
        ("proof", row.proof.as_ref()),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Cell::Word(value?.clone()))));
    let tries = [("tries".to_owned(), number(row.attempts))];
    let further = FURTHER.iter().filter_map(|name| Some(((*name).to_owned(), Cell::Text(value(name)?))));
    let times = TIMES.iter().filter_map(|name| Some(((*name).to_owned(), Cell::Time(value(name)?))));
    let error = row.last_error.iter().map(|error| ("last error".to_owned(), Cell::Error(error.clone())));
    own.chain(tries).chain(further).chain(times).chain(error).collect()
}
