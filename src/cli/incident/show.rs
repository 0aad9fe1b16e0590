//! `incident show`: everything about one, what it waits for first.

use serde_json::json;

use super::words::{openers, pace, residual_risk, states, utc};
use super::{Name, find};
use crate::attention::{asked, call_for_action, operation};
use crate::cli::CommandError;
use crate::cli::colour::Colour;
use crate::cli::output::{count, or_dash, printable, say};
use crate::cli::page::{Page, View};
use crate::cli::table::{Cell, Column, column, number, text, time};
use crate::cli::watch::{Found, Watch};
use crate::store::{IncidentDetail, Operation, ResidualRisk, StateCounts, Store};
use crate::visible::apart;

/// So many operations are shown; `--json` has them all.
const OPERATIONS: usize = 12;
/// Options of `incident show`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    incident: Name,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    watch: Watch,
}

/// Everything that is known of an incident, also what only reading every target tells.
pub(super) async fn whole(store: &Store, name: &str) -> Result<IncidentDetail, CommandError> {
    let mut incident = find(store, name).await?;
    let exposure = store.exposure(name).await?;
    store.name_asked(&mut incident).await?;
    (incident.kinds, incident.residual_risk) = (Some(exposure.kinds), Some(exposure.residual_risk));
    Ok(incident)
}

pub(super) async fn run(store: &Store, args: &Args) -> Result<(), CommandError> {
    let look = async || {
        let incident = whole(store, &args.incident.name).await?;
        if args.json {
            return Ok(Found::Json(json!(incident)));
        }
        let mut page = Page::new(args.view.look(store).await?);
        show_state(&mut page, &incident);
        show_counts(&mut page, &incident);
        incident.residual_risk.iter().for_each(|risk| show_risk(&mut page, risk));
        show_operations(&mut page, incident.operations.as_deref().unwrap_or_default());
        Ok(Found::Page(page))
    };
    let done = args.watch.show(look).await;
    store.close().await;
    done
}

/// Its state, what it waits for, and who did what to it.
fn show_state(page: &mut Page, incident: &IncidentDetail) {
    let row = &incident.row;
    let state = row.state.to_uppercase().replace('_', " ");
    let unsupported = match row.counts.unsupported {
        0 => String::new(),
        some => format!(", {} that the provider cannot revoke", count(some, "target")),
    };
    let head = format!("incident {}: {state}{unsupported}", row.incident);
    page.coloured(Colour::of(&row.state), printable(&head));
    if let Some(call) = call_for_action(row) {
        page.coloured(Colour::Calls, format_args!(">>> {}", printable(&call.to_string())));
        if row.state == "awaiting_approval" {
            let (who, why) = (incident.contributors.join(", "), row.approval_for.join(", "));
            let other = format!(">>> by another person than {who}, whom [people] names; because of: {why}");
            page.coloured(Colour::Calls, printable(&other));
            let named = asked(incident).map(|named| format!(">>> {named}"));
            named.iter().for_each(|named| page.coloured(Colour::Calls, printable(named)));
        }
    }
    page.line(opened(incident));
    if let Some(by) = &row.approved_by {
        let (role, at) = (or_dash(&incident.approved_role), utc(row.approved_at.as_deref()));
        let targets = count(incident.approved_targets.unwrap_or(0), "target");
        page.line(printable(&format!("approved by {by} (database role {role}) at {at}, for {targets}")));
    }
    if let Some(by) = &row.cancelled_by {
        page.line(printable(&format!("cancelled by {by}: {}", or_dash(&row.cancel_reason))));
    }
    if row.finished_at.is_some() {
        page.line(format_args!("finished at {}", utc(row.finished_at.as_deref())));
    }
}

/// Who opened it, when and why.
fn opened(incident: &IncidentDetail) -> String {
    let (at, reason) = (utc(incident.row.opened_at.as_deref()), or_dash(&incident.row.reason));
    printable(&format!("opened by {} at {at}, reason {reason}", openers(incident)))
}

/// The same for a command that prints it at once.
pub(super) fn say_opened(incident: &IncidentDetail) {
    say(opened(incident));
}

fn show_counts(page: &mut Page, incident: &IncidentDetail) {
    let expected = match incident.row.targets_expected {
        Some(expected) if incident.row.targets_received > expected => {
            format!(", {} were announced", apart(expected))
        }
        Some(expected) => format!(" of {} expected", apart(expected)),
        None => String::new(),
    };
    let [received, denied, held] =
        [incident.row.targets_received, incident.row.denied, incident.in_flight].map(apart);
    page.line(format_args!(
        "received {received}{expected}, denied {denied} of {received}, held by workers {held}"
    ));
    page.line(format_args!("{}; {}", states(&incident.row.counts), pace(&incident.row)));
    let providers = incident.providers.iter().map(|row| (&row.provider, &row.counts));
    show_counts_by(page, "providers", "provider", &providers.collect::<Vec<_>>());
    let kinds = incident.kinds.iter().flatten().map(|row| (&row.kind, &row.counts));
    show_counts_by(page, "kinds", "kind", &kinds.collect::<Vec<_>>());
}

fn show_counts_by(page: &mut Page, title: &str, name: &'static str, rows: &[(&String, &StateCounts)]) {
    let columns: [Column<(&String, &StateCounts)>; 7] = [
        column(name, |(name, _)| text(*name)),
        column("pending", |(_, counts)| number(counts.pending)),
        column("revoked", |(_, counts)| number(counts.revoked)),
        column("unsupported", |(_, counts)| number(counts.unsupported)),
        column("expired", |(_, counts)| number(counts.expired)),
        column("parked", |(_, counts)| number(counts.parked)),
        column("cancelled", |(_, counts)| number(counts.cancelled)),
    ];
    page.section(title, &columns, rows);
}

fn show_risk(page: &mut Page, risk: &ResidualRisk) {
    page.line("\nresidual risk");
    let open = residual_risk(risk);
    open.iter().for_each(|sentence| page.coloured(Colour::Waits, printable(sentence)));
    if open.is_empty() {
        let none = "none: all of it is revoked or expired, and every verifier refuses it";
        page.coloured(Colour::Fine, none);
    }
}

fn show_operations(page: &mut Page, all: &[Operation]) {
    let shown = &all[all.len().saturating_sub(OPERATIONS)..];
    let title = match all.len() - shown.len() {
        0 => "operations".to_owned(),
        earlier => format!("operations, after {earlier} earlier ones"),
    };
    page.section(&title, &COLUMNS, shown);
}

const COLUMNS: [Column<Operation>; 3] = [
    column("at", |row| time(&row.at)),
    column("actor", |row| text(&row.actor)),
    column("what was done", |row| Cell::Text(operation(row))),
];
