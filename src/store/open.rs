//! Opening: the row of an incident, written with the first of its events and kept up to date by the later ones.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::accept::NewEvent;
use crate::event::EventType;

/// What newly accepted events say of one incident.
pub(super) struct NewIncident<'a> {
    reason: Option<&'a str>,
    opened_by: &'a str,
    opened_via: Option<&'a str>,
    opened_at: OffsetDateTime,
    /// Who ordered these events, and by which broker users they came.
    contributors: Vec<&'a str>,
    expected: Option<i64>,
    asks: Vec<&'static str>,
    asking: i64,
    asking_expected: Option<i64>,
    above_targets: i64,
}

impl<'a> NewIncident<'a> {
    /// By incident; the first event of each tells who opened it and why.
    pub(super) fn gather(events: impl Iterator<Item = &'a NewEvent<'a>>) -> BTreeMap<&'a str, Self> {
        let mut incidents: BTreeMap<&str, Self> = BTreeMap::new();
        for new in events {
            let (Some(name), Some(approval)) = (new.event.incident.as_deref(), new.incident) else { continue };
            let incident = incidents.entry(name).or_insert_with(|| Self::of(new));
            incident.contributors.extend([actor(new), new.broker_user].into_iter().flatten());
            incident.contributors.extend(approval.senders.iter().map(String::as_str));
            incident.expected = incident.expected.max(new.event.incident_targets);
            incident.asks.extend(approval.asks.iter().map(|kind| kind.as_str()));
            incident.asking += approval.asking;
            incident.asking_expected = incident.asking_expected.max(approval.asking_expected);
            incident.above_targets = approval.above_targets;
        }
        incidents
    }

    fn of(new: &'a NewEvent<'a>) -> Self {
        Self {
            reason: if is_held_logout(new) { Some(OVER_RATE) } else { new.event.reason.as_deref() },
            opened_by: actor(new).or(new.broker_user).unwrap_or(UNNAMED),
            opened_via: new.broker_user.or(is_held_logout(new).then_some(UNNAMED)),
            opened_at: new.event.received_at,
            contributors: Vec::new(),
            expected: None,
            asks: Vec::new(),
            asking: 0,
            asking_expected: None,
            above_targets: 0,
        }
    }
}

/// Stands for a broker user where an event names none.
const UNNAMED: &str = "unnamed publisher";

/// Why an incident was opened that holds what logouts order beyond a sender's rate.
const OVER_RATE: &str = "more logouts than the broker user may order in a minute";

fn is_held_logout(new: &NewEvent<'_>) -> bool {
    new.event.event_type == EventType::Logout && new.incident.is_some_and(|approval| approval.is_excess)
}

/// Who ordered it. Anybody may write into a logout who logs out: were that whoever could approve, nobody could.
fn actor<'a>(new: &NewEvent<'a>) -> Option<&'a str> {
    if is_held_logout(new) {
        return None;
    }
    new.event.actor.as_deref().filter(|actor| !actor.trim().is_empty())
}

/// Opens incidents, or adds to those that are open. One that then asks for more than was approved stops until it is approved; one that had ended
/// goes on.
pub(super) async fn open(connection: &mut PgConnection, incidents: BTreeMap<&str, NewIncident<'_>>) -> Result<(), sqlx::Error> {
    let opened = lock(connection, &incidents).await?;
    add(connection, &incidents, &opened).await
}

/// Makes the rows that are not there, waiting for an approval, and locks all of them: nobody ends, steers or adds to one until this is committed.
/// Returns those that are new.
async fn lock(connection: &mut PgConnection, incidents: &BTreeMap<&str, NewIncident<'_>>) -> Result<Vec<String>, sqlx::Error> {
    let names: Vec<_> = incidents.keys().copied().collect();
    let of: Vec<_> = incidents.values().collect();
    let reasons: Vec<_> = of.iter().map(|new| new.reason).collect();
    let opened_by: Vec<_> = of.iter().map(|new| new.opened_by).collect();
    let opened_via: Vec<_> = of.iter().map(|new| new.opened_via).collect();
    let opened_at: Vec<_> = of.iter().map(|new| new.opened_at).collect();
    let above: Vec<_> = of.iter().map(|new| new.above_targets).collect();
    sqlx::query_scalar!(
        r#"WITH opened AS (
            INSERT INTO revocation.incidents AS i (incident, state, reason, opened_by, opened_via, opened_at, approval_above)
            SELECT n.incident, 'awaiting_approval', n.reason, n.opened_by, n.opened_via, n.opened_at, n.above
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[])
                AS n (incident, reason, opened_by, opened_via, opened_at, above)
            ORDER BY n.incident
            ON CONFLICT (incident) DO UPDATE SET finished_at = NULL
            RETURNING i.incident, i.xmax = 0 AS is_new
        )
        SELECT incident FROM opened WHERE is_new"#,
        &names as &[&str],
        &reasons as &[Option<&str>],
        &opened_by as &[&str],
        &opened_via as &[Option<&str>],
        &opened_at,
        &above
    )
    .fetch_all(connection)
    .await
}

/// A statement of its own: it sees the counts of whoever held the rows before.
async fn add(connection: &mut PgConnection, incidents: &BTreeMap<&str, NewIncident<'_>>, opened: &[String]) -> Result<(), sqlx::Error> {
    let names: Vec<_> = incidents.keys().copied().collect();
    let of: Vec<_> = incidents.values().collect();
    let expected: Vec<_> = of.iter().map(|new| new.expected).collect();
    let asks: Vec<_> = of.iter().map(|new| new.asks.join(",")).collect();
    let asking: Vec<_> = of.iter().map(|new| new.asking).collect();
    let asking_expected: Vec<_> = of.iter().map(|new| new.asking_expected).collect();
    let contributors: Vec<_> = of.iter().map(|new| new.contributors.join("\u{1f}")).collect();
    sqlx::query!(
        r#"WITH n AS MATERIALIZED (
            SELECT n.incident, greatest(i.targets_expected, n.expected) AS expected, i.asking + n.asking AS asking,
                greatest(i.asking_expected, n.asking_expected) AS asking_expected,
                ARRAY(SELECT DISTINCT unnest(i.asks || string_to_array(n.asks, ',')) ORDER BY 1) AS asks,
                ARRAY(SELECT DISTINCT revocation.person(who) FROM unnest(string_to_array(n.contributors, E'\x1f')) who) AS contributors,
                (SELECT sum(targets) FROM revocation.incident_counts c WHERE c.incident = n.incident)::bigint AS received
            FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[])
                AS n (incident, expected, asks, asking, asking_expected, contributors)
            JOIN revocation.incidents i ON i.incident = n.incident
        ), judged AS MATERIALIZED (
            SELECT n.*, i.state <> 'cancelled' AND (NOT n.asks <@ coalesce(i.approved_asks, '{}')
                OR greatest(n.asking, n.asking_expected) > coalesce(i.approved_asking, 0)
                OR coalesce(greatest(n.expected, n.received), 0) > greatest(i.approval_above, i.approved_targets)) AS waits
            FROM n JOIN revocation.incidents i ON i.incident = n.incident
        ), added AS (
            UPDATE revocation.incidents i
            SET targets_expected = n.expected, asks = n.asks, asking = n.asking, asking_expected = n.asking_expected,
                contributors = i.contributors || n.contributors,
                state = CASE WHEN n.waits THEN 'awaiting_approval' WHEN i.incident = ANY ($7) THEN 'running' ELSE i.state END,
                was_paused = i.was_paused OR (n.waits AND i.state = 'paused')
            FROM judged n WHERE i.incident = n.incident
            RETURNING i.incident, i.opened_by, i.reason, i.targets_expected, i.asks, i.state
        )
        INSERT INTO revocation.operations (actor, action, incident, detail)
        SELECT opened_by, 'open', incident,
            jsonb_build_object('reason', reason, 'targets_expected', targets_expected, 'asks', asks, 'state', state)
        FROM added WHERE incident = ANY ($7)"#,
        &names as &[&str],
        &expected as &[Option<i64>],
        &asks,
        &asking,
        &asking_expected as &[Option<i64>],
        &contributors,
        opened
    )
    .execute(connection)
    .await
    .map(drop)
}
