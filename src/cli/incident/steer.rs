//! `incident approve`, `pause`, `resume`, `throttle`, `retry`: orders that are done as soon as they are on
//! record.

use std::path::Path;

use serde_json::{Value, json};

use super::look::{contributors, openers, whole};
use super::words::{states, utc};
use super::{Order as Args, unknown};
use crate::cli::CommandError;
use crate::cli::operator::open_store;
use crate::cli::output::{cell, command, count, printable, say, say_json};
use crate::config::{Environment, RetrySettings};
use crate::store::{Order, RetryScope, Seen, Steered, Store};

/// Workers look at an incident's row more often than this.
const EFFECTIVE_WITHIN_S: u64 = 2;

/// How the database learns of `[people]`.
const TELL: &str = "then run `revocation-worker migrate` as the owner of the schema";

/// Options of `incident approve`.
#[derive(clap::Args)]
pub(in crate::cli) struct Approve {
    #[command(flatten)]
    order: Args,
    /// Approve so many targets at most, as `incident show` printed it [default: as many as it has now]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    targets: Option<i64>,
}

/// Options of `incident throttle`.
#[derive(clap::Args)]
pub(in crate::cli) struct Throttle {
    #[command(flatten)]
    order: Args,
    #[command(flatten)]
    limit: Limit,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Limit {
    /// Targets a second, over all workers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    rate: Option<i32>,
    /// No limit
    #[arg(long)]
    off: bool,
}

pub(super) async fn approve(store: &Store, args: &Approve) -> Result<(), CommandError> {
    let incident = whole(store, &args.order.incident.name).await?;
    // What does not wait is refused below, by its state.
    if incident["state"] == "awaiting_approval" && !args.order.json {
        say_what_is_approved(&incident);
    }
    let asks = incident["asks"].as_array().into_iter().flatten().map(cell).collect();
    let targets = args.targets.unwrap_or_else(|| incident["targets"].as_i64().unwrap_or(0));
    let seen = Seen { asks, asking: incident["asking"].as_i64().unwrap_or(0), targets };
    carry_out(store, &args.order, &Order::Approve(seen), Some(&incident)).await
}

fn say_what_is_approved(incident: &Value) {
    let list = |rows: &Value, name: &str| {
        let row = |row: &Value| format!("{} ({})", cell(&row[name]), states(row));
        rows.as_array().into_iter().flatten().map(row).collect::<Vec<_>>().join("; ")
    };
    let (targets, received) =
        (count(incident["targets"].as_u64().unwrap_or(0), "target"), &incident["targets_received"]);
    say(printable(&format!(
        "approving incident {}: {targets}, {received} received",
        cell(&incident["incident"])
    )));
    say(printable(&format!(
        "opened by {} at {}, reason {}",
        openers(incident),
        utc(&incident["opened_at"]),
        cell(&incident["reason"])
    )));
    say(printable(&format!("kinds: {}", list(&incident["kinds"], "kind"))));
    let asks: Vec<_> = incident["asks"].as_array().into_iter().flatten().map(cell).collect();
    if !asks.is_empty() {
        let asking = count(incident["asking"].as_u64().unwrap_or(0), "target");
        say(printable(&format!(
            "asking for approval: {asking} of kind {}, announced ones included",
            asks.join(" or ")
        )));
    }
    say(printable(&format!("providers: {}", list(&incident["providers"], "provider"))));
}

pub(super) async fn pause(store: &Store, args: &Args) -> Result<(), CommandError> {
    carry_out(store, args, &Order::Pause, None).await
}

pub(super) async fn resume(store: &Store, args: &Args) -> Result<(), CommandError> {
    carry_out(store, args, &Order::Resume, None).await
}

pub(super) async fn throttle(store: &Store, args: &Throttle) -> Result<(), CommandError> {
    carry_out(store, &args.order, &Order::Throttle(args.limit.rate), None).await
}

async fn carry_out(
    store: &Store,
    args: &Args,
    order: &Order,
    incident: Option<&Value>,
) -> Result<(), CommandError> {
    let name = &args.incident.name;
    let steered = store.steer(&args.operator.name(), name, order).await;
    store.close().await;
    let is_changed = judge(name, order, steered.map_err(CommandError::failed)?, incident)?;
    let (state, result) = match order {
        Order::Pause => ("paused", "paused".to_owned()),
        Order::Throttle(Some(rate)) => {
            ("throttled", format!("throttled to {rate} targets a second over all workers"))
        }
        Order::Throttle(None) => ("unthrottled", "not throttled".to_owned()),
        _ => ("running", "running".to_owned()),
    };
    if args.json {
        say_json(
            &json!({ "incident": name, "result": state, "changed": is_changed, "effective_within_s": EFFECTIVE_WITHIN_S }),
        );
    } else if is_changed {
        say(printable(&format!(
            "incident {name}: {result}; effective within {EFFECTIVE_WITHIN_S} s, on all workers"
        )));
    } else {
        say(printable(&format!("incident {name}: {result} already; nothing was changed")));
    }
    Ok(())
}

/// Whether something was changed, or the sentence that refuses the order.
pub(super) fn judge(
    name: &str,
    order: &Order,
    steered: Steered,
    incident: Option<&Value>,
) -> Result<bool, CommandError> {
    let refusal = match steered {
        Steered::Changed => return Ok(true),
        Steered::AsBefore => return Ok(false),
        Steered::Unknown => return Err(unknown(name)),
        Steered::Unfit { state } => misfit(order, &state),
        Steered::SamePerson => {
            format!(
                "a second person must approve: {} ordered some of it",
                incident.map(contributors).unwrap_or_default()
            )
        }
        Steered::UnmappedRole { role } => format!(
            "a second person must approve, and the database role {role} is nobody's: list it in \
                people.<person>.database_roles, {TELL}"
        ),
        Steered::UnmappedUser { users } => format!(
            "a second person must approve, and whose broker user {} is cannot be told: list it in \
                people.<person>.broker_users (a service, too), {TELL}",
            users.join(", ")
        ),
        Steered::Grown => grown(name, order, incident),
    };
    Err(CommandError::failed(printable(&format!("incident {name}: {refusal}"))))
}

/// Why what was to be approved is not what is there.
fn grown(name: &str, order: &Order, incident: Option<&Value>) -> String {
    let targets = incident.and_then(|incident| incident["targets"].as_i64());
    match (order, targets) {
        (Order::Approve(Seen { targets: seen, .. }), Some(targets)) if targets > *seen => {
            let command = command("incident approve", &format!("--targets {targets}"), name);
            format!("it has {}, not {seen}: look at it again, then: {command}", count(targets, "target"))
        }
        _ => format!("it has grown since you looked; look again: {}", command("incident show", "", name)),
    }
}

/// Why an order does not fit a state, and what would.
fn misfit(order: &Order, state: &str) -> String {
    let verb = order.action();
    match (order, state) {
        (Order::Resume, "awaiting_approval") => "it awaits approval: approve it instead".to_owned(),
        (Order::Pause, "awaiting_approval") => {
            "it awaits approval: nothing of it runs that could be paused".to_owned()
        }
        (Order::Approve(_), "paused") => {
            "it is paused, and approved as far as it must be: resume it instead".to_owned()
        }
        (Order::Approve(_), "running") => "it is running: nothing of it waits for approval".to_owned(),
        (_, state) => format!("it is {state}: nothing is left to {verb}"),
    }
}

/// The state of an incident that something of may be left to try.
///
/// # Errors
/// It is not on record, or has ended.
pub(in crate::cli) async fn retryable(store: &Store, name: &str) -> Result<String, CommandError> {
    let incident = store.incident(name).await.map_err(CommandError::failed)?.ok_or_else(|| unknown(name))?;
    let state = cell(&incident["state"]);
    match state.as_str() {
        "finished" | "cancelled" => Err(CommandError::failed(printable(&format!(
            "incident {name}: it is {state}: nothing is left to retry"
        )))),
        _ => Ok(state),
    }
}

pub(super) async fn retry(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    let settings = RetrySettings::load(path, &Environment::of_process())?;
    let (store, name) = (open_store(&settings.database).await?, &args.incident.name);
    let state = retryable(&store, name).await?;
    let scope = RetryScope::Incident(name.clone());
    let due = store.retry(&args.operator.name(), &scope, settings.retry.give_up_after).await;
    store.close().await;
    let due = due.map_err(CommandError::failed)?;
    if args.json {
        say_json(
            &json!({ "incident": name, "due": due, "state": state, "effective_within_s": EFFECTIVE_WITHIN_S }),
        );
        return Ok(());
    }
    let when = match state.as_str() {
        "running" => format!("effective within {EFFECTIVE_WITHIN_S} s, on all workers"),
        "paused" => "they are tried after `incident resume`".to_owned(),
        _ => "they are tried after `incident approve`".to_owned(),
    };
    say(printable(&format!("incident {name}: {} became due; {when}", count(due, "target"))));
    Ok(())
}
