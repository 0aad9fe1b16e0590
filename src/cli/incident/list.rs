//! `incident list`: active ones first.

use super::words::utc;
use crate::cli::CommandError;
use crate::cli::output::{Column, count, or_dash, remark, say, say_row, say_table};
use crate::store::{Incident, Store};

/// Options of `incident list`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Those too that finished more than 7 days ago
    #[arg(long)]
    all: bool,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

const COLUMNS: [Column<Incident>; 14] = [
    ("incident", |row| row.incident.clone()),
    ("state", |row| row.state.clone()),
    ("opened_by", |row| or_dash(&row.opened_by)),
    ("opened_at", |row| utc(row.opened_at.as_deref())),
    ("targets_expected", |row| or_dash(&row.targets_expected)),
    ("targets_received", |row| row.targets_received.to_string()),
    ("denied", |row| row.denied.to_string()),
    ("pending", |row| row.counts.pending.to_string()),
    ("revoked", |row| row.counts.revoked.to_string()),
    ("unsupported", |row| row.counts.unsupported.to_string()),
    ("expired", |row| row.counts.expired.to_string()),
    ("parked", |row| row.counts.parked.to_string()),
    ("cancelled", |row| row.counts.cancelled.to_string()),
    ("finished_at", |row| utc(row.finished_at.as_deref())),
];

pub(super) async fn run(store: &Store, args: &Args) -> Result<(), CommandError> {
    let listed = store.incidents(args.all).await.map_err(CommandError::failed)?;
    store.close().await;
    if args.json {
        say_row(&listed);
        return Ok(());
    }
    if listed.incidents.is_empty() {
        say("no incident is active, and none finished within 7 days");
    } else {
        say_table(&COLUMNS, &listed.incidents);
    }
    if listed.hidden > 0 {
        let hidden = count(listed.hidden, "incident");
        remark(format_args!("{hidden} that finished more than 7 days ago not shown: --all"));
    }
    Ok(())
}
