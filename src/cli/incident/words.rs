//! What is said of an incident in sentences: to whom it matters now, and what it leaves open.

use std::time::Duration;

use serde_json::Number;

use crate::cli::mint;
use crate::cli::output::{command, count, first_of, or_dash};
use crate::cli::times::span;
pub(super) use crate::cli::times::utc;
use crate::store::{Incident, IncidentDetail, ResidualRisk, StateCounts};

/// What an incident waits for that only a person can do, with the command to type. Where `targets` was asked
/// for too, the command approves so many and no more.
pub(in crate::cli) fn call_for_action(i: &Incident) -> Option<String> {
    let command = |verb, options: &str| command(&format!("incident {verb}"), options, &i.incident);
    match i.state.as_str() {
        "awaiting_approval" => {
            let targets = i.targets_expected.unwrap_or(0).max(i.targets_received);
            let waits = format!("{} for a second person's approval", wait(targets));
            // Since when is on record only of one that was never approved.
            let since = match &i.approved_by {
                None => format!("since {}", span(i.waits_s.unwrap_or(0).unsigned_abs())),
                Some(by) => format!("again: it has grown beyond what {by} approved"),
            };
            let so_many = i.targets.map(|targets| format!("--targets {targets}")).unwrap_or_default();
            Some(format!("{waits} {since}: {}", command("approve", &so_many)))
        }
        "paused" => Some(format!("paused, {}: {}", wait(i.counts.pending), command("resume", ""))),
        "running" if i.counts.parked > 0 => {
            Some(format!("{} parked: {}", count(i.counts.parked, "target"), command("retry", "")))
        }
        _ => None,
    }
}

fn wait(targets: u64) -> String {
    format!("{} {}", count(targets, "target"), if targets == 1 { "waits" } else { "wait" })
}

/// Who opened it, and over which broker user where that is another name.
pub(super) fn openers(incident: &IncidentDetail) -> String {
    let by = or_dash(&incident.row.opened_by);
    match &incident.opened_via {
        Some(via) if *via != by => format!("{by} via {via}"),
        _ => by,
    }
}

/// A sentence for each thing that an incident leaves open; none: nothing gets through any more.
pub(super) fn residual_risk(risk: &ResidualRisk) -> Vec<String> {
    let mut open = Vec::new();
    if risk.undenied > 0 {
        let undenied = count(risk.undenied, "target");
        open.push(format!("{undenied} neither denied nor expired: verifiers accept them"));
    }
    let behind = &risk.verifiers_behind;
    if !behind.is_empty() {
        let live = count(risk.live_verifiers, "live verifier");
        open.push(format!("{} of {live} may not refuse all of it yet: {}", behind.len(), first_of(behind)));
    }
    if risk.unverified_verifiers > 0 {
        let unverified = count(risk.unverified_verifiers, "live verifier");
        open.push(format!("unverified, so that nobody can say what they refuse: {unverified}"));
    }
    if risk.not_revoked > 0 {
        let until = utc(risk.not_revoked_until.as_deref());
        let targets = count(risk.not_revoked, "target");
        let states: Vec<_> =
            risk.not_revoked_by_state.iter().map(|(state, targets)| format!("{targets} {state}")).collect();
        open.push(format!(
            "until {until} {targets} that the provider has not confirmed are kept out only by verifiers: {}",
            states.join(", ")
        ));
    }
    open.extend(mint::sentence(risk.may_mint));
    open
}

/// How long the rest takes, where that can be told.
pub(super) fn pace(i: &Incident) -> String {
    let dash = || "-".to_owned();
    let number = |number: &Option<Number>| number.as_ref().and_then(Number::as_f64);
    let rate = number(&i.rate_per_s).map_or_else(dash, |rate| format!("{rate:.1}/s"));
    let eta = number(&i.eta_seconds).filter(|seconds| (0.0..1e9).contains(seconds));
    let eta = eta.map_or_else(dash, |seconds| {
        humantime::format_duration(Duration::from_secs(seconds.ceil() as u64)).to_string()
    });
    let throttle = i.throttle_per_s.map_or_else(|| "off".to_owned(), |rate| format!("{rate}/s"));
    format!("rate {rate}, left {eta}, throttle {throttle}")
}

/// The counts that are not 0.
pub(super) fn states(counts: &StateCounts) -> String {
    let named = [
        (counts.pending, "pending"),
        (counts.revoked, "revoked"),
        (counts.unsupported, "unsupported"),
        (counts.expired, "expired"),
        (counts.parked, "parked"),
        (counts.cancelled, "cancelled"),
    ];
    let some: Vec<_> = named
        .into_iter()
        .filter(|(targets, _)| *targets > 0)
        .map(|(targets, state)| format!("{targets} {state}"))
        .collect();
    if some.is_empty() { "none".to_owned() } else { some.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What is asked for a person, of an incident with these members.
    fn call(members: Value) -> Option<String> {
        let mut row = json!({ "targets_received": 0, "denied": 0 });
        for name in ["pending", "revoked", "unsupported", "expired", "parked", "cancelled"] {
            row[name] = 0.into();
        }
        for (name, value) in members.as_object().into_iter().flatten() {
            row[name] = value.clone();
        }
        call_for_action(&serde_json::from_value(row).unwrap())
    }

    #[test]
    fn what_waits_says_for_whom_and_what_to_type() {
        let waiting = json!({ "incident": "it's late", "state": "awaiting_approval",
            "targets_expected": 200_000, "targets_received": 3, "waits_s": 740 });
        let wanted = "200000 targets wait for a second person's approval since 12 min: revocation-worker \
            incident approve 'it'\\''s late'";
        assert_eq!(call(waiting).as_deref(), Some(wanted));
        let tripped = json!({ "incident": "x", "state": "awaiting_approval", "targets_received": 1,
            "approved_by": "bob", "waits_s": 740 });
        let wanted = "1 target waits for a second person's approval again: it has grown beyond what bob \
            approved: revocation-worker incident approve x";
        assert_eq!(call(tripped).as_deref(), Some(wanted));
        assert_eq!(call(json!({ "incident": "x", "state": "running", "parked": 0 })), None);
        let counted = json!({ "incident": "-x", "state": "awaiting_approval", "targets": 3 });
        assert!(
            call(counted)
                .is_some_and(|call| call.ends_with(": revocation-worker incident approve --targets 3 -- -x"))
        );
    }
}
