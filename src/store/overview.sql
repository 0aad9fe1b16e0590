WITH open AS (
    SELECT kind, token_type_hint, deny_until FROM revocation.targets
    WHERE lease_owner IS NULL AND finished_at IS NULL AND NOT waiting
    UNION ALL
    SELECT kind, token_type_hint, deny_until FROM revocation.targets WHERE lease_owner IS NOT NULL
    UNION ALL
    -- Of what waits in incidents, which is counted elsewhere, the first few thousand: there may be millions.
    SELECT * FROM (
        SELECT kind, token_type_hint, deny_until FROM revocation.targets WHERE waiting LIMIT 10000) waits
), minting_finished AS (
    -- No access token, and its provider has not ended it: by targets_minting.
    SELECT state, deny_until FROM revocation.targets
    WHERE state IN ('unsupported', 'cancelled')
        AND (kind <> 'token' OR token_type_hint IS DISTINCT FROM 'access_token')
        AND deny_until > now()
    LIMIT 100000
), calls AS (
    SELECT s.provider, coalesce(s.calls_by_10s, '{}') AS calls, coalesce(s.failures_by_10s, '{}') AS failures,
           s.reason
    FROM revocation.provider_status s JOIN revocation.workers w USING (worker_no)
    WHERE w.ended_at IS NULL AND w.lease_until > now()
), per_class AS (
    SELECT l.minute, n.class, sum(n.denial) AS denial, sum(n.revocation) AS revocation
    FROM revocation.latencies l
    CROSS JOIN LATERAL unnest(l.denial, l.revocation) WITH ORDINALITY AS n (denial, revocation, class)
    WHERE l.minute > now() - interval '1 hour'
    GROUP BY l.minute, n.class
), latency AS (
    SELECT floor(extract(epoch FROM date_trunc('minute', now()) - minute) / 60)::integer AS minutes_ago,
           jsonb_agg(denial ORDER BY class) AS denial, jsonb_agg(revocation ORDER BY class) AS revocation
    FROM per_class GROUP BY minute
), refused AS (
    SELECT rejected_at, code, detail, broker_user, event_source, event_id FROM audit.rejected_events
    WHERE rejected_at > now() - interval '1 hour'
    ORDER BY rejected_at DESC LIMIT 10000
)
SELECT jsonb_build_object(
    'at', now(),
    'open', (
        SELECT jsonb_build_object(
            'wide', count(*) FILTER (WHERE kind <> 'token'),
            'minting', count(*) FILTER (
                WHERE kind <> 'token' OR token_type_hint IS DISTINCT FROM 'access_token'),
            'minting_finished', (SELECT count(*) FROM minting_finished WHERE state = 'unsupported'),
            'minting_given_up', (SELECT count(*) FROM minting_finished WHERE state = 'cancelled'),
            'until', greatest(max(deny_until), (SELECT max(deny_until) FROM minting_finished)),
            'is_part', (
                SELECT coalesce(sum(c.targets), 0) > 10000
                FROM revocation.incidents i JOIN revocation.incident_counts c USING (incident)
                WHERE i.finished_at IS NULL AND c.stage = 'waiting'))
        FROM open),
    'calls', (SELECT coalesce(jsonb_agg(c ORDER BY c.provider), '[]') FROM calls c),
    'latencies', (SELECT coalesce(jsonb_agg(l ORDER BY l.minutes_ago DESC), '[]') FROM latency l),
    'refusals', (
        SELECT coalesce(jsonb_agg(r ORDER BY r.messages DESC, r.code), '[]')
        FROM (SELECT code, count(*) AS messages, max(rejected_at) AS last_at FROM refused GROUP BY code) r),
    'refused', (
        SELECT coalesce(jsonb_agg(r ORDER BY r.rejected_at DESC), '[]')
        FROM (SELECT * FROM refused ORDER BY rejected_at DESC LIMIT 5) r)
) AS "lately!: Json<Lately>"
