//! Reads what verifiers report of themselves (docs/contract.md, section 4). One that cannot be read, or could
//! not be stored, is no report.

mod owners;

use std::borrow::Cow;

use revocation_verifier::message::STATUS_TYPE;
use serde::Deserialize;
use serde_json::value::RawValue;
use time::{OffsetDateTime, UtcOffset};

pub use owners::{Attested, Owners, Right, judge};

/// A report has a few hundred bytes.
const MAX_BYTES: usize = 16 * 1024;
/// Longest name of a service or an instance, in bytes: what verifiers allow themselves.
const MAX_NAME: usize = 200;
/// Longest word, in bytes, such as a reason that a later release of the verifier knows.
const MAX_WORD: usize = 50;

/// Why one is stale that has signed off: nothing is expected of it any more.
pub const ENDED: &str = "ended";

/// What one verifier said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The service whose tokens it verifies.
    pub service: String,
    /// The process.
    pub instance: String,
    /// When it said so; never after it was received.
    pub reported_at: OffsetDateTime,
    /// Offset in the stream of the last message applied.
    pub applied_offset: Option<i64>,
    /// That message's time.
    pub applied_time: Option<OffsetDateTime>,
    /// Denials held.
    pub entries: i64,
    /// Whether it cannot vouch for being up to date.
    pub stale: bool,
    /// Why it is stale.
    pub stale_reason: Option<String>,
    /// What it does with a token that it cannot judge.
    pub staleness_policy: Option<String>,
}

/// CloudEvents envelope, or not: then it has no `data`.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(with = "time::serde::rfc3339::option", default)]
    time: Option<OffsetDateTime>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// `revocation_verifier::message::Status` with its words open: a verifier of a later release must not vanish
/// from the record.
#[derive(Deserialize)]
struct Data {
    service: String,
    instance: String,
    #[serde(default)]
    applied_offset: Option<u64>,
    #[serde(with = "time::serde::rfc3339::option", default)]
    applied_time: Option<OffsetDateTime>,
    entries: u64,
    stale: bool,
    #[serde(default)]
    stale_reason: Option<String>,
    #[serde(default)]
    staleness_policy: Option<String>,
    #[serde(default)]
    ended: bool,
}

impl Report {
    /// Reads a report in an envelope, or the bare `data` of one.
    pub fn parse(body: &[u8], received_at: OffsetDateTime) -> Option<Self> {
        if body.len() > MAX_BYTES {
            return None;
        }
        let Outer { kind, time, data } = serde_json::from_slice(body).ok()?;
        match data {
            Some(data) if kind.as_deref() == Some(STATUS_TYPE) => {
                // A clock ahead of ours must not make the verifier's next reports look old.
                Self::new(
                    serde_json::from_str(data.get()).ok()?,
                    time.unwrap_or(received_at).min(received_at),
                )
            }
            Some(_) => None,
            None => Self::new(serde_json::from_slice(body).ok()?, received_at),
        }
    }

    fn new(data: Data, reported_at: OffsetDateTime) -> Option<Self> {
        let names = [&data.service, &data.instance].into_iter().all(|name| is_text(name, MAX_NAME));
        let words = [&data.stale_reason, &data.staleness_policy]
            .into_iter()
            .flatten()
            .all(|word| is_text(word, MAX_WORD));
        // A time that has no place in UTC cannot be sent to Postgres.
        let applied_time = match data.applied_time {
            Some(time) => Some(time.checked_to_offset(UtcOffset::UTC)?),
            None => None,
        };
        let times = [Some(reported_at), applied_time]
            .into_iter()
            .flatten()
            .all(|time| time >= OffsetDateTime::UNIX_EPOCH);
        if !(names && words && times) {
            return None;
        }
        Some(Self {
            service: data.service,
            instance: data.instance,
            reported_at,
            applied_offset: data.applied_offset.map(i64::try_from).transpose().ok()?,
            applied_time,
            entries: i64::try_from(data.entries).ok()?,
            stale: data.stale || data.ended,
            stale_reason: if data.ended { Some(ENDED.to_owned()) } else { data.stale_reason },
            staleness_policy: data.staleness_policy,
        })
    }
}

/// Postgres stores no NUL.
fn is_text(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use revocation_verifier::message::{Envelope, Staleness, StalenessPolicy, Status};
    use serde_json::{Value, json};
    use time::Duration;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-20 22:30 UTC);

    fn status() -> Status {
        Status {
            service: "shop-api".to_owned(),
            instance: "pod-7".to_owned(),
            applied_offset: Some(812),
            applied_time: Some(NOW - Duration::seconds(4)),
            entries: 1042,
            stale: true,
            stale_reason: Some(Staleness::Silent),
            staleness_policy: Some(StalenessPolicy::FailClosed),
            ended: false,
        }
    }

    fn enveloped(time: OffsetDateTime) -> Vec<u8> {
        Envelope { time, ..Envelope::new("/revocation-verifier/shop-api/pod-7", STATUS_TYPE, status()) }
            .to_json()
    }

    #[test]
    fn both_shapes_say_what_the_verifier_said() {
        let sent = NOW - Duration::seconds(1);
        let report = Report::parse(&enveloped(sent), NOW).expect("a report");
        let expected = Report {
            service: "shop-api".to_owned(),
            instance: "pod-7".to_owned(),
            reported_at: sent,
            applied_offset: Some(812),
            applied_time: status().applied_time,
            entries: 1042,
            stale: true,
            stale_reason: Some("silent".to_owned()),
            staleness_policy: Some("fail_closed".to_owned()),
        };
        assert_eq!(report, expected);
        let bare = serde_json::to_vec(&status()).expect("JSON");
        assert_eq!(Report::parse(&bare, NOW), Some(Report { reported_at: NOW, ..expected }));
    }

    #[test]
    fn who_signs_off_is_not_missed() {
        for (ended, reason) in [(true, Some(ENDED)), (false, None)] {
            let body =
                json!({ "service": "s", "instance": "i", "entries": 0, "stale": false, "ended": ended });
            let report = Report::parse(body.to_string().as_bytes(), NOW).expect("a report");
            assert_eq!((report.stale, report.stale_reason.as_deref()), (ended, reason));
        }
    }

    #[test]
    fn a_clock_ahead_counts_as_now() {
        let report = Report::parse(&enveloped(NOW + Duration::days(365)), NOW);
        assert_eq!(report.map(|report| report.reported_at), Some(NOW));
    }

    #[test]
    fn what_a_later_release_adds_is_no_obstacle() {
        let body = json!({
            "service": "s", "instance": "i", "entries": 0, "stale": true, "stale_reason": "asleep",
            "mood": [1]
        });
        let report = Report::parse(body.to_string().as_bytes(), NOW).expect("a report");
        assert_eq!((report.stale_reason.as_deref(), report.applied_time), (Some("asleep"), None));
    }

    #[test]
    fn what_cannot_be_stored_is_no_report() {
        let good = json!({
            "service": "s", "instance": "i", "applied_offset": 1, "applied_time": "2026-11-20T22:30:00Z",
            "entries": 0, "stale": false
        });
        assert!(Report::parse(good.to_string().as_bytes(), NOW).is_some());
        for (member, value) in [
            ("service", json!("")),
            ("service", json!("a\0b")),
            ("service", json!("é".repeat(101))),
            ("service", json!("x".repeat(MAX_BYTES))),
            ("instance", json!(7)),
            ("instance", Value::Null),
            ("entries", json!(-1)),
            ("entries", json!(u64::MAX)),
            ("applied_offset", json!(u64::MAX)),
            ("applied_time", json!("-4800-01-01T00:00:00Z")),
            ("applied_time", json!("1969-12-31T23:59:59Z")),
            ("applied_time", json!("9999-12-31T23:59:59-12:00")),
            ("applied_time", json!("soon")),
            ("stale", json!("no")),
            ("stale_reason", json!("")),
            ("staleness_policy", json!("x".repeat(51))),
        ] {
            let mut bad = good.clone();
            bad[member] = value;
            assert_eq!(Report::parse(bad.to_string().as_bytes(), NOW), None, "{bad}");
        }
        let deep = "[".repeat(10_000);
        for body in ["", "{", "null", "[]", "\u{0}", r#"{"data":{}}"#, deep.as_str()] {
            assert_eq!(Report::parse(body.as_bytes(), NOW), None, "{body}");
        }
        let other_type = json!({ "type": "auth.invalidation.v1", "data": good });
        assert_eq!(Report::parse(other_type.to_string().as_bytes(), NOW), None);
        assert_eq!(Report::parse(b"\xff\xfe", NOW), None);
    }
}
