//! What a provider waits for, and what waits for it.

use super::Finding;
use crate::store::{BacklogRow, Crowding, FailingTargets, ProviderRow, Status};
use crate::visible::count;
use crate::visible::names::{command, first_of, or_dash};
use crate::visible::times::utc_to_the_second;

/// Workers take up what is due within a second or so.
const LONGEST_OVERDUE_S: i64 = 30;

/// So many targets a second are proposed, where nothing tells what an incident is at.
const SLOW_PER_S: f64 = 10.0;

/// What mended settings take.
pub const RESTART: &str = "a worker goes on with the settings and secrets that it was started with: where \
    they were changed, restart each worker, one after the other";

/// Those that are left alone.
pub(super) fn left_alone(status: &Status) -> impl Iterator<Item = Finding> {
    status.providers.iter().filter(|row| row.breaker != "closed").map(|row| provider(row, status))
}

/// "open: misconfigured".
pub fn breaker(breaker: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{breaker}: {reason}"),
        None => breaker.to_owned(),
    }
}

fn provider(row: &ProviderRow, status: &Status) -> Finding {
    let (name, error) = (&row.provider, or_dash(&row.last_error));
    let left_alone = breaker(&row.breaker, row.reason.as_deref());
    let until = row.held_until.as_deref().map(|until| format!(" until {}", utc_to_the_second(until)));
    let says = format!("provider {name}: breaker {left_alone}{}, {error}", until.unwrap_or_default());
    let crowding = status.crowding.iter().find(|crowding| crowding.provider == *name);
    match (row.reason.as_deref(), crowding) {
        (Some("misconfigured"), _) => Finding {
            says: format!(
                "{says}; mend it, restart the workers if it was a setting or a secret, then have it probed"
            ),
            command: Some(command("provider resume", "", name)),
        },
        (Some("retry_after"), Some(crowding)) => slower(says, crowding, status),
        (Some("retry_after"), None) => Finding {
            says: format!(
                "{says}; where that comes again, set providers.{name}.rate_per_s to what it allows"
            ),
            command: Some(command("provider show", "", name)),
        },
        _ => Finding { says, command: Some(command("provider show", "", name)) },
    }
}

/// Of an incident that may be what the provider has too much of.
fn slower(says: String, crowding: &Crowding, status: &Status) -> Finding {
    let Crowding { incident, pending, .. } = crowding;
    let row = status.incidents.iter().find(|row| row.incident == *incident);
    let throttle = row.and_then(|row| row.throttle_per_s).map(|rate| rate as f64);
    let pace = throttle.or_else(|| row.and_then(|row| row.pace().0)).filter(|pace| *pace >= 1.0);
    let rate = pace.map_or(SLOW_PER_S, |pace| (pace / 2.0).ceil());
    let pending = count(*pending, "target");
    Finding {
        says: format!("{says}; incident {incident} has {pending} there, slow it"),
        command: Some(command("incident throttle", &format!("--rate {rate}"), incident)),
    }
}

/// Nobody is to take what its provider holds back.
pub(super) fn overdue(status: &Status) -> impl Iterator<Item = Finding> {
    let is_left_alone = |name: &str| {
        status
            .providers
            .iter()
            .any(|row| row.provider == name && (row.breaker != "closed" || row.held_until.is_some()))
    };
    let late = |row: &BacklogRow| {
        let since = row.overdue_s.filter(|since| row.state == "pending" && *since > LONGEST_OVERDUE_S)?;
        let (provider, lane) = (&row.provider, &row.lane);
        let what = format!("in lane {lane} a target is due since {since} s and nobody takes it");
        Some(Finding::of(format!("provider {provider}: {what}")))
    };
    status.backlog.iter().filter(move |row| !is_left_alone(&row.provider)).filter_map(late)
}

/// Of one that is left alone, all fail.
pub(super) fn failing(status: &Status) -> impl Iterator<Item = Finding> {
    let is_well =
        |name: &str| status.providers.iter().any(|row| row.provider == name && row.breaker == "closed");
    status.failing.iter().filter(move |row| is_well(&row.provider)).map(again_and_again)
}

fn again_and_again(row: &FailingTargets) -> Finding {
    let provider = &row.provider;
    let statuses: Vec<_> = row.statuses.iter().map(ToString::to_string).collect();
    let answers = if statuses.is_empty() { "no answer".to_owned() } else { first_of(&statuses) };
    let (fail, one) = if row.targets == 1 { ("fails", "it") } else { ("fail", "one") };
    let targets = count(row.targets, "target");
    Finding {
        says: format!(
            "provider {provider}: {targets} {fail} again and again ({answers}); target cancel ID gives \
                {one} up"
        ),
        command: Some(command("audit --state pending --provider", "", provider)),
    }
}
