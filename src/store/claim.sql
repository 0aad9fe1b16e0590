WITH want AS MATERIALIZED (
    SELECT want.* FROM unnest(
        $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[], $8::boolean[])
        WITH ORDINALITY AS want (provider, lane, incident, n, max_waiting, tokens, wide, no)
    -- A worker whose lease has run out gets nothing, and of an incident only what runs is claimed.
    WHERE EXISTS (
            SELECT FROM revocation.workers
            WHERE worker_no = $1 AND ended_at IS NULL AND lease_until > now())
        AND (want.incident = '' OR EXISTS (
            SELECT FROM revocation.incidents i
            WHERE i.incident = want.incident AND i.state = 'running'))
), kind AS MATERIALIZED (
    -- Which kinds each want takes, wide ones before tokens: whoever draws on this with a
    -- LIMIT takes a token only where there are not enough wide ones.
    SELECT want.no, kind.wide
    FROM want CROSS JOIN (VALUES (true), (false)) AS kind (wide)
    WHERE CASE WHEN kind.wide THEN want.wide ELSE want.tokens END
    ORDER BY want.no, kind.wide DESC
), share AS MATERIALIZED (
    -- Whoever has something due, found by steps from one party to the next; where they are
    -- more than there is room for, as luck has it.
    SELECT want.*, due.party, want.n / count(*) OVER (PARTITION BY want.no) AS quota
    FROM want CROSS JOIN LATERAL (
        SELECT first.party FROM kind CROSS JOIN LATERAL (
            WITH RECURSIVE step AS (
                -- Before the first party.
                SELECT -32769 AS party, 'infinity'::timestamptz AS due_at
                UNION ALL
                SELECT next.party::integer, next.due_at FROM step CROSS JOIN LATERAL (
                    SELECT t.party, t.due_at FROM revocation.targets t
                    WHERE t.provider = want.provider AND t.lane = want.lane
                        AND t.incident = want.incident AND t.wide = kind.wide
                        AND t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting
                        AND t.party > step.party
                    ORDER BY t.party, t.due_at LIMIT 1
                ) next
            )
            SELECT party FROM step WHERE due_at <= now()
        ) first
        WHERE kind.no = want.no
        GROUP BY first.party ORDER BY random() LIMIT want.n
    ) due
), due AS MATERIALIZED (
    -- Of each party as many as of the others, the oldest first. The conditions on lease, end and turn are
    -- those of the index targets_shares.
    SELECT d.*, share.no, share.quota FROM share CROSS JOIN LATERAL (
        SELECT t.* FROM kind CROSS JOIN LATERAL (
            SELECT t.event_id, t.ordinal FROM revocation.targets t
            WHERE t.provider = share.provider AND t.lane = share.lane
                AND t.incident = share.incident AND t.wide = kind.wide
                AND t.party = share.party
                AND t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting
                AND t.due_at <= now()
                AND (t.token_expires_at > now() - make_interval(secs => $9)) IS NOT FALSE
            ORDER BY t.due_at LIMIT share.quota FOR UPDATE SKIP LOCKED
        ) t
        WHERE kind.no = share.no LIMIT share.quota
    ) d
), let_in AS MATERIALIZED (
    -- Whose turn comes in an incident, as far as there is room beside what is due.
    SELECT d.*, want.no FROM want CROSS JOIN LATERAL (
        SELECT t.* FROM kind CROSS JOIN LATERAL (
            SELECT t.event_id, t.ordinal FROM revocation.targets t
            WHERE t.provider = want.provider AND t.incident = want.incident
                AND t.wide = kind.wide AND t.waiting
                AND (t.token_expires_at > now() - make_interval(secs => $9)) IS NOT FALSE
            ORDER BY t.event_id, (t.token_type_hint IS DISTINCT FROM 'refresh_token'),
                t.ordinal
            LIMIT want.max_waiting FOR UPDATE SKIP LOCKED
        ) t
        WHERE kind.no = want.no
        LIMIT least(
            want.max_waiting, want.n - (SELECT count(*) FROM due WHERE due.no = want.no))
    ) d
    WHERE want.max_waiting > 0
), mine AS (
    SELECT event_id, ordinal, no, quota FROM due
    UNION ALL SELECT event_id, ordinal, no, NULL FROM let_in
)
UPDATE revocation.targets t
SET state = 'pending', lease_owner = $1, leased_at = now(), last_worker = $1,
    attempts = t.attempts + 1, waiting = false
FROM mine JOIN revocation.events e ON e.event_id = mine.event_id
WHERE t.event_id = mine.event_id AND t.ordinal = mine.ordinal
RETURNING t.event_id AS event, t.ordinal, t.attempts AS attempt, t.failures, t.provider,
    t.kind, t.token_type_hint AS hint, t.token_sha256 AS sha256, t.signed_sha256 AS signed,
    t.jti, t.jti_iss, t.sub, t.sid, t.client_id, t.iss, t.token_expires_at, t.deny_until,
    t.give_up_at, t.sealed, t.sealed_key, t.lane, e.source AS event_source,
    coalesce(e.real_id, e.id) AS "event_id!", e.trace, e.incident, e.not_before, e.received_at,
    e.denied_at IS NOT NULL OR EXISTS (
        SELECT FROM revocation.targets d WHERE d.event_id = e.event_id AND d.denied_at IS NOT NULL)
        AS "denied!",
    t.party, mine.no AS "want!", mine.quota
