//! `incident list`: active ones first.

use super::words::utc;
use crate::cli::CommandError;
use crate::cli::output::{count, or_dash, remark, say, say_row, say_table};
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
        say_table(HEAD, listed.incidents.iter().map(row));
    }
    if listed.hidden > 0 {
        let hidden = count(listed.hidden, "incident");
        remark(format_args!("{hidden} that finished more than 7 days ago not shown: --all"));
    }
    Ok(())
}

fn row(i: &Incident) -> [String; 14] {
    let c = &i.counts;
    let [received, denied, pending, revoked, unsupported, expired, parked, cancelled] =
        [i.targets_received, i.denied, c.pending, c.revoked, c.unsupported, c.expired, c.parked, c.cancelled]
            .map(|number| number.to_string());
    [
        i.incident.clone(),
        i.state.clone(),
        or_dash(&i.opened_by),
        utc(i.opened_at.as_deref()),
        or_dash(&i.targets_expected),
        received,
        denied,
        pending,
        revoked,
        unsupported,
        expired,
        parked,
        cancelled,
        utc(i.finished_at.as_deref()),
    ]
}
