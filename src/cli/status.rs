//! `status`: how everything stands, on one screen, what is wrong first; or one event's story.

mod columns;

use std::path::Path;

use serde_json::json;

use self::columns::{BACKLOG, DEAD_LETTERS, INCIDENTS, PROVIDERS, REVOCATIONS, UNDENIED, VERIFIERS, WORKERS};
use super::CommandError;
use super::colour::Colour;
use super::operator::open_store;
use super::output::{count, first_of, printable};
use super::page::{Page, View};
use super::table::Look;
use super::watch::{Found, Watch};
use crate::attention::{mint, refused, unapplied, wrong};
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
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    watch: Watch,
}

pub(super) async fn run(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    let settings = DatabaseSettings::load(path, &Environment::of_process())?;
    let store = open_store(&settings.database).await?;
    let look = async || {
        let look = args.view.look(&store).await?;
        match args.event.as_deref() {
            Some([source, id]) => event(&store, source, id, args.json, look).await,
            _ => all(&store, args.json, look).await,
        }
    };
    let done = args.watch.show(look).await;
    store.close().await;
    done
}

async fn all(store: &Store, as_json: bool, look: Look) -> Result<Found, CommandError> {
    let status = store.status().await?;
    let wrong: Vec<_> = wrong(&status).iter().map(ToString::to_string).collect();
    if as_json {
        let mut rows = json!(status);
        rows["wrong"] = wrong.into();
        return Ok(Found::Json(rows));
    }
    let mut page = Page::new(look);
    wrong.iter().for_each(|sentence| page.coloured(Colour::Calls, printable(sentence)));
    if wrong.is_empty() {
        match refused(&status) {
            Some(refused) => page.coloured(Colour::Waits, format_args!("nothing is wrong; {refused}")),
            None => page.coloured(Colour::Fine, "nothing is wrong"),
        }
    }
    show(&mut page, &status);
    Ok(Found::Page(page))
}

fn show(page: &mut Page, status: &Status) {
    page.section("incidents", &INCIDENTS, &status.incidents);
    if !status.undenied.is_empty() {
        page.section(
            "cancelled before all was denied: verifiers accept the rest",
            &UNDENIED,
            &status.undenied,
        );
    }
    page.section("backlog", &BACKLOG, &status.backlog);
    page.section("providers", &PROVIDERS, &status.providers);
    page.section("workers", &WORKERS, &status.workers);
    page.section("refused messages in revocation.dead", &DEAD_LETTERS, &status.dead_letters);
    show_verifiers(page, &status.verifiers);
}

/// Those that an owner vouches for, then the first few of the others: names cost an account nothing, and must
/// not push the rest off the screen.
fn show_verifiers(page: &mut Page, rows: &[VerifierRow]) {
    let (verified, unverified): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.verified);
    let shown = verified.into_iter().chain(unverified.iter().copied().take(STRANGERS));
    page.section("verifiers", &VERIFIERS, shown);
    match unverified.len().saturating_sub(STRANGERS) {
        0 => {}
        more => page.line(format_args!("and {more} more that are unverified: --json shows all")),
    }
}

async fn event(
    store: &Store,
    source: &str,
    id: &str,
    as_json: bool,
    look: Look,
) -> Result<Found, CommandError> {
    let story = store.event_status(source, id).await?;
    if story.propagation.is_none() {
        let why =
            "not on record; it may still be in the broker, or was refused (revocation-worker dead list)";
        return Err(CommandError::failed(format!("event {id} of {source}: {why}")));
    }
    if as_json {
        return Ok(Found::Json(json!(story)));
    }
    let mut page = Page::new(look);
    show_event(&mut page, &story);
    Ok(Found::Page(page))
}

fn show_event(page: &mut Page, story: &EventStatus) {
    if let Some(propagation) = &story.propagation {
        page.line(format_args!("denied {}", propagation.denied_at.as_deref().unwrap_or("not yet")));
        let (applied, live) = (propagation.applied_by, count(propagation.live_verifiers, "live verifier"));
        let rest = match propagation.waiting_for.as_slice() {
            [] => String::new(),
            waiting => format!("; waiting for {}", first_of(waiting)),
        };
        page.line(printable(&format!("applied by {applied} of {live}{rest}")));
    }
    for sentence in unapplied(&story.silent_verifiers, story.propagation.as_ref()) {
        page.coloured(Colour::Waits, printable(&sentence));
    }
    if story.revocations.iter().any(|row| row.identity_reused) {
        page.line(
            "several events with this identity are on record, and mean different things: see identity_reused \
                in audit.revocations",
        );
    }
    if let Some(sentence) = mint::sentence(mint::of(&story.revocations)) {
        page.coloured(Colour::Waits, sentence);
    }
    page.section("targets", &REVOCATIONS, &story.revocations);
}
