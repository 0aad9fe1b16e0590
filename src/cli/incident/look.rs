//! `incident list` and `incident show`.

use serde_json::Value;

use super::words::{call_for_action, pace, residual_risk, states, utc};
use super::{Name, unknown};
use crate::cli::CommandError;
use crate::cli::output::{cell, count, printable, remark, say, say_json, say_table, section};
use crate::store::Store;

/// So many operations are shown; `--json` has them all.
const OPERATIONS: usize = 12;
/// The incident's numbers at the time of an operation: only `--json` has them.
const NUMBERS: [&str; 6] = ["targets_expected", "targets_received", "denied", "pending", "parked", "revoked"];

/// Options of `incident list`.
#[derive(clap::Args)]
pub(in crate::cli) struct List {
    /// Those too that finished more than 7 days ago
    #[arg(long)]
    all: bool,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

/// Options of `incident show`.
#[derive(clap::Args)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    incident: Name,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

const HEAD: [&str; 14] = [
    "incident",
    "state",
    "opened_by",
    "opened_at",
    "targets_expected",
    "targets_received",
    "denied",
    "pending",
    "revoked",
    "unsupported",
    "expired",
    "parked",
    "cancelled",
    "finished_at",
];

pub(super) async fn list(store: &Store, args: &List) -> Result<(), CommandError> {
    let listed = store.incidents(args.all).await.map_err(CommandError::failed)?;
    store.close().await;
    if args.json {
        say_json(&listed);
        return Ok(());
    }
    let rows = listed["incidents"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        say("no incident is active, and none finished within 7 days");
    } else {
        let show = |row: &Value| {
            HEAD.map(|column| if column.ends_with("_at") { utc(&row[column]) } else { cell(&row[column]) })
        };
        say_table(HEAD, rows.iter().map(show));
    }
    match listed["hidden"].as_u64().unwrap_or(0) {
        0 => {}
        hidden => remark(format_args!(
            "{} that finished more than 7 days ago not shown: --all",
            count(hidden, "incident")
        )),
    }
    Ok(())
}

/// Everything that is known of an incident, as one JSON object.
pub(super) async fn whole(store: &Store, name: &str) -> Result<Value, CommandError> {
    let mut incident =
        store.incident(name).await.map_err(CommandError::failed)?.ok_or_else(|| unknown(name))?;
    let risk = store.incident_risk(name).await.map_err(CommandError::failed)?;
    for member in ["kinds", "residual_risk"] {
        incident[member] = risk[member].clone();
    }
    Ok(incident)
}

pub(super) async fn show(store: &Store, args: &Show) -> Result<(), CommandError> {
    let incident = whole(store, &args.incident.name).await?;
    store.close().await;
    if args.json {
        say_json(&incident);
    } else {
        say_state(&incident);
        say_counts(&incident);
        say_risk(&incident["residual_risk"]);
        say_operations(&incident["operations"]);
    }
    Ok(())
}

/// Its state, what it waits for, and who did what to it.
fn say_state(incident: &Value) {
    let state = cell(&incident["state"]).to_uppercase().replace('_', " ");
    say(printable(&format!("incident {}: {state}", cell(&incident["incident"]))));
    if let Some(call) = call_for_action(incident) {
        let approval = incident["state"] == "awaiting_approval";
        say(format_args!(">>> {}", printable(&call)));
        if approval {
            let why = incident["approval_for"]
                .as_array()
                .into_iter()
                .flatten()
                .map(cell)
                .collect::<Vec<_>>()
                .join(", ");
            say(printable(&format!(">>> anybody but {} can; because of: {why}", contributors(incident))));
        }
    }
    say(printable(&format!(
        "opened by {} at {}, reason {}",
        openers(incident),
        utc(&incident["opened_at"]),
        cell(&incident["reason"])
    )));
    if !incident["approved_by"].is_null() {
        let (by, role, at) =
            (cell(&incident["approved_by"]), cell(&incident["approved_role"]), utc(&incident["approved_at"]));
        let targets = count(incident["approved_targets"].as_u64().unwrap_or(0), "target");
        say(printable(&format!("approved by {by} (database role {role}) at {at}, for {targets}")));
    }
    if !incident["cancelled_by"].is_null() {
        say(printable(&format!(
            "cancelled by {}: {}",
            cell(&incident["cancelled_by"]),
            cell(&incident["cancel_reason"])
        )));
    }
    if !incident["finished_at"].is_null() {
        say(format_args!("finished at {}", utc(&incident["finished_at"])));
    }
}

/// Who opened it, and over which broker user where that is another name.
pub(super) fn openers(incident: &Value) -> String {
    let by = cell(&incident["opened_by"]);
    match incident["opened_via"].as_str() {
        Some(via) if via != by => format!("{by} via {via}"),
        _ => by,
    }
}

/// Who added to it, and the broker users over which they did: none of them approves it. Compared without case
/// and blanks.
pub(super) fn contributors(incident: &Value) -> String {
    incident["contributors"].as_array().into_iter().flatten().map(cell).collect::<Vec<_>>().join(", ")
}

fn say_counts(incident: &Value) {
    let (received, denied) = (&incident["targets_received"], &incident["denied"]);
    let expected = match incident["targets_expected"].as_u64() {
        Some(expected) if received.as_u64().is_some_and(|received| received > expected) => {
            format!(", {expected} were announced")
        }
        Some(expected) => format!(" of {expected} expected"),
        None => String::new(),
    };
    say(format_args!(
        "received {received}{expected}, denied {denied} of {received}, held by workers {}",
        incident["in_flight"]
    ));
    say(format_args!("{}; {}", states(incident), pace(incident)));
    let columns = |name| [name, "pending", "revoked", "unsupported", "expired", "parked", "cancelled"];
    section("providers", &incident["providers"], columns("provider"));
    section("kinds", &incident["kinds"], columns("kind"));
}

fn say_risk(risk: &Value) {
    say("\nresidual risk");
    let open = residual_risk(risk);
    open.iter().for_each(|sentence| say(printable(sentence)));
    if open.is_empty() {
        say("none: all of it is revoked or expired, and every live verifier refuses it");
    }
}

fn say_operations(operations: &Value) {
    let all = operations.as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = &all[all.len().saturating_sub(OPERATIONS)..];
    let earlier = all.len() - shown.len();
    say(if earlier == 0 {
        "\noperations".to_owned()
    } else {
        format!("\noperations, after {earlier} earlier ones")
    });
    let row = |operation: &Value| {
        let detail = operation["detail"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| !NUMBERS.contains(&name.as_str()));
        let detail =
            detail.map(|(name, value)| format!("{name} {}", cell(value))).collect::<Vec<_>>().join(", ");
        [utc(&operation["at"]), cell(&operation["actor"]), cell(&operation["action"]), detail]
    };
    say_table(["at", "actor", "action", "detail"], shown.iter().map(row));
}
