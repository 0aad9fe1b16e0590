//! `incident approve`: lets one run that waits for a second person.

use super::Change;
use super::show::{say_opened, whole};
use super::steering::steer;
use super::words::states;
use crate::attention::asked;
use crate::cli::CommandError;
use crate::cli::output::{count, printable, say};
use crate::store::{Approved, IncidentDetail, StateCounts, Steering, Store};

/// Options of `incident approve`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    change: Change,
    /// Approve so many targets at most, as `incident show` printed it [default: as many as it has now]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    targets: Option<i64>,
}

pub(super) async fn run(store: &Store, args: &Args) -> Result<(), CommandError> {
    let incident = whole(store, &args.change.incident.name).await?;
    // What does not wait is refused below, by its state.
    if incident.row.state == "awaiting_approval" && !args.change.json {
        say_what_is_approved(&incident);
    }
    let targets = args.targets.or(incident.row.targets).unwrap_or(0);
    let approved = Approved { asks: incident.asks.clone(), asking: incident.asking, targets };
    steer(store, &args.change, &Steering::Approve(approved), Some(&incident)).await
}

fn say_what_is_approved(incident: &IncidentDetail) {
    let row = &incident.row;
    let targets = count(u64::try_from(row.targets.unwrap_or(0)).unwrap_or(0), "target");
    let received = row.targets_received;
    say(printable(&format!("approving incident {}: {targets}, {received} received", row.incident)));
    say_opened(incident);
    let each = |name: &str, counts: &StateCounts| format!("{name} ({})", states(counts));
    let kinds: Vec<_> = incident.kinds.iter().flatten().map(|row| each(&row.kind, &row.counts)).collect();
    say(printable(&format!("kinds: {}", kinds.join("; "))));
    if !incident.asks.is_empty() {
        let (asking, kinds) = (count(incident.asking, "target"), incident.asks.join(" or "));
        say(printable(&format!("asking for approval: {asking} of kind {kinds}, announced ones included")));
    }
    asked(incident).iter().for_each(|named| say(printable(named)));
    let providers: Vec<_> = incident.providers.iter().map(|row| each(&row.provider, &row.counts)).collect();
    say(printable(&format!("providers: {}", providers.join("; "))));
}
