//! What is said of an incident in sentences: who opened it, how fast it is, and what it leaves open.

use std::time::Duration;

use crate::attention::{mint, silent};
use crate::cli::output::{count, first_of, or_dash};
use crate::store::{Incident, IncidentDetail, ResidualRisk, StateCounts};
use crate::visible::apart;
pub(super) use crate::visible::times::utc;

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
    open.extend(silent(&risk.silent_verifiers));
    if risk.unverified_verifiers > 0 {
        let unverified = count(risk.unverified_verifiers, "live verifier");
        open.push(format!("unverified, so that nobody can say what they refuse: {unverified}"));
    }
    if risk.not_revoked > 0 {
        let until = utc(risk.not_revoked_until.as_deref());
        let targets = count(risk.not_revoked, "target");
        let states: Vec<_> = risk
            .not_revoked_by_state
            .iter()
            .map(|(state, targets)| format!("{} {state}", apart(*targets)))
            .collect();
        let are = if risk.not_revoked == 1 { "is" } else { "are" };
        open.push(format!(
            "until {until} {targets} that the provider has not confirmed {are} kept out only by \
                verifiers: {}",
            states.join(", ")
        ));
    }
    open.extend(mint::sentence(risk.may_mint));
    if open.is_empty() && !risk.has_verifiers {
        open.push("no verifier has reported: nobody can say what still accepts a denied token".to_owned());
    }
    open
}

/// How long the rest takes, where that can be told.
pub(super) fn pace(i: &Incident) -> String {
    let dash = || "-".to_owned();
    let (rate, eta) = i.pace();
    let rate = rate.map_or_else(dash, |rate| format!("{rate:.1}/s"));
    let eta = eta.filter(|seconds| (0.0..1e9).contains(seconds));
    let eta = eta.map_or_else(dash, |seconds| {
        humantime::format_duration(Duration::from_secs(seconds.ceil() as u64)).to_string()
    });
    let throttle = i.throttle_per_s.map_or_else(|| "off".to_owned(), |rate| format!("{rate}/s"));
    let paused = if i.state == "paused" { ", paused" } else { "" };
    format!("rate {rate}, left {eta}{paused}, throttle {throttle}")
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
        .map(|(targets, state)| format!("{} {state}", apart(targets)))
        .collect();
    if some.is_empty() { "none".to_owned() } else { some.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_target_is_kept_out_and_several_are() {
        for (targets, wanted) in [
            (1, "1 target that the provider has not confirmed is kept"),
            (2, "2 targets that the provider has not confirmed are kept"),
            (1000, "1,000 targets that the provider has not confirmed are kept"),
        ] {
            let risk = json!({
                "undenied": 0, "live_verifiers": 1, "unverified_verifiers": 0, "verifiers_behind": [],
                "has_verifiers": true, "not_revoked": targets, "not_revoked_until": null,
                "not_revoked_by_state": { "parked": targets }
            });
            let said = residual_risk(&serde_json::from_value(risk).unwrap()).join("\n");
            assert!(said.starts_with(&format!("until - {wanted} out only by verifiers: ")), "{said}");
        }
    }
}
