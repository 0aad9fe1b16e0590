//! What every event of an incident says, and how an event is put together.

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::event::EventType;
use crate::target::Kind;

/// CloudEvents `source` of these events. With `id` it is their identity.
pub(super) const SOURCE: &str = "/revocation-worker/incident";

/// What was ordered, apart from the targets.
pub(super) struct Order {
    /// Part of every id; see [`Kept`](super::kept::Kept).
    pub(super) random: String,
    pub(super) incident: String,
    pub(super) reason: String,
    pub(super) actor: String,
    /// Of targets that name none; absent, the worker finds it.
    pub(super) provider: Option<String>,
    /// As given. Absent, each event's `time` is its cutoff, by the database's clock where that can be asked.
    pub(super) not_before: Option<String>,
}

/// How much the incident is in all.
#[derive(Clone)]
pub(super) struct Whole {
    targets: i64,
    kinds: Map<String, Value>,
}

impl Whole {
    /// Of so many targets of each kind.
    pub(super) fn of(kinds: impl IntoIterator<Item = (Kind, i64)>) -> Self {
        let kinds: Vec<_> = kinds.into_iter().collect();
        let targets = kinds.iter().fold(0_i64, |sum, (_, targets)| sum.saturating_add(*targets)).max(1);
        Self {
            targets,
            kinds: kinds
                .into_iter()
                .map(|(kind, targets)| (kind.as_str().to_owned(), targets.into()))
                .collect(),
        }
    }

    /// The longest that can be written.
    pub(super) fn longest() -> Self {
        Self::of(Kind::ALL.map(|kind| (kind, i64::MAX)))
    }
}

impl Order {
    /// One event. `targets` are JSON objects; they are copied once, into memory that is wiped.
    pub(super) fn event<'t, T>(
        &self,
        id: &str,
        time: &str,
        provider: Option<&str>,
        whole: &Whole,
        targets: T,
    ) -> Zeroizing<String>
    where
        T: Iterator<Item = &'t str> + Clone,
    {
        let event = json!({
            "specversion": "1.0", "id": id, "source": SOURCE, "type": EventType::MassRevocation.as_str(),
            "time": time,
        });
        let mut data = json!({
            "incident": self.incident, "incident_targets": whole.targets, "incident_kinds": whole.kinds, "reason": self.reason,
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
            &Whole::of([(Kind::Subject, 7)]),
            [r#"{"sub":"a"}"#, r#"{"sub":"b"}"#].into_iter(),
        );
        let event: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (&event["id"], &event["source"], &event["type"]),
            (&json!("id}"), &json!(SOURCE), &json!("auth.mass_revocation.v1"))
        );
        let expected = json!({
            "incident": "le\"ak}", "incident_targets": 7, "incident_kinds": { "subject": 7 }, "reason": "r}", "actor": "a", "provider": "p}",
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
            &Whole::of([(Kind::Subject, 1)]),
            [r#"{"sub":"a"}"#].into_iter(),
        );
        let event: Value = serde_json::from_str(&body).unwrap();
        assert!(event["data"].get("provider").is_none() && event["data"].get("not_before").is_none());
    }
}
