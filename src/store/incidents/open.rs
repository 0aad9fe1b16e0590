//! Opening: the row of an incident, written with the first of its events and kept up to date by the later
//! ones.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::store::accept::NewEvent;

/// What newly accepted events say of one incident: `revocation.new_incident`.
#[derive(sqlx::Encode)]
pub(in crate::store) struct NewIncident<'a> {
    incident: &'a str,
    reason: Option<&'a str>,
    opened_by: &'a str,
    opened_via: Option<&'a str>,
    opened_at: OffsetDateTime,
    /// Who ordered these events, and by which broker users they came.
    contributors: Vec<&'a str>,
    /// How many targets these events have.
    targets: i64,
    targets_expected: Option<i64>,
    approval_kinds: Vec<&'static str>,
    needing_approval: i64,
    needing_approval_expected: Option<i64>,
    above_targets: i64,
}

composite!(NewIncident<'_>, "revocation.new_incident");

impl<'a> NewIncident<'a> {
    /// In the order of their names; the first event of each tells who opened it and why.
    pub(in crate::store) fn gather(
        events: impl Iterator<Item = (Option<&'a str>, &'a NewEvent<'a>)>,
    ) -> Vec<Self> {
        let mut incidents: BTreeMap<&str, Self> = BTreeMap::new();
        for (name, new) in events {
            let (Some(name), Some(approval)) = (name, new.incident) else { continue };
            let incident = incidents.entry(name).or_insert_with(|| Self::of(name, new));
            incident.contributors.extend([actor(new), new.broker_user].into_iter().flatten());
            incident.contributors.extend(approval.senders.iter().map(String::as_str));
            incident.targets += i64::try_from(new.event.targets.len()).unwrap_or(i64::MAX);
            incident.targets_expected = incident.targets_expected.max(new.event.incident_targets);
            incident.approval_kinds.extend(approval.approval_kinds.iter().map(|kind| kind.as_str()));
            incident.needing_approval += approval.needing_approval;
            incident.needing_approval_expected =
                incident.needing_approval_expected.max(approval.needing_approval_expected);
            incident.above_targets = approval.above_targets;
        }
        incidents.into_values().collect()
    }

    fn of(incident: &'a str, new: &'a NewEvent<'a>) -> Self {
        Self {
            incident,
            reason: if new.is_held_logout() { Some(OVER_RATE) } else { new.event.reason.as_deref() },
            opened_by: actor(new).or(new.broker_user).unwrap_or(UNNAMED),
            opened_via: new.broker_user,
            opened_at: new.event.received_at,
            contributors: Vec::new(),
            targets: 0,
            targets_expected: None,
            approval_kinds: Vec::new(),
            needing_approval: 0,
            needing_approval_expected: None,
            above_targets: 0,
        }
    }
}

/// Stands for a broker user where an event names none.
const UNNAMED: &str = "unnamed publisher";

/// Why an incident was opened that holds what logouts order beyond a sender's rate.
const OVER_RATE: &str = "more logouts than the broker user may order in a minute";

/// Who ordered it. Anybody may write into a logout who logs out: were that whoever could approve, nobody
/// could.
fn actor<'a>(new: &NewEvent<'a>) -> Option<&'a str> {
    if new.is_held_logout() {
        return None;
    }
    new.event.actor.as_deref().filter(|actor| !actor.trim().is_empty())
}

/// Opens incidents, or adds to those that are open. One that then needs more than was approved stops until it
/// is approved; one that had ended goes on.
pub(in crate::store) async fn open(
    connection: &mut PgConnection,
    mut incidents: Vec<NewIncident<'_>>,
) -> Result<Found, sqlx::Error> {
    let rows = lock(connection, &incidents).await?;
    let names = |is: fn(&&Row) -> bool| rows.iter().filter(is).map(|row| row.incident.clone()).collect();
    let found =
        Found { cancelled: names(|row| row.state == "cancelled"), decided: names(|row| row.is_decided) };
    incidents.retain(|new| rows.iter().any(|row| row.incident == new.incident && !row.is_new));
    if !incidents.is_empty() {
        add(connection, &incidents, &names(|row| row.was_finished)).await?;
    }
    Ok(found)
}

/// What was met of these incidents.
pub(in crate::store) struct Found {
    /// What is added to these is neither denied nor revoked.
    pub(in crate::store) cancelled: Vec<String>,
    /// Those, and what somebody has approved, or what has finished.
    pub(in crate::store) decided: Vec<String>,
}

/// An incident's row, locked.
struct Row {
    incident: String,
    state: String,
    is_new: bool,
    is_decided: bool,
    was_finished: bool,
}

/// Makes the rows that are not there, and locks all of them: nobody ends, steers or adds to one until this is
/// committed. A trigger puts both on record.
async fn lock(connection: &mut PgConnection, incidents: &[NewIncident<'_>]) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_file_as!(Row, "src/store/incidents/open.sql", incidents as _).fetch_all(connection).await
}

/// A statement of its own: it sees the counts of whoever held the rows before.
///
/// What goes beyond the order that is on record, or comes by somebody else, has its row of
/// `audit.operations`, one for all events of this commit: the many events of one announced order have none
/// each.
async fn add(
    connection: &mut PgConnection,
    incidents: &[NewIncident<'_>],
    finished: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query_file!("src/store/incidents/add.sql", incidents as _, finished)
        .execute(connection)
        .await
        .map(drop)
}
