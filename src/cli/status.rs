//! `status`: how everything stands, on one screen, what is wrong first; or one event's story.

use std::path::Path;

use serde_json::Value;

use super::CommandError;
use super::incident::call_for_action;
use super::operator::open_store;
use super::output::{cell, count, printable, say, say_json, section};
use crate::clock::TOLERATED;
use crate::config::{DatabaseSettings, Environment};

/// A worker that has been silent for longer has died: it renews its lease several times in 30 s.
const LONGEST_SILENCE_S: f64 = 30.0;

/// A verifier that has reported nothing for longer was most likely replaced by another.
const FORGOTTEN_AFTER_S: f64 = 600.0;

/// Workers take up what is due within a second or so.
const LONGEST_OVERDUE_S: f64 = 30.0;

/// So many unverified verifiers are shown.
const STRANGERS: usize = 10;

/// So many names are told, then only how many more there are.
const NAMES: usize = 5;

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
    let status = match args.event.as_deref() {
        Some([source, id]) => store.event_status(source, id).await,
        _ => store.status().await,
    };
    store.close().await;
    let mut status = status.map_err(CommandError::failed)?;
    match args.event.as_deref() {
        Some([source, id]) if status["propagation"].is_null() => {
            return Err(CommandError::failed(format!(
                "event {id} of {source}: not on record; it may still be in the broker"
            )));
        }
        Some(_) if args.json => say_json(&status),
        Some(_) => say_event(&status),
        None if args.json => {
            status["wrong"] = wrong(&status).into();
            say_json(&status);
        }
        None => say_all(&status),
    }
    Ok(())
}

fn say_all(status: &Value) {
    let wrong = wrong(status);
    wrong.iter().for_each(|sentence| say(printable(sentence)));
    if wrong.is_empty() {
        say("nothing is wrong");
    }
    section(
        "incidents",
        &status["incidents"],
        ["incident", "state", "targets_received", "denied", "pending", "parked", "rate_per_s", "eta_seconds"],
    );
    if status["undenied"].as_array().is_some_and(|rows| !rows.is_empty()) {
        let columns = ["incident", "undenied", "cancelled_by", "cancel_reason", "finished_at"];
        section("cancelled before all was denied: verifiers accept the rest", &status["undenied"], columns);
    }
    section(
        "backlog",
        &status["backlog"],
        ["provider", "lane", "state", "targets", "oldest_received_at", "next_attempt_at"],
    );
    section(
        "providers",
        &status["providers"],
        [
            "provider",
            "breaker",
            "held_until",
            "calls_5m",
            "failures_5m",
            "p50_ms_5m",
            "p95_ms_5m",
            "last_error",
        ],
    );
    section(
        "workers",
        &status["workers"],
        ["instance", "version", "started_at", "last_seen_at", "in_flight", "clock_offset_ms"],
    );
    section(
        "refused messages in revocation.dead",
        &status["dead_letters"],
        ["messages", "many_since", "seen_at"],
    );
    say_verifiers(&status["verifiers"]);
}

/// Those that an owner vouches for, then the first few of the others: names cost an account nothing, and must
/// not push the rest off the screen.
fn say_verifiers(rows: &Value) {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    let (verified, unverified): (Vec<&Value>, Vec<&Value>) = rows.iter().partition(|v| v["verified"] == true);
    let shown: Value =
        verified.into_iter().chain(unverified.iter().copied().take(STRANGERS)).cloned().collect();
    let columns = [
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
    section("verifiers", &shown, columns);
    match unverified.len().saturating_sub(STRANGERS) {
        0 => {}
        more => say(format_args!("and {more} more that are unverified: --json shows all")),
    }
}

/// A sentence for each thing that somebody should look at.
fn wrong(status: &Value) -> Vec<String> {
    let rows = |view: &str| status[view].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut wrong: Vec<_> = rows("incidents")
        .iter()
        .filter_map(|i| Some(format!("incident {}: {}", cell(&i["incident"]), call_for_action(i)?)))
        .collect();
    let (verified, unverified): (Vec<&Value>, Vec<&Value>) =
        rows("verifiers").iter().partition(|v| v["verified"] == true);
    let live: Vec<_> = verified.iter().filter(|v| v["live"] == true).collect();
    let stale: Vec<_> = live.iter().filter(|v| v["up_to_date"] != true).map(|v| verifier(v)).collect();
    if !stale.is_empty() {
        wrong.push(format!(
            "{} of {} not up to date: {}",
            stale.len(),
            count(live.len() as u64, "live verifier"),
            list(&stale)
        ));
    }
    let has_gone = |v: &&Value| {
        v["live"] != true && v["silent_s"].as_f64().is_some_and(|silent| silent < FORGOTTEN_AFTER_S)
    };
    let gone: Vec<_> = verified.iter().copied().filter(has_gone).map(name).collect();
    if !gone.is_empty() {
        wrong.push(format!(
            "no report for 15 s from {}: {}",
            count(gone.len() as u64, "verifier"),
            list(&gone)
        ));
    }
    let strangers: Vec<_> = unverified.iter().filter(|v| v["live"] == true).map(|v| claimed(v)).collect();
    if !strangers.is_empty() {
        wrong.push(format!(
            "reports for {} are unverified and vouch for nothing: {}",
            count(strangers.len() as u64, "verifier"),
            list(&strangers)
        ));
    }
    for provider in rows("providers").iter().filter(|p| p["breaker"] != "closed") {
        wrong.push(format!(
            "provider {}: breaker {}, {}",
            cell(&provider["provider"]),
            cell(&provider["breaker"]),
            cell(&provider["last_error"])
        ));
    }
    let overdue = |b: &Value| {
        b["overdue_s"].as_f64().filter(|overdue| b["state"] == "pending" && *overdue > LONGEST_OVERDUE_S)
    };
    for (late, overdue_s) in rows("backlog").iter().filter_map(|b| Some((b, overdue(b)?))) {
        let (provider, lane) = (cell(&late["provider"]), cell(&late["lane"]));
        wrong.push(format!(
            "provider {provider}: in lane {lane} a target is due since {overdue_s} s and nobody takes it"
        ));
    }
    for parked in rows("backlog").iter().filter(|b| b["state"] == "parked") {
        wrong.push(format!(
            "provider {}: {} parked",
            cell(&parked["provider"]),
            count(parked["targets"].as_u64().unwrap_or(0), "target")
        ));
    }
    wrong.extend(rows("dead_letters").iter().filter(|dead| !dead["many_since"].is_null()).map(|dead| {
        let (messages, since) =
            (count(dead["messages"].as_u64().unwrap_or(0), "refused message"), cell(&dead["many_since"]));
        format!(
            "revocation.dead holds {messages}, too many since {since}: `revocation-worker dead list` \
            shows what is wrong with them"
        )
    }));
    let is_silent = |w: &&Value| w["silent_s"].as_f64().is_some_and(|silent| silent > LONGEST_SILENCE_S);
    for worker in rows("workers").iter().filter(is_silent) {
        wrong.push(format!(
            "worker {}: silent for {} s; others take its work over",
            cell(&worker["instance"]),
            cell(&worker["silent_s"])
        ));
    }
    wrong.extend(rows("workers").iter().filter(|w| !is_silent(w)).filter_map(wrong_clock));
    if !rows("workers").iter().any(|w| !is_silent(&w)) {
        wrong.push("no worker is running".to_owned());
    }
    wrong
}

fn wrong_clock(worker: &Value) -> Option<String> {
    let ahead = worker["clock_offset_ms"]
        .as_i64()
        .map(time::Duration::milliseconds)
        .filter(|ahead| ahead.abs() > TOLERATED)?;
    let (seconds, way) =
        (ahead.abs().as_seconds_f64(), if ahead.is_negative() { "behind" } else { "ahead of" });
    Some(format!(
        "worker {}: its machine's clock is {seconds:.1} s {way} the database's",
        cell(&worker["instance"])
    ))
}

/// The first few, and how many more there are.
fn list(names: &[String]) -> String {
    let first = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn name(verifier: &Value) -> String {
    format!("{}/{}", cell(&verifier["service"]), cell(&verifier["instance"]))
}

fn verifier(verifier: &Value) -> String {
    match verifier["stale_reason"].as_str() {
        Some(reason) => format!("{} ({reason})", name(verifier)),
        None => name(verifier),
    }
}

fn claimed(verifier: &Value) -> String {
    match verifier["broker_user"].as_str() {
        Some(user) => format!("{} (by {user}, who does not own the service)", name(verifier)),
        None => format!("{} (without user_id)", name(verifier)),
    }
}

fn say_event(status: &Value) {
    let propagation = &status["propagation"];
    let (applied, live) = (&propagation["applied_by"], propagation["live_verifiers"].as_u64().unwrap_or(0));
    say(format_args!("denied {}", propagation["denied_at"].as_str().unwrap_or("not yet")));
    let waiting: Vec<_> = propagation["waiting_for"].as_array().into_iter().flatten().map(cell).collect();
    let rest = if waiting.is_empty() { String::new() } else { format!("; waiting for {}", list(&waiting)) };
    say(printable(&format!("applied by {applied} of {}{rest}", count(live, "live verifier"))));
    let columns = [
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
    let rows = status["revocations"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.iter().any(|row| row["identity_reused"] == true) {
        say(
            "several events with this identity are on record, and mean different things: see identity_reused \
                in audit.revocations",
        );
    }
    section("targets", &status["revocations"], columns);
}
