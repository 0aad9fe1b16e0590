//! `status`: how everything stands, on one screen, what is wrong first; or one event's story.

mod columns;
mod wrong;

use std::path::Path;

use serde_json::json;

use self::columns::{BACKLOG, DEAD_LETTERS, INCIDENTS, PROVIDERS, REVOCATIONS, UNDENIED, VERIFIERS, WORKERS};
use self::wrong::wrong;
use super::CommandError;
use super::operator::open_store;
use super::output::{count, first_of, printable, say, say_json, say_row, section};
use crate::config::{DatabaseSettings, Environment};
use crate::store::{EventStatus, Status, Store, VerifierRow};

/// So many unverified verifiers are shown.
const STRANGERS: usize = 10;

/// Options of `status`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// One event: where its targets stand and which verifiers refuse them already
    #[arg(long, num_args = 2, value_names = ["SOURCE", "ID"])]
    event: Option<Vec<String>>,
    /// Print the rows of the audit views, and what is wrong, as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    let settings = DatabaseSettings::load(path, &Environment::of_process())?;
    let store = open_store(&settings.database).await?;
    let done = match args.event.as_deref() {
        Some([source, id]) => event(&store, source, id, args.json).await,
        _ => all(&store, args.json).await,
    };
    store.close().await;
    done
}

async fn all(store: &Store, as_json: bool) -> Result<(), CommandError> {
    let status = store.status().await.map_err(CommandError::failed)?;
    let wrong = wrong(&status);
    if as_json {
        let mut rows = json!(status);
        rows["wrong"] = wrong.into();
        say_json(&rows);
        return Ok(());
    }
    wrong.iter().for_each(|sentence| say(printable(sentence)));
    if wrong.is_empty() {
        say("nothing is wrong");
    }
    say_tables(&status);
    Ok(())
}

fn say_tables(status: &Status) {
    section("incidents", &INCIDENTS, &status.incidents);
    if !status.undenied.is_empty() {
        section("cancelled before all was denied: verifiers accept the rest", &UNDENIED, &status.undenied);
    }
    section("backlog", &BACKLOG, &status.backlog);
    section("providers", &PROVIDERS, &status.providers);
    section("workers", &WORKERS, &status.workers);
    section("refused messages in revocation.dead", &DEAD_LETTERS, &status.dead_letters);
    say_verifiers(&status.verifiers);
}

/// Those that an owner vouches for, then the first few of the others: names cost an account nothing, and must
/// not push the rest off the screen.
fn say_verifiers(rows: &[VerifierRow]) {
    let (verified, unverified): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.verified);
    let shown = verified.into_iter().chain(unverified.iter().copied().take(STRANGERS));
    section("verifiers", &VERIFIERS, shown);
    match unverified.len().saturating_sub(STRANGERS) {
        0 => {}
        more => say(format_args!("and {more} more that are unverified: --json shows all")),
    }
}

async fn event(store: &Store, source: &str, id: &str, as_json: bool) -> Result<(), CommandError> {
    let story = store.event_status(source, id).await.map_err(CommandError::failed)?;
    if story.propagation.is_none() {
        let why = "not on record; it may still be in the broker";
        return Err(CommandError::failed(format!("event {id} of {source}: {why}")));
    }
    if as_json {
        say_row(&story)
    } else {
        say_event(&story)
    }
    Ok(())
}

fn say_event(story: &EventStatus) {
    if let Some(propagation) = &story.propagation {
        say(format_args!("denied {}", propagation.denied_at.as_deref().unwrap_or("not yet")));
        let (applied, live) = (propagation.applied_by, count(propagation.live_verifiers, "live verifier"));
        let rest = match propagation.waiting_for.as_slice() {
            [] => String::new(),
            waiting => format!("; waiting for {}", first_of(waiting)),
        };
        say(printable(&format!("applied by {applied} of {live}{rest}")));
    }
    if story.revocations.iter().any(|row| row.identity_reused) {
        say(
            "several events with this identity are on record, and mean different things: see identity_reused \
                in audit.revocations",
        );
    }
    section("targets", &REVOCATIONS, &story.revocations);
}
