-- What operators say is read by whoever looks at the record: a reason says something, a name can be seen, and
-- what is noted is what the commands do. The rules of src/cli/operator.rs, for whoever calls by hand.

-- Whether a text has a character that shows: no blank, no control character, none that nothing is drawn for.
-- The characters are those of src/visible.rs, and a test compares the two.
CREATE FUNCTION revocation.is_seen(said text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    said ~ ('[^\u0001-\u0020\u007f-\u00a0\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2'
        || '\u115f-\u1160\u1680\u17b4-\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800'
        || '\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffd\U000110bd\U000110cd'
        || '\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]');

-- The same text, where it says something.
CREATE FUNCTION revocation.reason(said text) RETURNS text LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF revocation.is_seen(said) IS NOT TRUE THEN
        RAISE EXCEPTION 'the reason is blank: it must say something'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'says_something';
    END IF;
    RETURN said;
END $$;

-- As in 0012; but a name in which anything does not show is nobody's.
CREATE OR REPLACE FUNCTION revocation.caller(note text) RETURNS text LANGUAGE sql STABLE RETURN coalesce(
    revocation.person_of(session_user),
    (SELECT btrim(note) WHERE btrim(note) <> '' AND NOT EXISTS (
        SELECT FROM regexp_split_to_table(btrim(note), '') c WHERE c <> ' ' AND NOT revocation.is_seen(c))),
    session_user::text);

-- As in 0012; but with a reason.
CREATE OR REPLACE FUNCTION revocation.steer_incident(
    name text, action text, rate integer, why text, note text
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    i      revocation.incidents;
    stands text;
    who    text;
BEGIN
    SELECT * INTO i FROM revocation.incidents WHERE incident = name FOR UPDATE;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('outcome', 'unknown');
    END IF;
    stands := revocation.standing(i.state, i.finished_at);
    IF action IS NULL THEN
        RAISE EXCEPTION 'incident %: what to do with it is not said', name
            USING ERRCODE = 'null_value_not_allowed';
    ELSIF (action, stands) IN (('pause', 'paused'), ('resume', 'running'), ('cancel', 'cancelled'))
            OR (action = 'throttle' AND stands IN ('running', 'paused', 'awaiting_approval')
                AND rate IS NOT DISTINCT FROM i.throttle_per_s) THEN
        RETURN jsonb_build_object('outcome', 'as_before');
    ELSIF (action, stands) NOT IN (('pause', 'running'), ('resume', 'paused'))
            AND NOT (action IN ('throttle', 'cancel')
                AND stands IN ('running', 'paused', 'awaiting_approval')) THEN
        RETURN jsonb_build_object('outcome', 'unfit', 'state', stands);
    END IF;
    who := revocation.announce(note, '{}');
    UPDATE revocation.incidents SET
        state = CASE action
            WHEN 'pause' THEN 'paused' WHEN 'resume' THEN 'running' WHEN 'cancel' THEN 'cancelled'
            ELSE state END,
        was_paused = was_paused AND action <> 'resume',
        throttle_per_s = CASE WHEN action = 'throttle' THEN rate ELSE throttle_per_s END,
        cancelled_by = CASE WHEN action = 'cancel' THEN who END,
        cancel_reason = CASE WHEN action = 'cancel' THEN revocation.reason(why) END
    WHERE incident = name;
    RETURN jsonb_build_object('outcome', 'changed');
END $$;

-- The same.
CREATE OR REPLACE FUNCTION revocation.give_up_target(
    of_event uuid, of_ordinal smallint, reason text, even_leased boolean, note text
) RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH open AS MATERIALIZED (
        SELECT event_id, ordinal, state, provider, incident, attempts, lease_owner, leased_at, deny_until
        FROM revocation.targets
        WHERE event_id = of_event AND ordinal = of_ordinal AND finished_at IS NULL
            AND (lease_owner IS NULL OR even_leased)
        FOR UPDATE
    ), closed AS (
        INSERT INTO revocation.attempts
            (event_id, ordinal, attempt, answered, worker_no, started_at, outcome, error)
        SELECT event_id, ordinal, attempts, false, lease_owner, leased_at, 'unknown',
            'an operator gave the target up meanwhile'
        FROM open WHERE lease_owner IS NOT NULL
        ON CONFLICT DO NOTHING
    ), given_up AS (
        UPDATE revocation.targets t
        SET state = 'cancelled', waiting = false, due_at = NULL, lease_owner = NULL, leased_at = NULL,
            sealed = NULL, sealed_key = NULL, finished_at = now()
        FROM open WHERE (t.event_id, t.ordinal) = (open.event_id, open.ordinal)
    ), noted AS (
        INSERT INTO revocation.operations (actor, action, incident, detail)
        SELECT revocation.caller(note), 'target_cancel', nullif(incident, ''), jsonb_build_object(
            'revocation_id', revocation.revocation_id(event_id, ordinal), 'provider', provider,
            'reason', revocation.reason(reason), 'state', state,
            'in_flight', lease_owner IS NOT NULL, 'note', note, 'role', session_user)
        FROM open
    )
    SELECT jsonb_build_object('revocation_id', revocation.revocation_id(event_id, ordinal),
        'provider', provider, 'denied_until', deny_until, 'withheld', e.deny_at IS NOT NULL)
    FROM open JOIN revocation.events e USING (event_id)
$$;

-- As in 0012; but what the commands do, and nothing else.
CREATE OR REPLACE FUNCTION revocation.note_operation(
    what text, of_incident text, detail jsonb, note text
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (what IN ('export', 'dead requeue', 'dead discard')) IS NOT TRUE THEN
        RAISE EXCEPTION '% is not noted by itself: its own function notes it', what
            USING ERRCODE = 'insufficient_privilege';
    ELSIF (jsonb_typeof(detail) = 'object') IS NOT TRUE THEN
        RAISE EXCEPTION 'what was done is not said'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'says_something';
    ELSIF (what = 'export') <> (of_incident IS NOT NULL)
        OR (of_incident IS NOT NULL AND NOT EXISTS (
            SELECT FROM revocation.incidents i WHERE i.incident = of_incident))
    THEN
        RAISE EXCEPTION '%: of an incident, and of one that is on record, only an export is noted', what
            USING ERRCODE = 'check_violation', CONSTRAINT = 'says_something';
    END IF;
    INSERT INTO revocation.operations (actor, action, incident, detail)
    VALUES (revocation.caller(note), what, of_incident,
        detail || jsonb_build_object('note', note, 'role', session_user));
END $$;

-- As in 0012; but of one thing, and the order names it.
CREATE OR REPLACE FUNCTION revocation.retry_targets(
    of_provider text, of_incident text, of_event uuid, of_ordinal smallint,
    budget_s double precision, note text
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed bigint;
BEGIN
    IF num_nonnulls(of_provider, of_incident, of_event) <> 1 OR (of_event IS NULL) <> (of_ordinal IS NULL)
        OR NOT coalesce(revocation.is_seen(coalesce(of_provider, of_incident)), true)
    THEN
        RAISE EXCEPTION 'name what to try again: a provider, an incident or a target'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'says_something';
    END IF;
    WITH found AS MATERIALIZED (
        SELECT event_id, ordinal FROM revocation.targets
        WHERE provider = of_provider AND lease_owner IS NULL AND finished_at IS NULL AND NOT waiting
            AND (state = 'parked' OR due_at > now())
        UNION ALL
        SELECT t.event_id, t.ordinal
        FROM (SELECT DISTINCT provider FROM revocation.incident_counts WHERE incident = of_incident) p
        CROSS JOIN LATERAL (
            SELECT t.event_id, t.ordinal FROM revocation.targets t
            WHERE t.provider = p.provider AND t.lane = 'mass' AND t.incident = of_incident
                AND t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting
                AND (t.state = 'parked' OR t.due_at > now())) t
        UNION ALL
        SELECT event_id, ordinal FROM revocation.targets
        WHERE event_id = of_event AND ordinal = of_ordinal AND lease_owner IS NULL AND finished_at IS NULL
            AND NOT waiting AND (state = 'parked' OR due_at > now())
    ), due AS (
        UPDATE revocation.targets t
        SET state = 'pending', due_at = now(), failures = 0,
            give_up_at = greatest(t.give_up_at, now() + make_interval(secs => budget_s))
        FROM found f
        WHERE t.event_id = f.event_id AND t.ordinal = f.ordinal
            AND t.lease_owner IS NULL AND t.finished_at IS NULL AND (t.state = 'parked' OR t.due_at > now())
        RETURNING 1
    ), noted AS (
        INSERT INTO revocation.operations (actor, action, incident, detail)
        SELECT revocation.caller(note), 'retry', of_incident, jsonb_build_object('provider', of_provider,
            'revocation_id', revocation.revocation_id(of_event, of_ordinal),
            'targets', (SELECT count(*) FROM due), 'note', note, 'role', session_user)
    )
    SELECT count(*) INTO changed FROM due;
    RETURN changed;
END $$;

REVOKE EXECUTE ON FUNCTION revocation.is_seen(text), revocation.reason(text) FROM PUBLIC;
