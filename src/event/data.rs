//! The members of `data` that hold for the whole event: cutoff and incident.

use time::{Duration, OffsetDateTime};

use super::json::Json;
use super::members::Members;
use super::{EventType, Refusal};
use crate::target::Kind;
use crate::visible::{described, is_hidden};

/// Longest `reason`.
pub(super) const MAX_REASON_BYTES: usize = 1024;
/// Longest `actor`.
pub(super) const MAX_ACTOR_BYTES: usize = 1024;
/// Longest `incident`.
const MAX_INCIDENT_BYTES: usize = 255;
/// How far a publisher's clock may run ahead of this worker's.
const CLOCK_SKEW: Duration = Duration::minutes(5);

/// The cutoff of wide targets.
pub(super) struct Cutoff {
    /// `not_before` as it is given.
    pub(super) asked: Option<OffsetDateTime>,
    /// What holds.
    pub(super) effective: OffsetDateTime,
}

/// The cutoff of wide targets: `not_before`, else the event's `time`, else the receipt.
///
/// A cutoff in the future would lock users out of sessions that they have not begun yet. One that is asked
/// for is refused beyond clock skew; the default merely follows a clock, so it is held at the receipt. So is
/// what a logout asks for: whoever logs out means sessions that there are. Who orders a mass revocation may
/// mean those of the next minutes too.
pub(super) fn cutoff(
    data: &mut Members<'_>,
    event_type: EventType,
    occurred_at: Option<OffsetDateTime>,
    received_at: OffsetDateTime,
) -> Result<Cutoff, Refusal> {
    let asked = data.time("not_before")?;
    let effective = match asked {
        Some(asked) if asked - received_at > CLOCK_SKEW => {
            return Err(data.invalid(
                "not_before",
                "lies more than 5 minutes in the future and would deny tokens that are not issued yet",
            ));
        }
        Some(asked) if event_type == EventType::MassRevocation => asked,
        Some(asked) => asked.min(received_at),
        None => occurred_at.unwrap_or(received_at).min(received_at),
    };
    Ok(Cutoff { asked, effective })
}

/// The incident that an event belongs to.
pub(super) struct Incident {
    /// `data.incident`
    pub(super) name: Option<String>,
    /// `data.incident_targets`
    pub(super) targets: Option<i64>,
    /// `data.incident_kinds`
    pub(super) kinds: Vec<(Kind, i64)>,
}

/// Required for mass revocations. On a logout its members are refused: whoever wrote them meant the other
/// type.
pub(super) fn incident(data: &mut Members<'_>, event_type: EventType) -> Result<Incident, Refusal> {
    let name = data.word("incident", MAX_INCIDENT_BYTES)?;
    if let Some(hidden) = name.iter().flat_map(|name| name.chars()).find(|c| is_hidden(*c)) {
        return Err(data.invalid(
            "incident",
            &format!("has {}, which does not show: people could not type it", described(hidden)),
        ));
    }
    let targets = incident_targets(data)?;
    let kinds = incident_kinds(data)?;
    match event_type {
        EventType::MassRevocation if name.is_none() => Err(data.missing("incident")),
        EventType::Logout if name.is_some() => Err(only_mass(data, "incident")),
        EventType::Logout if targets.is_some() => Err(only_mass(data, "incident_targets")),
        EventType::Logout if !kinds.is_empty() => Err(only_mass(data, "incident_kinds")),
        _ => Ok(Incident { name, targets: at_least(targets, &kinds), kinds }),
    }
}

fn only_mass(data: &Members<'_>, name: &str) -> Refusal {
    data.invalid(name, &format!("belongs to type {} only", EventType::MassRevocation.as_str()))
}

fn incident_targets(data: &mut Members<'_>) -> Result<Option<i64>, Refusal> {
    match data.take("incident_targets")? {
        None => Ok(None),
        Some(Json::Integer(count @ 1..)) => Ok(Some(count)),
        Some(_) => Err(data.invalid("incident_targets", "must be a whole number from 1 on")),
    }
}

/// How many targets of each kind the whole incident will have.
fn incident_kinds(data: &mut Members<'_>) -> Result<Vec<(Kind, i64)>, Refusal> {
    const WANTED: &str =
        "must be an object of kinds and whole numbers from 1 on, such as {\"token\": 200000, \"client\": 1}";
    let entries = match data.take("incident_kinds")? {
        None => return Ok(Vec::new()),
        Some(Json::Object(entries)) => entries,
        Some(_) => return Err(data.invalid("incident_kinds", WANTED)),
    };
    let counted = |(name, count): (_, Json<'_>)| match (Kind::parse(AsRef::<str>::as_ref(&name)), count) {
        (Some(kind), Json::Integer(count @ 1..)) => Some((kind, count)),
        _ => None,
    };
    entries
        .into_iter()
        .map(counted)
        .collect::<Option<_>>()
        .ok_or_else(|| data.invalid("incident_kinds", WANTED))
}

/// What is announced by kind counts in the total too, which is what people approve.
fn at_least(targets: Option<i64>, kinds: &[(Kind, i64)]) -> Option<i64> {
    let sum = kinds.iter().fold(0, |sum: i64, (_, targets)| sum.saturating_add(*targets));
    targets.max(Some(sum).filter(|sum| *sum > 0))
}
