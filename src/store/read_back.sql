SELECT t.event_id AS event, t.ordinal, t.attempts AS attempt, t.failures, t.provider,
    t.kind, t.token_type_hint AS hint, t.token_sha256 AS sha256, t.signed_sha256 AS signed,
    t.jti, t.jti_iss, t.sub, t.sid, t.client_id, t.iss, t.token_expires_at, t.deny_until,
    t.give_up_at, t.sealed, t.sealed_key, t.lane, e.source AS event_source,
    coalesce(e.real_id, e.id) AS "event_id!", e.trace, e.incident, e.not_before, e.received_at,
    true AS "denied!", t.party, 0::bigint AS "want!", NULL::bigint AS quota
FROM unnest($2::uuid[], $3::smallint[]) AS mine (event_id, ordinal)
JOIN revocation.targets t ON t.event_id = mine.event_id AND t.ordinal = mine.ordinal
JOIN revocation.events e ON e.event_id = mine.event_id
-- Compared with columns, as in record.sql, so that each target is found by its own key.
CROSS JOIN (SELECT $1::integer AS owner, 'pending' AS open) AS me
WHERE t.lease_owner IS NOT DISTINCT FROM me.owner AND t.state = me.open AND t.attempts = 1
