WITH me AS (
    SELECT worker_no FROM revocation.workers
    WHERE worker_no = $1 AND ended_at IS NULL AND lease_until > now()
), inserted AS (
    INSERT INTO revocation.events (
        event_id, source, id, real_id, event_type, lane, reason, actor, incident, incident_targets,
        occurred_at, received_at, not_before, broker_user, body_sha256, content_sha256, targets,
        has_cutoff, deny_at, accepted_by, identity_reused, beside, trace)
    SELECT
        n.event_id, n.source, n.id, n.real_id, n.event_type, n.lane, n.reason, n.actor, n.incident,
        n.incident_targets, n.occurred_at, n.received_at, n.not_before, n.broker_user, n.body_sha256,
        n.content_sha256, n.targets, n.has_cutoff, CASE WHEN n.withheld THEN now() END, $1,
        n.identity_reused, n.beside, n.trace
    FROM unnest($2::revocation.new_traced_event[]) AS n
    ON CONFLICT (source, id) DO NOTHING
    RETURNING event_id
), targets AS (
    INSERT INTO revocation.targets (
        event_id, ordinal, provider, lane, incident, party, kind, token_type_hint, token_sha256,
        signed_sha256, jti, jti_iss, sub, sid, client_id, iss, token_expires_at, deny_until,
        give_up_at, state, waiting, sealed, sealed_key, finished_at,
        attempts, due_at, lease_owner, leased_at, last_worker)
    SELECT
        n.event_id, n.ordinal, n.provider, n.lane, n.incident, n.party, n.kind, n.token_type_hint,
        n.token_sha256, n.signed_sha256, n.jti, n.jti_iss, n.sub, n.sid, n.client_id, n.iss,
        n.token_expires_at, n.deny_until, n.give_up_at, n.state, n.waiting, n.sealed, n.sealed_key,
        n.finished_at,
        CASE WHEN me.worker_no IS NULL THEN 0 ELSE 1 END,
        CASE
            WHEN n.waiting THEN 'infinity'
            WHEN n.state <> 'pending' THEN NULL
            -- Refresh tokens first.
            WHEN n.token_type_hint = 'refresh_token' THEN now()
            ELSE now() + interval '1 millisecond'
        END,
        me.worker_no, CASE WHEN me.worker_no IS NOT NULL THEN now() END, me.worker_no
    FROM unnest($3::revocation.new_target[]) AS n
    LEFT JOIN me ON n.leased
    -- IN … IS TRUE is looked up in a hash. A join would compare every target with every event,
    -- since sessions do without hash joins.
    WHERE (n.event_id IN (SELECT event_id FROM inserted)) IS TRUE
)
SELECT event_id AS "row!", EXISTS (SELECT FROM me) AS "leased!" FROM inserted
