//! What was done to an incident, as a sentence without its subject and its end.

use serde_json::Value;

use crate::store::Operation;
use crate::visible::{apart, count};

/// Said by the sentence of each action, or the incident's numbers at its time, which `--json` has.
const SAID: [&str; 23] = [
    "targets_expected",
    "targets_received",
    "denied",
    "pending",
    "parked",
    "revoked",
    "from",
    "to",
    "before",
    "state",
    "reason",
    "asks",
    "seen",
    "throttle_per_s",
    "targets",
    "provider",
    "revocation_id",
    "in_flight",
    "role",
    "note",
    "file",
    "sha256",
    "incident",
];

/// "throttled to 5 targets a second, before without limit".
pub fn operation(row: &Operation) -> String {
    let detail = |name: &str| row.detail.get(name).filter(|value| !value.is_null());
    let text = |name: &str| detail(name).and_then(Value::as_str);
    let number = |name: &str| detail(name).and_then(Value::as_u64);
    let reason = text("reason").map_or_else(String::new, |reason| format!(", because of {reason}"));
    let rate = |name: &str| {
        number(name)
            .map_or_else(|| "without limit".to_owned(), |rate| format!("{} targets a second", apart(rate)))
    };
    let mut says = match row.action.as_str() {
        "open" => {
            let state = text("to").or(text("state")).unwrap_or("running");
            format!("opened, {}{reason}{}", state.replace('_', " "), asks(detail("asks")))
        }
        "approve" => {
            let seen = number("seen").or(number("targets_received"));
            let many = seen.map_or_else(String::new, |seen| format!(" for {}", count(seen, "target")));
            format!("approved{many}")
        }
        "throttle" if detail("throttle_per_s").is_none() => {
            format!("throttle taken off, before {}", rate("before"))
        }
        "throttle" => format!("throttled to {}, before {}", rate("throttle_per_s"), rate("before")),
        "pause" => "paused".to_owned(),
        "resume" => "goes on after a pause".to_owned(),
        "start" => "begins to run".to_owned(),
        "stop" => format!("stopped{reason}"),
        "finish" => "finished: nothing is pending or parked".to_owned(),
        "reopen" => "open again: it has more targets".to_owned(),
        "cancel" => format!("cancelled{reason}"),
        "retry" => format!("{} tried again at once", count(number("targets").unwrap_or(0), "target")),
        "target_cancel" => {
            let (id, provider) = (text("revocation_id").unwrap_or("a target"), text("provider"));
            let at = provider.map_or_else(String::new, |provider| format!(" at provider {provider}"));
            format!("{id} given up{at}{reason}")
        }
        other => other.replace('_', " "),
    };
    let further =
        row.detail.iter().filter(|(name, value)| !SAID.contains(&name.as_str()) && !value.is_null());
    for (name, value) in further {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        says.push_str(&format!(", {} {value}", name.replace('_', " ")));
    }
    // Where the name was given with the order, it is the login that is proven.
    if let Some(role) = text("role").filter(|role| *role != row.actor) {
        says.push_str(&format!(" (database role {role})"));
    }
    says
}

fn asks(kinds: Option<&Value>) -> String {
    let kinds = kinds.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let kinds: Vec<_> = kinds.collect();
    if kinds.is_empty() { String::new() } else { format!(", with targets of kind {}", kinds.join(", ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_operation_is_a_sentence() {
        for (action, detail, wanted) in [
            (
                "open",
                json!({ "reason": "token_theft", "asks": ["client"], "state": "awaiting_approval", 
                    "from": null, "to": "awaiting_approval", "targets_received": 3, "role": "alice" }),
                "opened, awaiting approval, because of token_theft, with targets of kind client",
            ),
            ("open", json!({ "reason": null, "asks": [], "to": "running" }), "opened, running"),
            (
                "throttle",
                json!({ "throttle_per_s": 5, "before": null, "from": "running", "to": "running",
                    "role": "postgres" }),
                "throttled to 5 targets a second, before without limit (database role postgres)",
            ),
            (
                "throttle",
                json!({ "throttle_per_s": null, "before": 2000 }),
                "throttle taken off, before 2,000 targets a second",
            ),
            ("approve", json!({ "asks": ["client"], "seen": 1 }), "approved for 1 target"),
            (
                "cancel",
                json!({ "reason": "a mistake", "state": "running" }),
                "cancelled, because of a mistake",
            ),
            (
                "retry",
                json!({ "provider": null, "revocation_id": null, "targets": 7 }),
                "7 targets tried again at once",
            ),
            ("new_thing", json!({ "some_number": 3, "none": null }), "new thing, some number 3"),
        ] {
            let row =
                json!({ "at": "2026-12-01T00:00:00Z", "actor": "alice", "action": action, "detail": detail });
            assert_eq!(operation(&serde_json::from_value(row).unwrap()), wanted);
        }
    }
}
