-- One rule for when a mass revocation needs a second person; types for rows that workers write many of.

-- Whether what an incident orders goes beyond what it may have without a further approval: kinds of targets
-- that need one, how many targets are of such kinds, and how many there are in all. approved_*: what a second
-- person approved, null before that; above_targets: the incident's own limit. It is the rule of
-- src/approval.rs, and a test compares the two. In schema audit, whose functions no roles.sql takes from
-- anybody: that of an older release may run again after this.
CREATE FUNCTION audit.needs_approval(
    kinds text[], of_kinds bigint, targets bigint,
    approved_kinds text[], approved_of_kinds bigint, approved_targets bigint, above_targets bigint
) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    NOT kinds <@ coalesce(approved_kinds, '{}')
    OR coalesce(of_kinds, 0) > coalesce(approved_of_kinds, 0)
    OR coalesce(targets, 0) > greatest(above_targets, approved_targets);

-- The rule for an incident's row, and for the targets of it that are on record.
CREATE OR REPLACE FUNCTION revocation.calls_for_approval(i revocation.incidents, received bigint)
    RETURNS boolean LANGUAGE sql STABLE RETURN audit.needs_approval(
        i.asks, greatest(i.asking, i.asking_expected), greatest(i.targets_expected, received),
        i.approved_asks, i.approved_asking, i.approved_targets, i.approval_above);

-- As in 0012; but what has grown beyond what a person has seen is told by the same rule.
CREATE OR REPLACE FUNCTION revocation.approve_incident(
    name text, seen_asks text[], seen_asking bigint, seen_targets bigint, note text
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    i        revocation.incidents;
    received bigint;
    users    text[];
    fault    text;
BEGIN
    SELECT * INTO i FROM revocation.incidents WHERE incident = name FOR UPDATE;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('outcome', 'unknown');
    ELSIF i.state <> 'awaiting_approval' THEN
        RETURN jsonb_build_object('outcome', 'unfit', 'state', revocation.standing(i.state, i.finished_at));
    END IF;
    users := revocation.contributing_users(i);
    fault := revocation.approval_fault(revocation.person_of(session_user), i.contributors, users);
    IF fault IS NOT NULL THEN
        RETURN jsonb_build_object('outcome', fault, 'role', session_user, 'users', (
            SELECT coalesce(jsonb_agg(u.name ORDER BY u.name), '[]') FROM unnest(users) u (name)
            WHERE NOT EXISTS (
                SELECT FROM revocation.people p WHERE p.kind = 'broker_user' AND p.name = u.name)));
    END IF;
    -- Read after the lock was got, so that no target is missed.
    SELECT coalesce(sum(targets), 0) INTO received FROM revocation.incident_counts WHERE incident = name;
    -- Who says null has seen nothing.
    IF num_nulls(seen_asks, seen_asking, seen_targets) > 0 OR audit.needs_approval(
        i.asks, greatest(i.asking, i.asking_expected), greatest(i.targets_expected, received),
        seen_asks, seen_asking, seen_targets, seen_targets)
    THEN
        RETURN jsonb_build_object('outcome', 'grown');
    END IF;
    PERFORM revocation.announce(note, jsonb_build_object('asks', seen_asks, 'seen', seen_targets));
    UPDATE revocation.incidents SET
        state = CASE WHEN was_paused THEN 'paused' ELSE 'running' END,
        was_paused = false,
        approved_by = revocation.person_of(session_user),
        approved_role = session_user,
        approved_at = clock_timestamp(),
        approved_asks = asks,
        approved_asking = greatest(asking, asking_expected),
        approved_targets = greatest(targets_expected, received)
    WHERE incident = name;
    RETURN jsonb_build_object('outcome', 'changed');
END $$;

-- As in 0004; but the number of targets that calls for approval is told by the same rule.
CREATE OR REPLACE VIEW audit.incidents AS
SELECT i.incident,
       CASE WHEN i.state = 'running' AND i.finished_at IS NOT NULL THEN 'finished' ELSE i.state END AS state,
       i.reason, i.opened_by, i.approved_by, i.opened_at,
       i.targets_expected, c.received AS targets_received, d.denied,
       c.pending, c.revoked, c.unsupported, c.expired, c.parked, c.cancelled, r.rate_per_s,
       ceil(CASE WHEN i.finished_at IS NULL THEN greatest(i.targets_expected - c.received, 0) + c.pending END
           / nullif(r.rate_per_s, 0)) AS eta_seconds,
       i.finished_at, i.approved_at, i.throttle_per_s, i.cancelled_by, i.cancel_reason,
       i.asks || CASE
           WHEN audit.needs_approval(
               '{}', 0, greatest(i.targets_expected, c.received), NULL, NULL, NULL, i.approval_above)
           THEN ARRAY[greatest(i.targets_expected, c.received) || ' targets']
           ELSE '{}' END AS approval_for
FROM revocation.incidents i
CROSS JOIN LATERAL (
    SELECT coalesce(sum(targets), 0)::bigint AS received,
           coalesce(sum(targets) FILTER (WHERE stage IN ('waiting', 'pending')), 0)::bigint AS pending,
           coalesce(sum(targets) FILTER (WHERE stage = 'revoked'), 0)::bigint AS revoked,
           coalesce(sum(targets) FILTER (WHERE stage = 'unsupported'), 0)::bigint AS unsupported,
           coalesce(sum(targets) FILTER (WHERE stage = 'expired'), 0)::bigint AS expired,
           coalesce(sum(targets) FILTER (WHERE stage = 'parked'), 0)::bigint AS parked,
           coalesce(sum(targets) FILTER (WHERE stage = 'cancelled'), 0)::bigint AS cancelled
    FROM revocation.incident_counts n WHERE n.incident = i.incident
) c
CROSS JOIN LATERAL (
    SELECT coalesce(sum(targets), 0)::bigint AS denied
    FROM revocation.incident_denied n WHERE n.incident = i.incident
) d
LEFT JOIN LATERAL (
    SELECT round((c.received - c.pending - c.parked - s.done) / extract(epoch FROM now() - s.at), 1)
               ::double precision AS rate_per_s
    FROM revocation.incident_samples s
    WHERE s.incident = i.incident
        AND s.at > now() - interval '60 seconds' AND s.at < now() - interval '1 second'
    ORDER BY s.at LIMIT 1
) r ON i.finished_at IS NULL;

-- Rows that workers write, many in one statement: one array of such values instead of an array a column.
-- A type is never altered, since a worker from before would go on sending the fields that it knows of:
-- whoever adds a column makes a type with one field more, beside this one.
CREATE TYPE revocation.new_event AS (
    event_id         uuid,
    source           text,
    id               text,
    real_id          text,
    event_type       text,
    lane             text,
    reason           text,
    actor            text,
    incident         text,
    incident_targets bigint,
    occurred_at      timestamptz,
    received_at      timestamptz,
    not_before       timestamptz,
    broker_user      text,
    body_sha256      bytea,
    content_sha256   bytea,
    targets          smallint,
    has_cutoff       boolean,
    withheld         boolean, -- its denial waits for its incident's approval
    identity_reused  boolean,
    beside           uuid
);

CREATE TYPE revocation.new_target AS (
    event_id         uuid,
    ordinal          smallint,
    provider         text,
    lane             text,
    incident         text,
    party            smallint,
    kind             text,
    token_type_hint  text,
    token_sha256     bytea,
    signed_sha256    bytea,
    jti              text,
    jti_iss          text,
    sub              text,
    sid              text,
    client_id        text,
    iss              text,
    token_expires_at timestamptz,
    deny_until       timestamptz,
    give_up_at       timestamptz,
    state            text,
    waiting          boolean,
    leased           boolean, -- to the worker that writes it
    sealed           bytea,
    sealed_key       text,
    finished_at      timestamptz
);

-- An answered attempt and its target's next state.
CREATE TYPE revocation.new_result AS (
    event_id       uuid,
    ordinal        smallint,
    attempt        integer,
    started_at     timestamptz,
    duration_ms    integer,
    outcome        text,
    http_status    smallint,
    error          text,
    retry_after_ms bigint,
    state          text,
    proof          text,
    spent          boolean,          -- it counts among the failures
    due_in         double precision, -- seconds
    revoked_at     timestamptz,
    confirmed_at   timestamptz,
    finished_at    timestamptz,
    cutoff         timestamptz,
    deny_until     timestamptz
);

-- What newly accepted events say of one incident.
CREATE TYPE revocation.new_incident AS (
    incident         text,
    reason           text,
    opened_by        text,
    opened_via       text,
    opened_at        timestamptz,
    contributors     text[],
    targets          bigint, -- of these events
    targets_expected bigint,
    asks             text[],
    asking           bigint,
    asking_expected  bigint,
    approval_above   bigint
);

CREATE TYPE revocation.new_rejection AS (
    rejected_at  timestamptz,
    queue        text,
    routing_key  text,
    broker_user  text,
    code         text,
    detail       text,
    body_sha256  bytea,
    body_bytes   bigint,
    event_source text,
    event_id     text
);

-- What a verifier said of itself.
CREATE TYPE revocation.new_report AS (
    service          text,
    instance         text,
    broker_user      text,
    verified         boolean,
    reported_at      timestamptz,
    applied_offset   bigint,
    applied_time     timestamptz,
    entries          bigint,
    stale            boolean,
    stale_reason     text,
    staleness_policy text
);
