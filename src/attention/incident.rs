//! What an incident waits for that only a person can do.

use super::Finding;
use crate::store::{Incident, IncidentDetail};
use crate::visible::count;
use crate::visible::names::{command, first_of};
use crate::visible::times::span;

/// What an incident waits for that only a person can do, with the command to type. That approves as many
/// targets as there are now, and no more.
pub fn call_for_action(i: &Incident) -> Option<Finding> {
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
            Some(call(format!("{waits} {since}"), command("approve", &format!("--targets {targets}"))))
        }
        "paused" => Some(call(format!("paused, {}", wait(i.counts.pending)), command("resume", ""))),
        "running" if i.counts.parked > 0 => {
            Some(call(format!("{} parked", count(i.counts.parked, "target")), command("retry", "")))
        }
        _ => None,
    }
}

/// What is named of what a second person is asked for; nothing, where that is none.
pub fn asked(incident: &IncidentDetail) -> Option<String> {
    let names = incident.asked.as_ref()?;
    let names = if names.is_empty() { "none of it has arrived yet".to_owned() } else { first_of(names) };
    Some(format!("to be logged out: {names}"))
}

fn call(says: String, command: String) -> Finding {
    Finding { says, command: Some(command) }
}

fn wait(targets: u64) -> String {
    format!("{} {}", count(targets, "target"), if targets == 1 { "waits" } else { "wait" })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What is asked for a person, of an incident with these members.
    fn called(members: Value) -> Option<String> {
        let mut row = json!({ "targets_received": 0, "denied": 0 });
        for name in ["pending", "revoked", "unsupported", "expired", "parked", "cancelled"] {
            row[name] = 0.into();
        }
        for (name, value) in members.as_object().into_iter().flatten() {
            row[name] = value.clone();
        }
        call_for_action(&serde_json::from_value(row).unwrap()).map(|call| call.to_string())
    }

    #[test]
    fn what_waits_says_for_whom_and_what_to_type() {
        let waiting = json!({ "incident": "it's late", "state": "awaiting_approval",
            "targets_expected": 200_000, "targets_received": 3, "waits_s": 740 });
        let wanted = "200,000 targets wait for a second person's approval since 12 min: revocation-worker \
            incident approve 'it'\\''s late' --targets 200000";
        assert_eq!(called(waiting).as_deref(), Some(wanted));
        let tripped = json!({ "incident": "x", "state": "awaiting_approval", "targets_received": 1,
            "approved_by": "bob", "waits_s": 740 });
        let wanted = "1 target waits for a second person's approval again: it has grown beyond what bob \
            approved: revocation-worker incident approve x --targets 1";
        assert_eq!(called(tripped).as_deref(), Some(wanted));
        assert_eq!(called(json!({ "incident": "x", "state": "running", "parked": 0 })), None);
        let counted = json!({ "incident": "-x", "state": "awaiting_approval", "targets_received": 3 });
        assert!(
            called(counted)
                .is_some_and(|call| call.ends_with(": revocation-worker incident approve --targets 3 -- -x"))
        );
    }
}
