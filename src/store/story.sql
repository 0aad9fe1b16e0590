WITH event AS MATERIALIZED (
    SELECT * FROM audit.events WHERE (event_source, event_id) = ($1, $2) ORDER BY received_at LIMIT 20
), target AS MATERIALIZED (
    SELECT r.* FROM audit.revocations r WHERE (r.event_source, r.event_id) = ($1, $2)
    ORDER BY r.received_at, length(r.revocation_id), r.revocation_id LIMIT 1000
), attempt AS (
    SELECT found.*
    FROM event CROSS JOIN LATERAL (
        SELECT revocation_id, attempt, worker, started_at, duration_ms, outcome, http_status, error
        FROM audit.event_attempts WHERE event_row = event.event_row
        UNION ALL
        SELECT revocation_id, attempt, worker, started_at, NULL, NULL, NULL, NULL
        FROM audit.event_attempts_under_way WHERE event_row = event.event_row
    ) AS found
    ORDER BY found.started_at, found.revocation_id LIMIT 500
)
SELECT jsonb_build_object(
    'at', now(),
    'events', (SELECT coalesce(jsonb_agg(e ORDER BY e.received_at), '[]') FROM event e),
    'propagation', (
        SELECT to_jsonb(p) FROM audit.propagation p
        WHERE (p.event_source, p.event_id) = ($1, $2)
        ORDER BY p.denied_at DESC NULLS FIRST LIMIT 1),
    'silent_verifiers', (
        SELECT coalesce(jsonb_agg(v ORDER BY v.service, v.instance), '[]')
        FROM audit.silent_verifiers v),
    'targets', (
        SELECT coalesce(jsonb_agg(t ORDER BY t.received_at, length(t.revocation_id), t.revocation_id), '[]')
        FROM target t),
    'attempts', (
        SELECT coalesce(jsonb_agg(a ORDER BY a.started_at, a.revocation_id), '[]') FROM attempt a)
) AS "story!: Json<Story>"
