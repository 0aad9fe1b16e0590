//! What is said of an incident in sentences: to whom it matters now, and what it leaves open.

use std::time::Duration;

use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::cli::output::{cell, command, count};

/// So many names are told, then only how many more there are.
const NAMES: usize = 5;

/// What an incident waits for that only a person can do, with the command to type. Rows of `audit.incidents`
/// are enough; where `targets` is there too, the command approves so many and no more.
pub(in crate::cli) fn call_for_action(incident: &Value) -> Option<String> {
    let name = cell(&incident["incident"]);
    let command = |verb, options: &str| command(&format!("incident {verb}"), options, &name);
    let so_many =
        incident["targets"].as_u64().map(|targets| format!("--targets {targets}")).unwrap_or_default();
    let number = |member: &str| incident[member].as_u64().unwrap_or(0);
    match incident["state"].as_str()? {
        "awaiting_approval" => {
            let targets = number("targets_expected").max(number("targets_received"));
            let waits = format!("{} for a second person's approval", wait(targets));
            // Since when is on record only of one that was never approved.
            let since = match incident["approved_by"].as_str() {
                None => format!("since {}", span(number("waits_s"))),
                Some(by) => format!("again: it has grown beyond what {by} approved"),
            };
            Some(format!("{waits} {since}: {}", command("approve", &so_many)))
        }
        "paused" => Some(format!("paused, {}: {}", wait(number("pending")), command("resume", ""))),
        "running" if number("parked") > 0 => {
            Some(format!("{} parked: {}", count(number("parked"), "target"), command("retry", "")))
        }
        _ => None,
    }
}

fn wait(targets: u64) -> String {
    format!("{} {}", count(targets, "target"), if targets == 1 { "waits" } else { "wait" })
}

/// A sentence for each thing that an incident leaves open; none: nothing gets through any more.
pub(super) fn residual_risk(risk: &Value) -> Vec<String> {
    let number = |member: &str| risk[member].as_u64().unwrap_or(0);
    let mut open = Vec::new();
    if number("undenied") > 0 {
        open.push(format!(
            "{} neither denied nor expired: verifiers accept them",
            count(number("undenied"), "target")
        ));
    }
    let behind: Vec<_> = risk["verifiers_behind"].as_array().into_iter().flatten().map(cell).collect();
    if !behind.is_empty() {
        let live = count(number("live_verifiers"), "live verifier");
        open.push(format!("{} of {live} may not refuse all of it yet: {}", behind.len(), some(&behind)));
    }
    if number("unverified_verifiers") > 0 {
        let unverified = count(number("unverified_verifiers"), "live verifier");
        open.push(format!("unverified, so that nobody can say what they refuse: {unverified}"));
    }
    if number("not_revoked") > 0 {
        let (until, targets) = (utc(&risk["not_revoked_until"]), count(number("not_revoked"), "target"));
        let states = risk["not_revoked_by_state"].as_object().into_iter().flatten();
        let states =
            states.map(|(state, targets)| format!("{targets} {state}")).collect::<Vec<_>>().join(", ");
        open.push(format!(
            "until {until} {targets} that the provider has not confirmed are kept out only by \
            verifiers: {states}"
        ));
    }
    open
}

/// How long the rest takes, where that can be told.
pub(super) fn pace(incident: &Value) -> String {
    let rate = incident["rate_per_s"].as_f64().map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}/s"));
    let eta = incident["eta_seconds"].as_f64().filter(|seconds| (0.0..1e9).contains(seconds));
    let eta = eta.map_or_else(
        || "-".to_owned(),
        |seconds| humantime::format_duration(Duration::from_secs(seconds.ceil() as u64)).to_string(),
    );
    let throttle =
        incident["throttle_per_s"].as_u64().map_or_else(|| "off".to_owned(), |rate| format!("{rate}/s"));
    format!("rate {rate}, left {eta}, throttle {throttle}")
}

/// The counts of an incident, a provider or a kind that are not 0.
pub(super) fn states(counts: &Value) -> String {
    let states = ["pending", "revoked", "unsupported", "expired", "parked", "cancelled"];
    let some: Vec<_> = states
        .into_iter()
        .filter(|state| counts[*state].as_u64() > Some(0))
        .map(|state| format!("{} {state}", counts[state]))
        .collect();
    if some.is_empty() { "none".to_owned() } else { some.join(", ") }
}

/// The first few, and how many more there are.
fn some(names: &[String]) -> String {
    let first = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// "12 min": a whole number of the unit that suits.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A time from the database's JSON, to the minute.
pub(super) fn utc(at: &Value) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let time = at.as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    time.and_then(|time| time.to_offset(UtcOffset::UTC).format(format).ok()).unwrap_or_else(|| cell(at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_waits_says_for_whom_and_what_to_type() {
        let waiting = json!({ "incident": "it's late", "state": "awaiting_approval", "targets_expected": 200_000, "targets_received": 3, "waits_s": 740 });
        let call = call_for_action(&waiting);
        let wanted = r"200000 targets wait for a second person's approval since 12 min: revocation-worker incident approve 'it'\''s late'";
        assert_eq!(call.as_deref(), Some(wanted));
        let tripped = json!({ "incident": "x", "state": "awaiting_approval", "targets_received": 1, "approved_by": "bob", "waits_s": 740 });
        let wanted = "1 target waits for a second person's approval again: it has grown beyond what bob \
            approved: revocation-worker incident approve x";
        assert_eq!(call_for_action(&tripped).as_deref(), Some(wanted));
        assert_eq!(call_for_action(&json!({ "incident": "x", "state": "running", "parked": 0 })), None);
        let counted = json!({ "incident": "-x", "state": "awaiting_approval", "targets": 3 });
        assert!(
            call_for_action(&counted)
                .is_some_and(|call| call.ends_with(": revocation-worker incident approve --targets 3 -- -x"))
        );
    }

    #[test]
    fn spans_are_short() {
        assert_eq!([119, 120, 7199, 7200, 172_800].map(span), ["119 s", "2 min", "119 min", "2 h", "2 days"]);
    }

    #[test]
    fn a_time_is_told_in_utc() {
        assert_eq!(utc(&json!("2026-12-03T05:10:59.5+01:00")), "2026-12-03 04:10 UTC");
        assert_eq!(utc(&Value::Null), "-");
    }
}
