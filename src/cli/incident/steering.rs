//! Orders to an incident that are done as soon as they are on record: what `approve`, `pause`, `resume`,
//! `throttle` and `cancel` say of how that went.

use serde_json::json;

use super::{Change, unknown};
use crate::cli::CommandError;
use crate::cli::output::{command, count, printable, say, say_json};
use crate::store::{Approved, IncidentDetail, Steered, Steering, Store};

/// Workers read an incident's row more often than this.
pub(super) const EFFECTIVE_WITHIN_S: u64 = 2;

/// How the database learns of `[people]`.
const TELL: &str = "then run `revocation-worker migrate` as the owner of the schema";

/// Gives an order and says what became of it. `incident`: as it was shown to whoever approves it.
pub(super) async fn steer(
    store: &Store,
    args: &Change,
    order: &Steering,
    incident: Option<&IncidentDetail>,
) -> Result<(), CommandError> {
    let name = &args.incident.name;
    let steered = store.steer(&args.operator.name(), name, order).await;
    store.close().await;
    let is_changed = judge(name, order, steered?, incident)?;
    let (state, result) = match order {
        Steering::Pause => ("paused", "paused".to_owned()),
        Steering::Throttle(Some(rate)) => {
            ("throttled", format!("throttled to {rate} targets a second over all workers"))
        }
        Steering::Throttle(None) => ("unthrottled", "not throttled".to_owned()),
        _ => ("running", "running".to_owned()),
    };
    if args.json {
        say_json(&json!({
            "incident": name,
            "result": state,
            "changed": is_changed,
            "effective_within_s": EFFECTIVE_WITHIN_S,
        }));
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
    order: &Steering,
    steered: Steered,
    incident: Option<&IncidentDetail>,
) -> Result<bool, CommandError> {
    let refusal = match steered {
        Steered::Changed => return Ok(true),
        Steered::AsBefore => return Ok(false),
        Steered::Unknown => return Err(unknown(name)),
        Steered::Unfit { state } => misfit(order, &state),
        Steered::SamePerson => {
            let who = incident.map(|incident| incident.contributors.join(", ")).unwrap_or_default();
            format!("a second person must approve: {who} ordered some of it")
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
fn grown(name: &str, order: &Steering, incident: Option<&IncidentDetail>) -> String {
    let targets = incident.and_then(|incident| incident.row.targets);
    match (order, targets) {
        (Steering::Approve(Approved { targets: seen, .. }), Some(targets)) if targets > *seen => {
            let command = command("incident approve", &format!("--targets {targets}"), name);
            format!("it has {}, not {seen}: look at it again, then: {command}", count(targets, "target"))
        }
        _ => format!("it has grown since you looked; look again: {}", command("incident show", "", name)),
    }
}

/// Why an order does not fit a state, and what would.
fn misfit(order: &Steering, state: &str) -> String {
    let verb = order.action();
    match (order, state) {
        (Steering::Resume, "awaiting_approval") => "it awaits approval: approve it instead".to_owned(),
        (Steering::Pause, "awaiting_approval") => {
            "it awaits approval: nothing of it runs that could be paused".to_owned()
        }
        (Steering::Approve(_), "paused") => {
            "it is paused, and approved as far as it must be: resume it instead".to_owned()
        }
        (Steering::Approve(_), "running") => "it is running: nothing of it waits for approval".to_owned(),
        (_, state) => format!("it is {state}: nothing is left to {verb}"),
    }
}
