//! Opening: the row of an incident, written with the first of its events and kept up to date by the later
//! ones.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::store::accept::NewEvent;

/// What newly accepted events say of one incident.
pub(in crate::store) struct NewIncident<'a> {
    reason: Option<&'a str>,
    opened_by: &'a str,
    opened_via: Option<&'a str>,
    opened_at: OffsetDateTime,
    /// Who ordered these events, and by which broker users they came.
    contributors: Vec<&'a str>,
    /// How many targets these events have.
    targets: i64,
    expected: Option<i64>,
    asks: Vec<&'static str>,
    asking: i64,
    asking_expected: Option<i64>,
    above_targets: i64,
}

impl<'a> NewIncident<'a> {
    /// By incident; the first event of each tells who opened it and why.
    pub(in crate::store) fn gather(
        events: impl Iterator<Item = (Option<&'a str>, &'a NewEvent<'a>)>,
    ) -> BTreeMap<&'a str, Self> {
        let mut incidents: BTreeMap<&str, Self> = BTreeMap::new();
        for (name, new) in events {
            let (Some(name), Some(approval)) = (name, new.incident) else { continue };
            let incident = incidents.entry(name).or_insert_with(|| Self::of(new));
            incident.contributors.extend([actor(new), new.broker_user].into_iter().flatten());
            incident.contributors.extend(approval.senders.iter().map(String::as_str));
            incident.targets += i64::try_from(new.event.targets.len()).unwrap_or(i64::MAX);
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
            reason: if new.is_held_logout() { Some(OVER_RATE) } else { new.event.reason.as_deref() },
            opened_by: actor(new).or(new.broker_user).unwrap_or(UNNAMED),
            opened_via: new.broker_user,
            opened_at: new.event.received_at,
            contributors: Vec::new(),
            targets: 0,
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

/// Who ordered it. Anybody may write into a logout who logs out: were that whoever could approve, nobody
/// could.
fn actor<'a>(new: &NewEvent<'a>) -> Option<&'a str> {
    if new.is_held_logout() {
        return None;
    }
    new.event.actor.as_deref().filter(|actor| !actor.trim().is_empty())
}

/// Opens incidents, or adds to those that are open. One that then asks for more than was approved stops until
/// it is approved; one that had ended goes on.
pub(in crate::store) async fn open(
    connection: &mut PgConnection,
    incidents: BTreeMap<&str, NewIncident<'_>>,
) -> Result<Found, sqlx::Error> {
    let rows = lock(connection, &incidents).await?;
    let names = |is: fn(&&Row) -> bool| rows.iter().filter(is).map(|row| row.incident.clone()).collect();
    let found =
        Found { cancelled: names(|row| row.state == "cancelled"), decided: names(|row| row.is_decided) };
    let added: BTreeMap<_, _> = incidents
        .into_iter()
        .filter_map(|(name, new)| Some((rows.iter().find(|row| row.incident == name && !row.is_new)?, new)))
        .map(|(row, new)| (row.incident.as_str(), (row.was_finished, new)))
        .collect();
    if !added.is_empty() {
        add(connection, &added).await?;
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
async fn lock(
    connection: &mut PgConnection,
    incidents: &BTreeMap<&str, NewIncident<'_>>,
) -> Result<Vec<Row>, sqlx::Error> {
    let names: Vec<_> = incidents.keys().copied().collect();
    let of: Vec<_> = incidents.values().collect();
    let reasons: Vec<_> = of.iter().map(|new| new.reason).collect();
    let opened_by: Vec<_> = of.iter().map(|new| new.opened_by).collect();
    let opened_via: Vec<_> = of.iter().map(|new| new.opened_via).collect();
    let opened_at: Vec<_> = of.iter().map(|new| new.opened_at).collect();
    let above: Vec<_> = of.iter().map(|new| new.above_targets).collect();
    let expected: Vec<_> = of.iter().map(|new| new.expected).collect();
    let asks: Vec<_> = of.iter().map(|new| new.asks.join(",")).collect();
    let asking: Vec<_> = of.iter().map(|new| new.asking).collect();
    let asking_expected: Vec<_> = of.iter().map(|new| new.asking_expected).collect();
    let contributors: Vec<_> = of.iter().map(|new| new.contributors.join("\u{1f}")).collect();
    sqlx::query_as!(
        Row,
        r#"WITH n AS MATERIALIZED (
            SELECT n.incident, n.reason, n.opened_by, n.opened_via, n.opened_at, n.above, n.expected, n.asking, n.asking_expected,
                ARRAY(SELECT DISTINCT unnest(string_to_array(n.asks, ',')) ORDER BY 1) AS asks,
                ARRAY(SELECT DISTINCT revocation.person(who) FROM unnest(string_to_array(n.contributors, E'\x1f')) who) AS contributors,
                (SELECT coalesce(sum(targets), 0) FROM revocation.incident_counts c WHERE c.incident = n.incident)::bigint AS received
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[], $7::bigint[], $8::text[], $9::bigint[],
                $10::bigint[], $11::text[])
                AS n (incident, reason, opened_by, opened_via, opened_at, above, expected, asks, asking, asking_expected, contributors)
        ), before AS MATERIALIZED (
            SELECT i.incident FROM n JOIN revocation.incidents i ON i.incident = n.incident WHERE i.finished_at IS NOT NULL
        )
        INSERT INTO revocation.incidents AS i (incident, state, reason, opened_by, opened_via, opened_at, approval_above, targets_expected, asks,
            asking, asking_expected, contributors)
        SELECT n.incident, CASE WHEN EXISTS (SELECT FROM revocation.incidents i WHERE i.incident = n.incident) -- it keeps its own state
                    OR n.asks <> '{}' OR greatest(n.asking, n.asking_expected) > 0 OR greatest(n.expected, n.received) > n.above
                THEN 'awaiting_approval' ELSE 'running' END,
            n.reason, n.opened_by, n.opened_via, n.opened_at, n.above, n.expected, n.asks, n.asking, n.asking_expected, n.contributors
        FROM n ORDER BY n.incident
        ON CONFLICT (incident) DO UPDATE SET finished_at = NULL
        RETURNING i.incident, i.state, i.xmax = 0 AS "is_new!", EXISTS (SELECT FROM before b WHERE b.incident = i.incident) AS "was_finished!",
            i.state = 'cancelled' OR i.approved_by IS NOT NULL OR EXISTS (SELECT FROM before b WHERE b.incident = i.incident) AS "is_decided!""#,
        &names as &[&str],
        &reasons as &[Option<&str>],
        &opened_by as &[&str],
        &opened_via as &[Option<&str>],
        &opened_at,
        &above,
        &expected as &[Option<i64>],
        &asks,
        &asking,
        &asking_expected as &[Option<i64>],
        &contributors
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
    incidents: &BTreeMap<&str, (bool, NewIncident<'_>)>,
) -> Result<(), sqlx::Error> {
    let names: Vec<_> = incidents.keys().copied().collect();
    let was_finished: Vec<_> = incidents.values().map(|(was_finished, _)| *was_finished).collect();
    let of: Vec<_> = incidents.values().map(|(_, new)| new).collect();
    let expected: Vec<_> = of.iter().map(|new| new.expected).collect();
    let asks: Vec<_> = of.iter().map(|new| new.asks.join(",")).collect();
    let asking: Vec<_> = of.iter().map(|new| new.asking).collect();
    let asking_expected: Vec<_> = of.iter().map(|new| new.asking_expected).collect();
    let contributors: Vec<_> = of.iter().map(|new| new.contributors.join("\u{1f}")).collect();
    let targets: Vec<_> = of.iter().map(|new| new.targets).collect();
    let by: Vec<_> = of.iter().map(|new| new.opened_by).collect();
    let via: Vec<_> = of.iter().map(|new| new.opened_via).collect();
    let reasons: Vec<_> = of.iter().map(|new| new.reason).collect();
    sqlx::query!(
        r#"WITH n AS MATERIALIZED (
            SELECT n.incident, n.was_finished, n.targets, n.by, n.via, n.reason,
                greatest(i.targets_expected, n.expected) AS expected, i.asking + n.asking AS asking,
                greatest(i.asking_expected, n.asking_expected) AS asking_expected,
                ARRAY(SELECT DISTINCT unnest(i.asks || string_to_array(n.asks, ',')) ORDER BY 1) AS asks,
                ARRAY(SELECT DISTINCT revocation.person(who) FROM unnest(string_to_array(n.contributors, E'\x1f')) who) AS contributors,
                (SELECT sum(targets) FROM revocation.incident_counts c WHERE c.incident = n.incident)::bigint AS received
            FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::boolean[], $8::bigint[], $9::text[],
                $10::text[], $11::text[])
                AS n (incident, expected, asks, asking, asking_expected, contributors, was_finished, targets, by, via, reason)
            JOIN revocation.incidents i ON i.incident = n.incident
        ), judged AS MATERIALIZED (
            SELECT n.*, i.state <> 'cancelled' AND (NOT n.asks <@ coalesce(i.approved_asks, '{}')
                    OR greatest(n.asking, n.asking_expected) > coalesce(i.approved_asking, 0)
                    OR coalesce(greatest(n.expected, n.received), 0) > greatest(i.approval_above, i.approved_targets)) AS waits,
                n.was_finished OR i.state = 'cancelled' OR n.received > coalesce(i.targets_expected, 0) OR NOT n.asks <@ i.asks
                    OR n.asking > coalesce(i.asking_expected, 0) AND n.asking > i.asking OR NOT n.contributors <@ i.contributors
                    OR n.expected > coalesce(i.targets_expected, 0) OR n.asking_expected > coalesce(i.asking_expected, 0) AS goes_beyond
            FROM n JOIN revocation.incidents i ON i.incident = n.incident
        ), added AS (
            UPDATE revocation.incidents i
            SET targets_expected = n.expected, asks = n.asks, asking = n.asking, asking_expected = n.asking_expected,
                contributors = i.contributors || n.contributors,
                state = CASE WHEN n.waits THEN 'awaiting_approval' ELSE i.state END,
                was_paused = i.was_paused OR (n.waits AND i.state = 'paused')
            FROM judged n WHERE i.incident = n.incident
            RETURNING i.incident, i.state
        )
        INSERT INTO revocation.operations (actor, action, incident, detail)
        SELECT n.by, 'add', n.incident, jsonb_build_object('targets', n.targets, 'via', n.via, 'contributors', n.contributors, 'reason', n.reason,
            'targets_expected', n.expected, 'targets_received', n.received, 'asks', n.asks, 'state', a.state)
        FROM judged n JOIN added a ON a.incident = n.incident WHERE n.goes_beyond"#,
        &names as &[&str],
        &expected as &[Option<i64>],
        &asks,
        &asking,
        &asking_expected as &[Option<i64>],
        &contributors,
        &was_finished,
        &targets,
        &by as &[&str],
        &via as &[Option<&str>],
        &reasons as &[Option<&str>]
    )
    .execute(connection)
    .await
    .map(drop)
}
