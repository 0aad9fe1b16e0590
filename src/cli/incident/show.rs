//! `incident show`: everything about one, what it waits for first.

use super::words::{call_for_action, openers, pace, residual_risk, states, utc};
use super::{Name, find};
use crate::cli::CommandError;
use crate::cli::output::{Column, cell, count, or_dash, printable, say, say_row, say_table, section};
use crate::store::{IncidentDetail, Operation, ResidualRisk, StateCounts, Store};

/// So many operations are shown; `--json` has them all.
const OPERATIONS: usize = 12;
/// The incident's numbers at the time of an operation: only `--json` has them.
const NUMBERS: [&str; 6] = ["targets_expected", "targets_received", "denied", "pending", "parked", "revoked"];

/// Options of `incident show`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    incident: Name,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// Everything that is known of an incident, also what only reading every target tells.
pub(super) async fn whole(store: &Store, name: &str) -> Result<IncidentDetail, CommandError> {
    let mut incident = find(store, name).await?;
    let exposure = store.exposure(name).await.map_err(CommandError::failed)?;
    (incident.kinds, incident.residual_risk) = (Some(exposure.kinds), Some(exposure.residual_risk));
    Ok(incident)
}

pub(super) async fn run(store: &Store, args: &Args) -> Result<(), CommandError> {
    let incident = whole(store, &args.incident.name).await?;
    store.close().await;
    if args.json {
        say_row(&incident);
        return Ok(());
    }
    say_state(&incident);
    say_counts(&incident);
    incident.residual_risk.iter().for_each(say_risk);
    say_operations(incident.operations.as_deref().unwrap_or_default());
    Ok(())
}

/// Its state, what it waits for, and who did what to it.
fn say_state(incident: &IncidentDetail) {
    let row = &incident.row;
    say(printable(&format!("incident {}: {}", row.incident, row.state.to_uppercase().replace('_', " "))));
    if let Some(call) = call_for_action(row) {
        say(format_args!(">>> {}", printable(&call)));
        if row.state == "awaiting_approval" {
            let (who, why) = (incident.contributors.join(", "), row.approval_for.join(", "));
            say(printable(&format!(">>> anybody but {who} can; because of: {why}")));
        }
    }
    say_opened(incident);
    if let Some(by) = &row.approved_by {
        let (role, at) = (or_dash(&incident.approved_role), utc(row.approved_at.as_deref()));
        let targets = count(incident.approved_targets.unwrap_or(0), "target");
        say(printable(&format!("approved by {by} (database role {role}) at {at}, for {targets}")));
    }
    if let Some(by) = &row.cancelled_by {
        say(printable(&format!("cancelled by {by}: {}", or_dash(&row.cancel_reason))));
    }
    if row.finished_at.is_some() {
        say(format_args!("finished at {}", utc(row.finished_at.as_deref())));
    }
}

/// Who opened it, when and why.
pub(super) fn say_opened(incident: &IncidentDetail) {
    let (at, reason) = (utc(incident.row.opened_at.as_deref()), or_dash(&incident.row.reason));
    say(printable(&format!("opened by {} at {at}, reason {reason}", openers(incident))));
}

fn say_counts(incident: &IncidentDetail) {
    let (received, denied) = (incident.row.targets_received, incident.row.denied);
    let expected = match incident.row.targets_expected {
        Some(expected) if received > expected => format!(", {expected} were announced"),
        Some(expected) => format!(" of {expected} expected"),
        None => String::new(),
    };
    let held = incident.in_flight;
    say(format_args!("received {received}{expected}, denied {denied} of {received}, held by workers {held}"));
    say(format_args!("{}; {}", states(&incident.row.counts), pace(&incident.row)));
    let providers = incident.providers.iter().map(|row| (row.provider.as_str(), &row.counts));
    say_counts_by("providers", "provider", &providers.collect::<Vec<_>>());
    let kinds = incident.kinds.iter().flatten().map(|row| (row.kind.as_str(), &row.counts));
    say_counts_by("kinds", "kind", &kinds.collect::<Vec<_>>());
}

fn say_counts_by(title: &str, name: &'static str, rows: &[(&str, &StateCounts)]) {
    let columns: [Column<(&str, &StateCounts)>; 7] = [
        (name, |(name, _)| (*name).to_owned()),
        ("pending", |(_, counts)| counts.pending.to_string()),
        ("revoked", |(_, counts)| counts.revoked.to_string()),
        ("unsupported", |(_, counts)| counts.unsupported.to_string()),
        ("expired", |(_, counts)| counts.expired.to_string()),
        ("parked", |(_, counts)| counts.parked.to_string()),
        ("cancelled", |(_, counts)| counts.cancelled.to_string()),
    ];
    section(title, &columns, rows);
}

fn say_risk(risk: &ResidualRisk) {
    say("\nresidual risk");
    let open = residual_risk(risk);
    open.iter().for_each(|sentence| say(printable(sentence)));
    if open.is_empty() {
        say("none: all of it is revoked or expired, and every live verifier refuses it");
    }
}

fn say_operations(all: &[Operation]) {
    let shown = &all[all.len().saturating_sub(OPERATIONS)..];
    let title = match all.len() - shown.len() {
        0 => "operations".to_owned(),
        earlier => format!("operations, after {earlier} earlier ones"),
    };
    say(format_args!("\n{title}"));
    say_table(&COLUMNS, shown);
}

const COLUMNS: [Column<Operation>; 4] = [
    ("at", |row| utc(Some(&row.at))),
    ("actor", |row| row.actor.clone()),
    ("action", |row| row.action.clone()),
    ("detail", |row| {
        let detail = row.detail.iter().filter(|(name, _)| !NUMBERS.contains(&name.as_str()));
        detail.map(|(name, value)| format!("{name} {}", cell(value))).collect::<Vec<_>>().join(", ")
    }),
];
