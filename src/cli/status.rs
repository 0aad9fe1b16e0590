//! `status`: how everything stands, on one screen, what is wrong first; or one event's story.

mod wrong;

use std::path::Path;

use serde_json::json;

use self::wrong::wrong;
use super::CommandError;
use super::operator::open_store;
use super::output::{count, first_of, or_dash, printable, say, say_json, say_row, section};
use crate::config::{DatabaseSettings, Environment};
use crate::store::{
    BacklogRow, DeadLetters, EventStatus, Incident, ProviderRow, RevocationRow, Status, Store, Undenied,
    VerifierRow, WorkerRow,
};

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
    let head =
        ["incident", "state", "targets_received", "denied", "pending", "parked", "rate_per_s", "eta_seconds"];
    section("incidents", head, status.incidents.iter().map(incident));
    if !status.undenied.is_empty() {
        let title = "cancelled before all was denied: verifiers accept the rest";
        let head = ["incident", "undenied", "cancelled_by", "cancel_reason", "finished_at"];
        section(title, head, status.undenied.iter().map(undenied));
    }
    let head = ["provider", "lane", "state", "targets", "oldest_received_at", "next_attempt_at"];
    section("backlog", head, status.backlog.iter().map(backlog));
    let head = [
        "provider",
        "breaker",
        "held_until",
        "calls_5m",
        "failures_5m",
        "p50_ms_5m",
        "p95_ms_5m",
        "last_error",
    ];
    section("providers", head, status.providers.iter().map(provider));
    let head = ["instance", "version", "started_at", "last_seen_at", "in_flight", "clock_offset_ms"];
    section("workers", head, status.workers.iter().map(worker));
    let head = ["messages", "many_since", "seen_at"];
    section("refused messages in revocation.dead", head, status.dead_letters.iter().map(dead_letters));
    say_verifiers(&status.verifiers);
}

/// Those that an owner vouches for, then the first few of the others: names cost an account nothing, and must
/// not push the rest off the screen.
fn say_verifiers(rows: &[VerifierRow]) {
    let (verified, unverified): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.verified);
    let head = [
        "service",
        "instance",
        "broker_user",
        "verified",
        "up_to_date",
        "stale_reason",
        "lag_seconds",
        "entries",
        "last_seen_at",
    ];
    let shown = verified.into_iter().chain(unverified.iter().copied().take(STRANGERS));
    section("verifiers", head, shown.map(verifier));
    match unverified.len().saturating_sub(STRANGERS) {
        0 => {}
        more => say(format_args!("and {more} more that are unverified: --json shows all")),
    }
}

fn incident(row: &Incident) -> [String; 8] {
    [
        row.incident.clone(),
        row.state.clone(),
        row.targets_received.to_string(),
        row.denied.to_string(),
        row.counts.pending.to_string(),
        row.counts.parked.to_string(),
        or_dash(&row.rate_per_s),
        or_dash(&row.eta_seconds),
    ]
}

fn undenied(row: &Undenied) -> [String; 5] {
    [
        row.incident.clone(),
        row.undenied.to_string(),
        or_dash(&row.cancelled_by),
        or_dash(&row.cancel_reason),
        or_dash(&row.finished_at),
    ]
}

fn backlog(row: &BacklogRow) -> [String; 6] {
    [
        row.provider.clone(),
        row.lane.clone(),
        row.state.clone(),
        row.targets.to_string(),
        or_dash(&row.oldest_received_at),
        or_dash(&row.next_attempt_at),
    ]
}

fn provider(row: &ProviderRow) -> [String; 8] {
    [
        row.provider.clone(),
        row.breaker.clone(),
        or_dash(&row.held_until),
        or_dash(&row.calls_5m),
        or_dash(&row.failures_5m),
        or_dash(&row.p50_ms_5m),
        or_dash(&row.p95_ms_5m),
        or_dash(&row.last_error),
    ]
}

fn worker(row: &WorkerRow) -> [String; 6] {
    [
        row.instance.clone(),
        row.version.clone(),
        row.started_at.clone(),
        row.last_seen_at.clone(),
        row.in_flight.to_string(),
        or_dash(&row.clock_offset_ms),
    ]
}

fn dead_letters(row: &DeadLetters) -> [String; 3] {
    [row.messages.to_string(), or_dash(&row.many_since), row.seen_at.clone()]
}

fn verifier(row: &VerifierRow) -> [String; 9] {
    [
        row.service.clone(),
        row.instance.clone(),
        or_dash(&row.broker_user),
        row.verified.to_string(),
        row.up_to_date.to_string(),
        or_dash(&row.stale_reason),
        or_dash(&row.lag_seconds),
        row.entries.to_string(),
        row.last_seen_at.clone(),
    ]
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
    let head = [
        "revocation_id",
        "provider",
        "target_kind",
        "token_type_hint",
        "state",
        "proof",
        "attempts",
        "next_attempt_at",
        "last_error",
    ];
    section("targets", head, story.revocations.iter().map(revocation));
}

fn revocation(row: &RevocationRow) -> [String; 9] {
    [
        row.revocation_id.clone(),
        row.provider.clone(),
        row.target_kind.clone(),
        or_dash(&row.token_type_hint),
        row.state.clone(),
        or_dash(&row.proof),
        row.attempts.to_string(),
        or_dash(&row.next_attempt_at),
        or_dash(&row.last_error),
    ]
}
