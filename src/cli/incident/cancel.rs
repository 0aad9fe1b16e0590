//! `incident cancel`: recorded first, then carried out in small batches. Workers carry out what this command
//! does not.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::json;
use tokio::time::interval;

use super::steering::{EFFECTIVE_WITHIN_S, judge};
use super::{Change, unknown};
use crate::attention::mint;
use crate::cli::CommandError;
use crate::cli::operator::reason;
use crate::cli::output::{count, printable, remark, say, say_json};
use crate::store::{IncidentDetail, Steering, Store, StoreError};

/// Targets in one transaction.
const SWEPT_AT_ONCE: i64 = 2000;
/// How often to ask whether workers have settled what they held.
const POLL: Duration = Duration::from_millis(100);
/// How long to wait for that: a provider call ends within its timeout, by default 10 s.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Options of `incident cancel`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    change: Change,
    /// Why, for the record
    #[arg(long, value_parser = reason)]
    reason: String,
}

pub(super) async fn run(store: &Store, args: &Args) -> Result<(), CommandError> {
    let name = &args.change.incident.name;
    let order = Steering::Cancel(args.reason.clone());
    let steered = store.steer(&args.change.operator.name(), name, &order).await?;
    let is_changed = judge(name, &order, steered, None)?;
    if !args.change.json {
        remark(printable(&format!(
            "incident {name}: {}cancelled; giving up what is open",
            if is_changed { "" } else { "already " }
        )));
    }
    let carried_out = carry_out(store, name).await;
    let minting = match args.change.json {
        true => None,
        false => store
            .exposure(name)
            .await
            .ok()
            .and_then(|exposure| mint::sentence(exposure.residual_risk.may_mint)),
    };
    store.close().await;
    let incident = carried_out.map_err(|error| interrupted(name, &error))?.ok_or_else(|| unknown(name))?;
    if args.change.json {
        say_summary_json(&incident, is_changed)
    } else {
        say_summary(name, &incident);
        minting.iter().for_each(say);
    }
    Ok(())
}

/// Gives up what is open, and waits for what workers hold. Returns how the incident stands then.
async fn carry_out(store: &Store, name: &str) -> Result<Option<IncidentDetail>, StoreError> {
    // It draws nothing where standard error is not a terminal.
    let (mut ticker, mut last_progress, spinner) =
        (interval(POLL), Instant::now(), ProgressBar::new_spinner());
    loop {
        while sweep(store, &spinner).await? > 0 {
            last_progress = Instant::now();
        }
        store.finish_incidents().await?;
        let Some(incident) = store.incident(name).await? else { return Ok(None) };
        if incident.row.finished_at.is_some() || last_progress.elapsed() > LONGEST_WAIT {
            spinner.finish_and_clear();
            return Ok(Some(incident));
        }
        ticker.tick().await;
    }
}

async fn sweep(store: &Store, spinner: &ProgressBar) -> Result<u64, StoreError> {
    let swept = store.sweep_cancelled(SWEPT_AT_ONCE).await?;
    spinner.inc(swept);
    spinner.set_message(format!("{} given up", spinner.position()));
    Ok(swept)
}

fn interrupted(name: &str, error: &StoreError) -> CommandError {
    let rest = "it is cancelled, and workers give up the rest; the same command shows how far they are";
    CommandError::failed(printable(&format!("incident {name}: {error}; {rest}")))
}

fn say_summary_json(incident: &IncidentDetail, is_changed: bool) {
    let row = &incident.row;
    say_json(&json!({
        "incident": row.incident, "result": "cancelled", "changed": is_changed,
        "effective_within_s": EFFECTIVE_WITHIN_S,
        "denied": row.denied, "revoked": row.counts.revoked, "cancelled": row.counts.cancelled,
        "in_flight": incident.in_flight, "finished_at": row.finished_at,
    }));
}

fn say_summary(name: &str, incident: &IncidentDetail) {
    let row = &incident.row;
    say(printable(&format!(
        "incident {name}: cancelled; effective within {EFFECTIVE_WITHIN_S} s, on all workers"
    )));
    say(format_args!("already denied tokens stay denied until they expire: {}", row.denied));
    say(format_args!("revoked at the provider: {}", row.counts.revoked));
    say(format_args!("given up: {}", row.counts.cancelled));
    if row.finished_at.is_none() {
        let held = count(incident.in_flight, "target");
        say(format_args!("still held by workers: {held}; they end as soon as these are settled"));
    }
}
