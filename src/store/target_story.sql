SELECT jsonb_build_object(
    'at', now(),
    'target', to_jsonb(r),
    'attempts', (
        SELECT coalesce(jsonb_agg(a ORDER BY a.started_at, a.attempt), '[]')
        FROM (
            SELECT *
            FROM (
                SELECT revocation_id, attempt, worker, started_at, duration_ms, outcome, http_status, error
                FROM audit.event_attempts WHERE event_row = $1
                UNION ALL
                SELECT revocation_id, attempt, worker, started_at, NULL, NULL, NULL, NULL
                FROM audit.event_attempts_under_way WHERE event_row = $1
            ) AS found
            WHERE found.revocation_id = $2 ORDER BY found.started_at DESC, found.attempt DESC LIMIT 50
        ) AS a)
) AS "story!: Json<TargetStory>"
FROM audit.revocations r WHERE r.event_row = $1 AND r.revocation_id = $2
