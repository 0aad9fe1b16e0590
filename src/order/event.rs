//! What every event of an incident says, and how an event is put together.

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::event::EventType;
use crate::target::Kind;

/// CloudEvents `source` of these events. With `id` it is their identity.
pub(crate) const SOURCE: &str = "/revocation-worker/incident";

/// As long as an event's id can be: `<incident>-<kind>-<number>-<targets>`.
pub(crate) const LONGEST_ID: &str =
    "0123456789abcdef-session-18446744073709551615-0123456789abcdef0123456789abcdef";

/// What was ordered, apart from the targets.
pub(crate) struct Order {
    /// Part of every id; see [`Resume`](super::resume::Resume).
    pub(crate) random: String,
    pub(crate) incident: String,
    pub(crate) reason: String,
    pub(crate) actor: String,
    /// Of targets that name none; absent, the worker finds it.
    pub(crate) provider: Option<String>,
    /// As given. Absent, each event's `time` is its cutoff, by the database's clock where that can be asked.
    pub(crate) not_before: Option<String>,
}

/// Counts that take as many bytes as any can.
pub(crate) const LONGEST_COUNTS: [(Kind, i64); Kind::ALL.len()] = {
    let mut counts = [(Kind::Token, i64::MAX); Kind::ALL.len()];
    let mut place = 0;
    while place < counts.len() {
        counts[place].0 = Kind::ALL[place];
        place += 1;
    }
    counts
};

impl Order {
    /// One event. `counts`: targets of each kind in the whole incident, for every event to say. `targets` are
    /// JSON objects; they are copied once, into memory that is wiped.
    pub(crate) fn event<'t, T>(
        &self,
        id: &str,
        time: &str,
        provider: Option<&str>,
        counts: &[(Kind, i64)],
        targets: T,
    ) -> Zeroizing<String>
    where
        T: Iterator<Item = &'t str> + Clone,
    {
        let event = json!({
            "specversion": "1.0", "id": id, "source": SOURCE, "type": EventType::MassRevocation.as_str(),
            "time": time,
        });
        let kinds = counts.iter().map(|(kind, targets)| (kind.as_str().to_owned(), (*targets).into()));
        let mut data = json!({
            "incident": self.incident,
            "incident_targets": counts.iter().fold(0_i64, |sum, (_, n)| sum.saturating_add(*n)).max(1),
            "incident_kinds": kinds.collect::<Map<String, Value>>(),
            "reason": self.reason,
            "actor": self.actor,
        });
        for (name, value) in [("provider", provider), ("not_before", self.not_before.as_deref())] {
            if let Some(value) = value {
                data[name] = Value::from(value);
            }
        }
        let (event, data) = (event.to_string(), data.to_string());
        let (event, data) = (event.trim_end_matches('}'), data.trim_end_matches('}'));
        let size: usize = targets.clone().map(|target| target.len() + 1).sum();
        let mut body = Zeroizing::new(String::with_capacity(event.len() + data.len() + size + FRAME.len()));
        for part in [event, ",\"data\":", data, ",\"targets\":["] {
            body.push_str(part);
        }
        for (place, target) in targets.enumerate() {
            body.push_str(if place > 0 { "," } else { "" });
            body.push_str(target);
        }
        body.push_str("]}}");
        body
    }
}

/// What is between and after the parts.
const FRAME: &str = r#","data":,"targets":[]}}"#;

/// This moment, as events have it.
pub(crate) fn time_by(clock: &Clock) -> String {
    humantime::format_rfc3339_millis(clock.now().into()).to_string()
}

/// The same by this machine's clock: for what is only as long as an event.
pub(crate) fn now() -> String {
    time_by(&Clock::default())
}

/// SHA-256 of parts that cannot be taken for others.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut digest = Context::new(&SHA256);
    for part in parts {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(provider: Option<&str>, not_before: Option<&str>) -> Order {
        let word = |word: &str| word.to_owned();
        Order {
            random: word("random"),
            incident: word("le\"ak}"),
            reason: word("r}"),
            actor: word("a"),
            provider: provider.map(word),
            not_before: not_before.map(word),
        }
    }

    #[test]
    fn an_event_has_what_was_ordered_and_the_targets_as_they_are() {
        let body = order(None, Some("2026-11-20T22:30:00Z")).event(
            "id}",
            "2026-11-20T22:30:01.000Z",
            Some("p}"),
            &[(Kind::Subject, 7)],
            [r#"{"sub":"a"}"#, r#"{"sub":"b"}"#].into_iter(),
        );
        let event: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (&event["id"], &event["source"], &event["type"]),
            (&json!("id}"), &json!(SOURCE), &json!("auth.mass_revocation.v1"))
        );
        let expected = json!({
            "incident": "le\"ak}", "incident_targets": 7, "incident_kinds": { "subject": 7 },
            "reason": "r}", "actor": "a", "provider": "p}",
            "not_before": "2026-11-20T22:30:00Z", "targets": [{ "sub": "a" }, { "sub": "b" }],
        });
        assert_eq!(event["data"], expected);
        assert!(body.capacity() >= body.len() && body.capacity() <= body.len() + 2, "it was copied once");
    }

    #[test]
    fn what_is_not_given_is_left_to_the_worker() {
        let body = order(Some("of targets that name none"), None).event(
            "id",
            "2026-11-20T22:30:01.000Z",
            None,
            &[(Kind::Subject, 1)],
            [r#"{"sub":"a"}"#].into_iter(),
        );
        let event: Value = serde_json::from_str(&body).unwrap();
        assert!(event["data"].get("provider").is_none() && event["data"].get("not_before").is_none());
    }
}
