WITH n AS MATERIALIZED (
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
        i.state <> 'cancelled' AND audit.needs_approval(
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
WHERE n.goes_beyond
