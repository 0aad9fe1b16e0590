WITH n AS MATERIALIZED (
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
            OR audit.needs_approval(
                n.kinds, greatest(n.asking, n.asking_expected),
                greatest(n.targets_expected, n.received), NULL, NULL, NULL, n.approval_above)
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
        OR EXISTS (SELECT FROM before b WHERE b.incident = i.incident) AS "is_decided!"
