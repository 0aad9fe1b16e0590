//! Opening: the row of an incident, written with the first of its events and kept up to date by the later ones.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::accept::NewEvent;

/// What newly accepted events say of one incident.
pub(super) struct NewIncident<'a> {
    reason: Option<&'a str>,
    opened_by: &'a str,
    opened_via: Option<&'a str>,
    opened_at: OffsetDateTime,
    expected: Option<i64>,
    asks: Vec<&'static str>,
    above_targets: i64,
}

impl<'a> NewIncident<'a> {
    /// By incident; the first event of each tells who opened it and why.
    pub(super) fn gather(events: impl Iterator<Item = &'a NewEvent<'a>>) -> BTreeMap<&'a str, Self> {
        let mut incidents: BTreeMap<&str, Self> = BTreeMap::new();
        for new in events {
            let (Some(name), Some(approval)) = (new.event.incident.as_deref(), new.incident) else { continue };
            let incident = incidents.entry(name).or_insert_with(|| Self::of(new));
            incident.expected = incident.expected.max(new.event.incident_targets);
            incident.asks.extend(approval.asks.iter().map(|kind| kind.as_str()));
            incident.above_targets = approval.above_targets;
        }
        incidents
    }

    fn of(new: &'a NewEvent<'a>) -> Self {
        let named = new.event.actor.as_deref().filter(|actor| !actor.trim().is_empty());
        Self {
            reason: new.event.reason.as_deref(),
            opened_by: named.or(new.broker_user).unwrap_or("unknown"),
            opened_via: new.broker_user,
            opened_at: new.event.received_at,
            expected: None,
            asks: Vec::new(),
            above_targets: 0,
        }
    }
}

/// Opens incidents, or adds to those that are open. One that then asks for more than was approved stops until it is approved; one that had ended
/// goes on. The row is locked in any case, so that nobody ends it meanwhile.
pub(super) async fn open(connection: &mut PgConnection, incidents: BTreeMap<&str, NewIncident<'_>>) -> Result<(), sqlx::Error> {
    let names: Vec<_> = incidents.keys().copied().collect();
    let of = incidents.into_values().collect::<Vec<_>>();
    let reasons: Vec<_> = of.iter().map(|new| new.reason).collect();
    let opened_by: Vec<_> = of.iter().map(|new| new.opened_by).collect();
    let opened_via: Vec<_> = of.iter().map(|new| new.opened_via).collect();
    let opened_at: Vec<_> = of.iter().map(|new| new.opened_at).collect();
    let expected: Vec<_> = of.iter().map(|new| new.expected).collect();
    let asks: Vec<_> = of.iter().map(|new| new.asks.join(",")).collect();
    let above: Vec<_> = of.iter().map(|new| new.above_targets).collect();
    sqlx::query!(
        r#"WITH n AS MATERIALIZED (
            SELECT incident, reason, opened_by, opened_via, opened_at, expected, ARRAY(SELECT DISTINCT unnest(string_to_array(asks, ',')) ORDER BY 1) AS asks,
                above, (SELECT sum(targets) FROM revocation.incident_counts c WHERE c.incident = n.incident)::bigint AS received
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[], $7::text[], $8::bigint[])
                AS n (incident, reason, opened_by, opened_via, opened_at, expected, asks, above)
        ), opened AS (
            INSERT INTO revocation.incidents AS i (incident, state, reason, opened_by, opened_via, opened_at, targets_expected, asks, approval_above)
            SELECT incident, CASE WHEN revocation.calls_for_approval(asks, greatest(expected, received), above, NULL, NULL) THEN 'awaiting_approval' ELSE 'running' END,
                reason, opened_by, opened_via, opened_at, expected, asks, above
            FROM n ORDER BY incident
            ON CONFLICT (incident) DO UPDATE
            SET targets_expected = greatest(i.targets_expected, excluded.targets_expected),
                asks = ARRAY(SELECT DISTINCT unnest(i.asks || excluded.asks) ORDER BY 1),
                state = CASE WHEN i.state IN ('running', 'paused') AND revocation.calls_for_approval(i.asks || excluded.asks,
                        greatest(i.targets_expected, excluded.targets_expected, (SELECT received FROM n WHERE n.incident = excluded.incident)),
                        i.approval_above, i.approved_asks, i.approved_targets) THEN 'awaiting_approval' ELSE i.state END,
                finished_at = NULL
            RETURNING incident, opened_by, reason, targets_expected, asks, state, xmax = 0 AS is_new
        )
        INSERT INTO revocation.operations (actor, action, incident, detail)
        SELECT opened_by, 'open', incident,
            jsonb_build_object('reason', reason, 'targets_expected', targets_expected, 'asks', asks, 'state', state)
        FROM opened WHERE is_new"#,
        &names as &[&str],
        &reasons as &[Option<&str>],
        &opened_by as &[&str],
        &opened_via as &[Option<&str>],
        &opened_at,
        &expected as &[Option<i64>],
        &asks,
        &above
    )
    .execute(connection)
    .await
    .map(drop)
}
