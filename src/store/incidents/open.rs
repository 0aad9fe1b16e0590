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
    sqlx::query_as!(
        Row,
        r#"WITH n AS MATERIALIZED (
            SELECT n.*,
                ARRAY(SELECT DISTINCT unnest(n.asks) ORDER BY 1) AS kinds,
                ARRAY(SELECT DISTINCT revocation.person(who) FROM unnest(n.contributors) who) AS persons,
                (
                    SELECT coalesce(sum(c.targets), 0)::bigint FROM revocation.incident_counts c
                    WHERE c.incident = n.incident
                ) AS received
            FROM unnest($1::revocation.new_incident[]) AS n
        ), before AS MATERIALIZED (
            SELECT i.incident FROM n JOIN revocation.incidents i ON i.incident = n.incident
            WHERE i.finished_at IS NOT NULL
        )
        INSERT INTO revocation.incidents AS i (
            incident, state, reason, opened_by, opened_via, opened_at, approval_above, targets_expected, asks,
            asking, asking_expected, contributors)
        SELECT
            n.incident,
            -- One that is there keeps its own state: a row that may not run would not even be proposed.
            CASE
                WHEN EXISTS (SELECT FROM revocation.incidents i WHERE i.incident = n.incident)
                    OR revocation.needs_approval(
                        n.kinds, greatest(n.asking, n.asking_expected), greatest(n.targets_expected, n.received),
                        NULL, NULL, NULL, n.approval_above)
                THEN 'awaiting_approval'
                ELSE 'running'
            END,
            n.reason, n.opened_by, n.opened_via, n.opened_at, n.approval_above, n.targets_expected, n.kinds,
            n.asking, n.asking_expected, n.persons
        FROM n ORDER BY n.incident
        ON CONFLICT (incident) DO UPDATE SET finished_at = NULL
        RETURNING i.incident, i.state, i.xmax = 0 AS "is_new!",
            EXISTS (SELECT FROM before b WHERE b.incident = i.incident) AS "was_finished!",
            i.state = 'cancelled' OR i.approved_by IS NOT NULL
                OR EXISTS (SELECT FROM before b WHERE b.incident = i.incident) AS "is_decided!""#,
        incidents as _
    )
    .fetch_all(connection)
    .await
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
    sqlx::query!(
        r#"WITH n AS MATERIALIZED (
            SELECT n.incident, n.targets, n.opened_by, n.opened_via, n.reason,
                n.incident = ANY ($2) AS was_finished,
                greatest(i.targets_expected, n.targets_expected) AS expected,
                i.asking + n.asking AS asking,
                greatest(i.asking_expected, n.asking_expected) AS asking_expected,
                ARRAY(SELECT DISTINCT unnest(i.asks || n.asks) ORDER BY 1) AS asks,
                ARRAY(SELECT DISTINCT revocation.person(who) FROM unnest(n.contributors) who) AS contributors,
                (
                    SELECT sum(c.targets)::bigint FROM revocation.incident_counts c
                    WHERE c.incident = n.incident
                ) AS received
            FROM unnest($1::revocation.new_incident[]) AS n
            JOIN revocation.incidents i ON i.incident = n.incident
        ), judged AS MATERIALIZED (
            SELECT n.*,
                i.state <> 'cancelled' AND revocation.needs_approval(
                    n.asks, greatest(n.asking, n.asking_expected), greatest(n.expected, n.received),
                    i.approved_asks, i.approved_asking, i.approved_targets, i.approval_above) AS waits,
                n.was_finished
                    OR i.state = 'cancelled'
                    OR NOT n.asks <@ i.asks
                    OR NOT n.contributors <@ i.contributors
                    OR n.received > coalesce(i.targets_expected, 0)
                    OR n.expected > coalesce(i.targets_expected, 0)
                    OR n.asking > coalesce(i.asking_expected, 0) AND n.asking > i.asking
                    OR n.asking_expected > coalesce(i.asking_expected, 0) AS goes_beyond
            FROM n JOIN revocation.incidents i ON i.incident = n.incident
        ), added AS (
            UPDATE revocation.incidents i
            SET targets_expected = n.expected,
                asks = n.asks,
                asking = n.asking,
                asking_expected = n.asking_expected,
                contributors = i.contributors || n.contributors,
                state = CASE WHEN n.waits THEN 'awaiting_approval' ELSE i.state END,
                was_paused = i.was_paused OR (n.waits AND i.state = 'paused')
            FROM judged n WHERE i.incident = n.incident
            RETURNING i.incident, i.state
        )
        INSERT INTO revocation.operations (actor, action, incident, detail)
        SELECT n.opened_by, 'add', n.incident, jsonb_build_object(
            'targets', n.targets, 'via', n.opened_via, 'contributors', n.contributors, 'reason', n.reason,
            'targets_expected', n.expected, 'targets_received', n.received, 'asks', n.asks, 'state', a.state)
        FROM judged n JOIN added a ON a.incident = n.incident
        WHERE n.goes_beyond"#,
        incidents as _,
        finished
    )
    .execute(connection)
    .await
    .map(drop)
}
