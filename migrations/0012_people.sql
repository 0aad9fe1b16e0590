-- Who is who, what each role may do, and a trace of every change of an incident, whoever makes it. Roles and their rights: migrations/roles.sql.
--
-- Functions that run with their owner's rights are the only way to an order for roles that own nothing. They take whoever calls from session_user,
-- which nobody but a superuser can change, and find nothing by search_path.

-- The setting [people], as the owner last wrote it by `migrate`: whose broker users and database roles these are. A broker user may be several
-- persons', and then stands for each of them. A role is one person's. A person without a role, such as a service, approves nothing.
-- What comes by no broker user comes by one that is called 'unnamed publisher' here.
CREATE TABLE revocation.people (
    person text NOT NULL CHECK (btrim(person) <> ''),
    kind   text NOT NULL CHECK (kind IN ('broker_user', 'role')),
    name   text NOT NULL CHECK (name <> ''),
    PRIMARY KEY (kind, name, person)
);
CREATE UNIQUE INDEX people_role ON revocation.people (name) WHERE kind = 'role';

-- role: the database's word on who wrote the row; null in rows from before this column.
ALTER TABLE revocation.operations ADD COLUMN role text;
ALTER TABLE revocation.operations ALTER COLUMN role SET DEFAULT session_user;
CREATE OR REPLACE VIEW audit.operations AS SELECT at, actor, action, incident, detail, role FROM revocation.operations;
COMMENT ON VIEW audit.operations IS 'one row an operator''s action, a change of an incident''s state, an addition to an incident; role: the database role that did it';

CREATE FUNCTION revocation.listed_people(wanted jsonb) RETURNS revocation.people[] LANGUAGE sql IMMUTABLE RETURN ARRAY(
    SELECT DISTINCT ROW(p.key, k.kind, n.name)::revocation.people
    FROM jsonb_each(wanted) p CROSS JOIN (VALUES ('broker_user', 'broker_users'), ('role', 'database_roles')) k (kind, member)
    CROSS JOIN LATERAL jsonb_array_elements_text(p.value -> k.member) n (name));

-- Whether that is what the owner last wrote: for roles that must not read it.
CREATE FUNCTION revocation.are_people(wanted jsonb) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT NOT EXISTS (SELECT FROM unnest(revocation.listed_people(wanted)) l FULL JOIN revocation.people p USING (person, kind, name)
        WHERE l IS NULL OR p IS NULL)
$$;

CREATE FUNCTION revocation.set_people(wanted jsonb) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    listed revocation.people[] := revocation.listed_people(wanted);
BEGIN
    DELETE FROM revocation.people p WHERE p <> ALL (listed);
    INSERT INTO revocation.people SELECT * FROM unnest(listed) ON CONFLICT (kind, name, person) DO NOTHING;
END $$;

CREATE FUNCTION revocation.note_people() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO revocation.operations (actor, action, detail)
    VALUES (session_user, 'people', jsonb_build_object('before', to_jsonb(OLD), 'after', to_jsonb(NEW), 'role', session_user));
    RETURN NULL;
END $$;
CREATE TRIGGER people_are_noted AFTER INSERT OR UPDATE OR DELETE ON revocation.people FOR EACH ROW EXECUTE FUNCTION revocation.note_people();

CREATE FUNCTION revocation.person_of(database_role text) RETURNS text LANGUAGE sql STABLE
    RETURN (SELECT person FROM revocation.people WHERE kind = 'role' AND name = database_role);

-- Who gives an order: the person whose role this is; where it is nobody's, the name that was given.
CREATE FUNCTION revocation.caller(note text) RETURNS text LANGUAGE sql STABLE
    RETURN coalesce(revocation.person_of(session_user), nullif(btrim(note), ''), session_user::text);

-- Why somebody cannot approve; null: nothing is in the way. names: whoever ordered, as revocation.person writes it; users: the broker users that it
-- came by. A broker user that is nobody's may be anybody's, the approver's too.
CREATE FUNCTION revocation.approval_fault(approver text, names text[], users text[]) RETURNS text LANGUAGE sql STABLE RETURN CASE
    WHEN approver IS NULL THEN 'unmapped_role'
    WHEN revocation.person(approver) = ANY (names)
        OR EXISTS (SELECT FROM revocation.people WHERE kind = 'broker_user' AND person = approver
            AND (name = ANY (users) OR revocation.person(name) = ANY (names))) THEN 'same_person'
    WHEN EXISTS (SELECT FROM unnest(users) u (name) LEFT JOIN revocation.people p ON p.kind = 'broker_user' AND p.name = u.name WHERE p.name IS NULL)
        THEN 'unmapped_user'
END;

CREATE FUNCTION revocation.contributing_users(i revocation.incidents) RETURNS text[] LANGUAGE sql STABLE
    RETURN ARRAY(SELECT coalesce(broker_user, 'unnamed publisher') FROM revocation.events e WHERE e.incident = i.incident
        UNION SELECT coalesce(i.opened_via, 'unnamed publisher') ORDER BY 1);

-- As people name an incident's state.
CREATE FUNCTION revocation.standing(state text, finished_at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN state = 'running' AND finished_at IS NOT NULL THEN 'finished' ELSE state END;

-- What holds of an incident whoever changes it, its tables' owner too:
-- what runs has the approval that it calls for; who opened it, at what limit, and who added to it never changes, and what it asks for, and a number that asks, only grows;
-- an approval is given by the person whose session it is, who ordered nothing of it, and is not taken back; what is cancelled stays cancelled.
-- A role that does not own the table may open, stop and end an incident; all else is done by functions.
CREATE OR REPLACE FUNCTION revocation.refuse_incident() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_owner boolean := pg_has_role((SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE');
    fault    text;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.state = 'cancelled' AND NEW.state <> 'cancelled' THEN
        RAISE EXCEPTION 'incident %: it was cancelled, which is final', NEW.incident USING ERRCODE = 'restrict_violation';
    ELSIF TG_OP = 'UPDATE' AND ((NEW.incident, NEW.opened_by, NEW.opened_via, NEW.opened_at, NEW.approval_above) IS DISTINCT FROM
            (OLD.incident, OLD.opened_by, OLD.opened_via, OLD.opened_at, OLD.approval_above)
            OR NOT array_remove(OLD.contributors, NULL) <@ NEW.contributors) THEN
        RAISE EXCEPTION 'incident %: who opened it, when, at what limit, and who added to it, does not change', OLD.incident
            USING ERRCODE = 'restrict_violation';
    ELSIF TG_OP = 'UPDATE' AND (NOT OLD.asks <@ NEW.asks OR NEW.asking < OLD.asking
            OR coalesce(NEW.asking_expected < OLD.asking_expected, NEW.asking_expected IS NULL AND OLD.asking_expected IS NOT NULL)
            OR (OLD.targets_expected > OLD.approval_above AND coalesce(NEW.targets_expected, 0) < OLD.targets_expected)) THEN
        RAISE EXCEPTION 'incident %: what it asks for only grows', OLD.incident USING ERRCODE = 'restrict_violation';
    ELSIF TG_OP = 'UPDATE' AND NOT is_owner AND NEW.state NOT IN (OLD.state, 'awaiting_approval') THEN
        RAISE EXCEPTION 'incident %: % -> % refused: it is steered by the functions of schema revocation', OLD.incident, OLD.state, NEW.state
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- Whatever came by nobody's name has none here: of null, nothing could be told to be among others.
    NEW.contributors := array_remove(ARRAY(SELECT DISTINCT unnest(
        NEW.contributors || revocation.person(NEW.opened_by) || revocation.person(NEW.opened_via)) ORDER BY 1), NULL);
    -- Judged when it is given: whoever approved may add to the incident later, within what was approved, and then approves no more.
    IF num_nonnulls(NEW.approved_by, NEW.approved_role, NEW.approved_at, NEW.approved_asks, NEW.approved_asking, NEW.approved_targets) > 0
            AND TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND
            (NEW.approved_by, NEW.approved_role, NEW.approved_at, NEW.approved_asks, NEW.approved_asking, NEW.approved_targets) IS DISTINCT FROM
            (OLD.approved_by, OLD.approved_role, OLD.approved_at, OLD.approved_asks, OLD.approved_asking, OLD.approved_targets) THEN
        fault := CASE WHEN NOT is_owner THEN 'not by function'
            ELSE revocation.approval_fault(revocation.person_of(session_user), NEW.contributors, revocation.contributing_users(NEW)) END;
        IF fault IS NOT NULL THEN
            RAISE EXCEPTION 'incident %: a second person must approve, by a role that is that person''s (%)', NEW.incident, fault
                USING ERRCODE = 'check_violation', CONSTRAINT = 'two_persons';
        ELSIF (NEW.approved_by, NEW.approved_role) IS DISTINCT FROM (revocation.person_of(session_user), session_user::text) THEN
            RAISE EXCEPTION 'incident %: an approval bears the name of whoever gives it', NEW.incident
                USING ERRCODE = 'check_violation', CONSTRAINT = 'two_persons';
        END IF;
    END IF;
    IF NEW.state IN ('running', 'paused') AND (TG_OP = 'INSERT' OR OLD.state = 'awaiting_approval' OR (NEW.state = 'running' AND OLD.state = 'paused')
            OR (NEW.asks, NEW.asking, NEW.asking_expected, NEW.targets_expected) IS DISTINCT FROM
               (OLD.asks, OLD.asking, OLD.asking_expected, OLD.targets_expected))
        AND revocation.calls_for_approval(NEW, (SELECT sum(targets)::bigint FROM revocation.incident_counts c WHERE c.incident = NEW.incident)) THEN
        RAISE EXCEPTION 'incident %: it needs a second person''s approval before it may run', NEW.incident USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

UPDATE revocation.incidents SET contributors = array_remove(contributors, NULL) WHERE array_position(contributors, NULL) IS NOT NULL;

-- The row of audit.operations. revocation.actor and revocation.detail are what the session says of itself; the role and what changed are the database's word.
CREATE FUNCTION revocation.note_incident() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before text := revocation.standing(OLD.state, OLD.finished_at);
    after  text := revocation.standing(NEW.state, NEW.finished_at);
    action text := CASE
        WHEN TG_OP = 'INSERT' THEN 'open'
        WHEN (NEW.approved_by, NEW.approved_role, NEW.approved_at) IS DISTINCT FROM (OLD.approved_by, OLD.approved_role, OLD.approved_at) THEN 'approve'
        WHEN NEW.state = 'cancelled' AND OLD.state <> 'cancelled' THEN 'cancel'
        WHEN NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL THEN 'finish'
        WHEN NEW.finished_at IS NULL AND OLD.finished_at IS NOT NULL THEN 'reopen'
        WHEN NEW.state = OLD.state THEN 'throttle'
        WHEN NEW.state = 'awaiting_approval' THEN 'stop'
        WHEN NEW.state = 'paused' THEN 'pause'
        WHEN OLD.state = 'paused' THEN 'resume'
        ELSE 'start' END;
    actor  text := CASE WHEN TG_OP = 'INSERT' THEN NEW.opened_by ELSE coalesce(nullif(current_setting('revocation.actor', true), ''), session_user::text) END;
BEGIN
    INSERT INTO revocation.operations (actor, action, incident, detail)
    SELECT actor, action, a.incident, coalesce(nullif(current_setting('revocation.detail', true), '')::jsonb, '{}')
        || CASE action WHEN 'open' THEN jsonb_build_object('reason', NEW.reason, 'asks', NEW.asks, 'state', after)
                WHEN 'stop' THEN jsonb_build_object('reason', 'it needs an approval that it does not have')
                WHEN 'throttle' THEN jsonb_build_object('throttle_per_s', NEW.throttle_per_s, 'before', OLD.throttle_per_s)
                WHEN 'cancel' THEN jsonb_build_object('reason', NEW.cancel_reason, 'state', before) ELSE '{}' END
        || jsonb_build_object('role', session_user, 'from', before, 'to', after, 'targets_expected', a.targets_expected,
            'targets_received', a.targets_received, 'denied', a.denied, 'pending', a.pending, 'parked', a.parked, 'revoked', a.revoked)
    FROM audit.incidents a WHERE a.incident = NEW.incident;
    RETURN NULL;
END $$;
CREATE TRIGGER opening_is_noted AFTER INSERT ON revocation.incidents FOR EACH ROW EXECUTE FUNCTION revocation.note_incident();
CREATE TRIGGER change_is_noted AFTER UPDATE ON revocation.incidents FOR EACH ROW
    WHEN ((OLD.state, OLD.finished_at IS NULL, OLD.throttle_per_s, OLD.approved_by, OLD.approved_role, OLD.approved_at) IS DISTINCT FROM
          (NEW.state, NEW.finished_at IS NULL, NEW.throttle_per_s, NEW.approved_by, NEW.approved_role, NEW.approved_at))
    EXECUTE FUNCTION revocation.note_incident();

-- Append-only: no UPDATE or TRUNCATE, whoever asks; DELETE for members of the role revocation_retention that have announced themselves in the session.
CREATE OR REPLACE FUNCTION revocation.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('revocation.retention', true) = 'on'
        AND EXISTS (SELECT FROM pg_roles WHERE (rolname = session_user AND rolsuper)
            OR (rolname = 'revocation_retention' AND pg_has_role(session_user, oid, 'MEMBER'))) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% on %.% refused: the table is append-only', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER stays BEFORE DELETE ON revocation.incidents FOR EACH ROW EXECUTE FUNCTION revocation.refuse_change();
-- One that waits or runs, nobody deletes: its events would wait for another of its name, which asks for less.
CREATE FUNCTION revocation.refuse_deletion() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'incident %: it is not over', OLD.incident USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER stays_until_its_end BEFORE DELETE ON revocation.incidents FOR EACH ROW
    WHEN (OLD.finished_at IS NULL) EXECUTE FUNCTION revocation.refuse_deletion();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON revocation.incidents FOR EACH STATEMENT EXECUTE FUNCTION revocation.refuse_change();

-- Whom an incident's events came by decides who may approve it.
CREATE FUNCTION revocation.refuse_event() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'event %: whom it came by, and its incident, does not change', OLD.event_id USING ERRCODE = 'restrict_violation';
END $$;
-- But for a logout that waited for its sender's rate, and was denied without it: it leaves its incident.
CREATE TRIGGER origin_stays BEFORE UPDATE ON revocation.events FOR EACH ROW
    WHEN ((OLD.incident, OLD.broker_user) IS DISTINCT FROM (NEW.incident, NEW.broker_user)
        AND NOT (OLD.event_type = 'auth.logout.v1' AND OLD.deny_at IS NOT NULL AND NEW.denied_at IS NOT NULL AND NEW.incident IS NULL
            AND NEW.broker_user IS NOT DISTINCT FROM OLD.broker_user))
    EXECUTE FUNCTION revocation.refuse_event();

-- A copy of a logout came within a rate, and was denied: what waits of that logout, by itself or beside what went on, waits no longer. What was let go by
-- an approval stays as it is.
CREATE FUNCTION revocation.let_go(of_event uuid, at timestamptz) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH held AS MATERIALIZED (
        SELECT event_id FROM revocation.events WHERE event_id = of_event
        UNION ALL
        SELECT h.event_id FROM revocation.events e
        JOIN revocation.events h ON h.source = e.source AND h.real_id = coalesce(e.real_id, e.id) AND h.beside = e.event_id
        WHERE e.event_id = of_event
    ), let_go AS (
        UPDATE revocation.events e SET incident = NULL, lane = 'interactive', deny_at = NULL, denied_at = at
        FROM held WHERE e.event_id = held.event_id AND e.event_type = 'auth.logout.v1' AND e.deny_at IS NOT NULL
        RETURNING e.event_id
    )
    UPDATE revocation.targets t SET incident = '', lane = 'interactive', waiting = false, due_at = now()
    FROM let_go WHERE t.event_id = let_go.event_id AND t.waiting
$$;

-- A target waits for the approval of its event's incident and of no other.
CREATE FUNCTION revocation.refuse_move() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.incident IS DISTINCT FROM (SELECT coalesce(incident, '') FROM revocation.events WHERE event_id = NEW.event_id) THEN
        RAISE EXCEPTION 'target %-%: its incident is its event''s', OLD.event_id, OLD.ordinal USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER incident_is_its_events BEFORE UPDATE OF incident, event_id ON revocation.targets FOR EACH ROW
    WHEN ((OLD.incident, OLD.event_id) IS DISTINCT FROM (NEW.incident, NEW.event_id)) EXECUTE FUNCTION revocation.refuse_move();

-- Counts belong to the triggers that write them: a role that changes targets needs no right to them.
ALTER FUNCTION revocation.count_targets() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION revocation.count_denied() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
-- How many targets an incident has decides whether it needs an approval: nobody else writes that.
CREATE FUNCTION revocation.refuse_count() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% on %.% refused: counts follow the targets', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER counted_by_triggers BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revocation.incident_counts FOR EACH STATEMENT
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION revocation.refuse_count();
CREATE TRIGGER counted_by_triggers BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revocation.incident_denied FOR EACH STATEMENT
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION revocation.refuse_count();
ALTER FUNCTION revocation.refuse_transition() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION revocation.note_denial() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION revocation.take_turn() SET search_path = pg_catalog, pg_temp;

-- Orders. note: who gives it, as they say; a role that is somebody's gives it in that person's name.

-- What note_incident puts into the row that follows in this transaction.
CREATE FUNCTION revocation.announce(note text, detail jsonb) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who text := revocation.caller(note);
BEGIN
    PERFORM set_config('revocation.actor', who, true);
    PERFORM set_config('revocation.detail', (detail || CASE WHEN who <> note THEN jsonb_build_object('note', note) ELSE '{}' END)::text, true);
    RETURN who;
END $$;

-- {"outcome": "changed" | "as_before" | "unknown" | "unfit"}, the last with the state that does not fit.
CREATE FUNCTION revocation.steer_incident(name text, action text, rate integer, why text, note text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
        RAISE EXCEPTION 'incident %: what to do with it is not said', name USING ERRCODE = 'null_value_not_allowed';
    ELSIF (action, stands) IN (('pause', 'paused'), ('resume', 'running'), ('cancel', 'cancelled'))
            OR (action = 'throttle' AND stands IN ('running', 'paused', 'awaiting_approval') AND rate IS NOT DISTINCT FROM i.throttle_per_s) THEN
        RETURN jsonb_build_object('outcome', 'as_before');
    ELSIF (action, stands) NOT IN (('pause', 'running'), ('resume', 'paused'))
            AND NOT (action IN ('throttle', 'cancel') AND stands IN ('running', 'paused', 'awaiting_approval')) THEN
        RETURN jsonb_build_object('outcome', 'unfit', 'state', stands);
    END IF;
    who := revocation.announce(note, '{}');
    UPDATE revocation.incidents SET
        state = CASE action WHEN 'pause' THEN 'paused' WHEN 'resume' THEN 'running' WHEN 'cancel' THEN 'cancelled' ELSE state END,
        was_paused = was_paused AND action <> 'resume',
        throttle_per_s = CASE WHEN action = 'throttle' THEN rate ELSE throttle_per_s END,
        cancelled_by = CASE WHEN action = 'cancel' THEN who END,
        cancel_reason = CASE WHEN action = 'cancel' THEN why END
    WHERE incident = name;
    RETURN jsonb_build_object('outcome', 'changed');
END $$;

-- Lets an incident run, for the kinds and numbers that a person has seen. {"outcome": …} as above, or "grown": it asks for more than was seen; or one of
-- approval_fault, with the role and the broker users that are nobody's. The counts are read after the lock was got, so that no target is missed.
CREATE FUNCTION revocation.approve_incident(name text, seen_asks text[], seen_asking bigint, seen_targets bigint, note text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
            WHERE NOT EXISTS (SELECT FROM revocation.people p WHERE p.kind = 'broker_user' AND p.name = u.name)));
    END IF;
    SELECT coalesce(sum(targets), 0) INTO received FROM revocation.incident_counts WHERE incident = name;
    -- Who says null has seen nothing.
    IF (i.asks <@ seen_asks AND greatest(i.targets_expected, received) <= seen_targets AND greatest(i.asking, i.asking_expected) <= seen_asking) IS NOT TRUE THEN
        RETURN jsonb_build_object('outcome', 'grown');
    END IF;
    PERFORM revocation.announce(note, jsonb_build_object('asks', seen_asks, 'seen', seen_targets));
    UPDATE revocation.incidents SET
        state = CASE WHEN was_paused THEN 'paused' ELSE 'running' END, was_paused = false,
        approved_by = revocation.person_of(session_user), approved_role = session_user, approved_at = clock_timestamp(), approved_asks = asks,
        approved_asking = greatest(asking, asking_expected), approved_targets = greatest(targets_expected, received)
    WHERE incident = name;
    RETURN jsonb_build_object('outcome', 'changed');
END $$;

-- Makes parked targets, and those waiting for a retry, due now: a provider's, an incident's, or one. A target that a worker holds is left alone: it is being
-- tried this moment. So is one that waits in its incident: its turn comes.
CREATE FUNCTION revocation.retry_targets(of_provider text, of_incident text, of_event uuid, of_ordinal smallint, budget_s double precision, note text)
    RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH found AS MATERIALIZED (
        SELECT event_id, ordinal FROM revocation.targets
        WHERE provider = of_provider AND lease_owner IS NULL AND finished_at IS NULL AND NOT waiting AND (state = 'parked' OR due_at > now())
        UNION ALL
        SELECT t.event_id, t.ordinal
        FROM (SELECT DISTINCT provider FROM revocation.incident_counts WHERE incident = of_incident) p CROSS JOIN LATERAL (
            SELECT t.event_id, t.ordinal FROM revocation.targets t
            WHERE t.provider = p.provider AND t.lane = 'mass' AND t.incident = of_incident
                AND t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting AND (t.state = 'parked' OR t.due_at > now())) t
        UNION ALL
        SELECT event_id, ordinal FROM revocation.targets
        WHERE event_id = of_event AND ordinal = of_ordinal AND lease_owner IS NULL AND finished_at IS NULL AND NOT waiting
            AND (state = 'parked' OR due_at > now())
    ), due AS (
        UPDATE revocation.targets t
        SET state = 'pending', due_at = now(), failures = 0, give_up_at = greatest(t.give_up_at, now() + make_interval(secs => budget_s))
        FROM found f
        WHERE t.event_id = f.event_id AND t.ordinal = f.ordinal AND t.lease_owner IS NULL AND t.finished_at IS NULL
            AND (t.state = 'parked' OR t.due_at > now())
        RETURNING 1
    ), noted AS (
        INSERT INTO revocation.operations (actor, action, incident, detail)
        SELECT revocation.caller(note), 'retry', of_incident, jsonb_build_object('provider', of_provider,
            'revocation_id', revocation.revocation_id(of_event, of_ordinal), 'targets', (SELECT count(*) FROM due), 'note', note, 'role', session_user)
    )
    SELECT count(*) FROM due
$$;

-- Gives up one target that no worker holds; with even_leased, also one that is held: its attempt is closed as unknown. Null: there is no such open target.
CREATE FUNCTION revocation.give_up_target(of_event uuid, of_ordinal smallint, reason text, even_leased boolean, note text) RETURNS jsonb
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH open AS MATERIALIZED (
        SELECT event_id, ordinal, state, provider, incident, attempts, lease_owner, leased_at, deny_until FROM revocation.targets
        WHERE event_id = of_event AND ordinal = of_ordinal AND finished_at IS NULL AND (lease_owner IS NULL OR even_leased) FOR UPDATE
    ), closed AS (
        INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at, outcome, error)
        SELECT event_id, ordinal, attempts, false, lease_owner, leased_at, 'unknown', 'an operator gave the target up meanwhile'
        FROM open WHERE lease_owner IS NOT NULL
        ON CONFLICT DO NOTHING
    ), given_up AS (
        UPDATE revocation.targets t
        SET state = 'cancelled', waiting = false, due_at = NULL, lease_owner = NULL, leased_at = NULL, sealed = NULL, sealed_key = NULL,
            finished_at = now()
        FROM open WHERE (t.event_id, t.ordinal) = (open.event_id, open.ordinal)
    ), noted AS (
        INSERT INTO revocation.operations (actor, action, incident, detail)
        SELECT revocation.caller(note), 'target_cancel', nullif(incident, ''), jsonb_build_object('revocation_id',
            revocation.revocation_id(event_id, ordinal), 'provider', provider, 'reason', reason, 'state', state,
            'in_flight', lease_owner IS NOT NULL, 'note', note, 'role', session_user)
        FROM open
    )
    SELECT jsonb_build_object('revocation_id', revocation.revocation_id(event_id, ordinal), 'provider', provider,
        'denied_until', deny_until, 'withheld', e.deny_at IS NOT NULL)
    FROM open JOIN revocation.events e USING (event_id)
$$;

-- Has a provider called again. Null: no live worker has such a provider.
CREATE FUNCTION revocation.resume_provider(name text, note text) RETURNS jsonb
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH known AS MATERIALIZED (
        SELECT provider, breaker, held_until FROM audit.providers WHERE provider = name
    ), due AS (
        UPDATE revocation.targets t SET due_at = now()
        WHERE t.provider = name AND t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting AND t.state = 'pending'
            AND t.due_at > now() AND EXISTS (SELECT FROM known)
        RETURNING 1
    ), ordered AS (
        INSERT INTO revocation.provider_orders (provider, action, actor) SELECT provider, 'resume', revocation.caller(note) FROM known RETURNING order_no
    ), done AS MATERIALIZED (
        SELECT jsonb_build_object('order_no', o.order_no, 'due', (SELECT count(*) FROM due), 'breaker', k.breaker, 'held_until', k.held_until) AS result
        FROM known k CROSS JOIN ordered o
    ), noted AS (
        INSERT INTO revocation.operations (actor, action, detail)
        SELECT revocation.caller(note), 'provider_resume', result || jsonb_build_object('provider', name, 'note', note, 'role', session_user) FROM done
    )
    SELECT result FROM done
$$;

-- Notes what was done outside of this database: to dead letters, by an export.
CREATE FUNCTION revocation.note_operation(what text, of_incident text, detail jsonb, note text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF what <> 'export' AND what NOT LIKE 'dead %' THEN
        RAISE EXCEPTION '% is not noted by itself: its own function notes it', what USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO revocation.operations (actor, action, incident, detail)
    VALUES (revocation.caller(note), what, of_incident, detail || jsonb_build_object('note', note, 'role', session_user));
END $$;

-- Gives up what cancelled incidents still have that no worker holds, at most so many targets and 500 denials held back. Returns how many of both.
CREATE FUNCTION revocation.sweep_cancelled(most bigint) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS MATERIALIZED (
        SELECT incident FROM revocation.incidents WHERE finished_at IS NULL AND state = 'cancelled'
    ), waiting AS MATERIALIZED (
        SELECT w.event_id, w.ordinal FROM gone CROSS JOIN LATERAL (
            SELECT t.event_id, t.ordinal FROM revocation.targets t WHERE t.waiting AND t.incident = gone.incident
            LIMIT most FOR UPDATE SKIP LOCKED) w
        LIMIT most
    ), hot AS MATERIALIZED (
        SELECT h.event_id, h.ordinal
        FROM (SELECT DISTINCT incident, provider FROM gone JOIN revocation.incident_counts USING (incident)) of CROSS JOIN LATERAL (
            SELECT t.event_id, t.ordinal FROM revocation.targets t
            WHERE t.provider = of.provider AND t.lane = 'mass' AND t.incident = of.incident
                AND t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting
            LIMIT most FOR UPDATE SKIP LOCKED) h
        LIMIT most
    ), given_up AS (
        UPDATE revocation.targets t
        SET state = 'cancelled', waiting = false, due_at = NULL, sealed = NULL, sealed_key = NULL, finished_at = now()
        FROM (SELECT * FROM waiting UNION ALL SELECT * FROM hot LIMIT most) open
        WHERE t.event_id = open.event_id AND t.ordinal = open.ordinal
        RETURNING 1
    ), held AS MATERIALIZED (
        SELECT h.event_id FROM gone CROSS JOIN LATERAL (
            SELECT e.event_id FROM revocation.events e WHERE e.deny_at IS NOT NULL AND e.incident = gone.incident
            ORDER BY e.has_cutoff DESC, e.event_id LIMIT 500 FOR UPDATE SKIP LOCKED) h
        LIMIT 500
    ), let_go AS (
        UPDATE revocation.events e SET deny_at = NULL FROM held WHERE e.event_id = held.event_id RETURNING 1
    )
    SELECT (SELECT count(*) FROM given_up) + (SELECT count(*) FROM let_go)
$$;

-- Ends incidents of which nothing is left to do. An acceptance that adds targets holds the incident's row until it commits. So the rows are locked first,
-- and a statement with a snapshot of its own decides. OFFSET 0 keeps the planner from reading what all incidents hold back instead of what this one does.
CREATE FUNCTION revocation.finish_incidents() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    candidates text[] := ARRAY(
        SELECT i.incident FROM revocation.incidents i
        WHERE i.finished_at IS NULL AND i.state IN ('running', 'cancelled') AND NOT EXISTS (
            SELECT FROM revocation.incident_counts n WHERE n.incident = i.incident AND n.stage IN ('waiting', 'pending', 'parked')
            HAVING sum(n.targets) > 0)
        FOR UPDATE SKIP LOCKED);
    -- They wait for a second person, and hold nothing any more.
    emptied text[] := ARRAY(
        SELECT i.incident FROM revocation.incidents i
        WHERE i.finished_at IS NULL AND i.state = 'awaiting_approval' AND starts_with(i.incident, 'rate-') AND i.targets_expected IS NULL
            AND NOT EXISTS (SELECT FROM revocation.incident_counts n WHERE n.incident = i.incident HAVING sum(n.targets) > 0)
        FOR UPDATE SKIP LOCKED);
BEGIN
    IF cardinality(candidates || emptied) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY UPDATE revocation.incidents i SET finished_at = now(), state = 'cancelled', cancelled_by = session_user,
            cancel_reason = 'nothing is left in it: copies of all that it held came within a rate'
        WHERE i.incident = ANY (emptied) AND NOT EXISTS (SELECT FROM revocation.events e WHERE e.incident = i.incident)
        RETURNING i.incident;
    RETURN QUERY UPDATE revocation.incidents i SET finished_at = now()
        FROM audit.incidents a
        WHERE i.incident = ANY (candidates) AND i.finished_at IS NULL AND a.incident = i.incident AND a.pending = 0 AND a.parked = 0
            AND NOT EXISTS (SELECT FROM revocation.events e WHERE e.incident = i.incident AND e.deny_at IS NOT NULL OFFSET 0)
            AND (i.state = 'cancelled' OR (i.state = 'running' AND a.targets_received >= coalesce(i.targets_expected, 1)
                AND (a.denied >= a.targets_received
                    OR NOT EXISTS (SELECT FROM revocation.events e WHERE e.incident = i.incident AND e.denied_at IS NULL))))
        RETURNING i.incident;
END $$;

-- Late-bound: sqlx makes that table, which is not there where the migrations are run by hand.
CREATE FUNCTION audit.schema_version() RETURNS bigint LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT max(version) FROM public._sqlx_migrations WHERE success);
END $$;

REVOKE EXECUTE ON FUNCTION revocation.set_people(jsonb), revocation.announce(text, jsonb), revocation.person_of(text), revocation.caller(text),
    revocation.approval_fault(text, text[], text[]), revocation.contributing_users(revocation.incidents),
    revocation.steer_incident(text, text, integer, text, text), revocation.approve_incident(text, text[], bigint, bigint, text),
    revocation.retry_targets(text, text, uuid, smallint, double precision, text),
    revocation.give_up_target(uuid, smallint, text, boolean, text), revocation.resume_provider(text, text),
    revocation.note_operation(text, text, jsonb, text), revocation.sweep_cancelled(bigint), revocation.finish_incidents(),
    revocation.let_go(uuid, timestamptz), revocation.are_people(jsonb), revocation.listed_people(jsonb) FROM PUBLIC;

-- What the commands read beyond the older views, so that they run with no right but to schema audit. None has a sealed token.
CREATE VIEW audit.events AS
SELECT event_id AS event_row, source AS event_source, id AS event_id, event_type, incident, lane, reason, actor, broker_user, occurred_at, received_at,
       not_before, denied_at, deny_at IS NOT NULL AS withheld
FROM revocation.events_as_given;
COMMENT ON VIEW audit.events IS 'one row an event; withheld: its denial waits for its incident''s approval, or is being published after it';

CREATE VIEW audit.targets AS
SELECT t.event_id AS event_row, t.ordinal, t.incident, t.provider, t.lane, t.kind, t.state, t.attempts, t.finished_at, t.deny_until,
       t.lease_owner IS NOT NULL AS in_flight
FROM revocation.targets t;
COMMENT ON VIEW audit.targets IS 'one row a target, for counting; its story is in audit.revocations';

CREATE VIEW audit.event_attempts AS
SELECT DISTINCT ON (a.event_id, a.ordinal, a.attempt) a.event_id AS event_row, revocation.revocation_id(a.event_id, a.ordinal) AS revocation_id, a.attempt,
       w.instance AS worker, a.started_at, a.duration_ms, a.outcome, a.http_status, a.error, a.retry_after_ms
FROM revocation.attempts a LEFT JOIN revocation.workers w USING (worker_no)
ORDER BY a.event_id, a.ordinal, a.attempt, a.answered DESC;
COMMENT ON VIEW audit.event_attempts IS 'the ended ones of audit.attempts, by event: to be asked for one event at a time';

CREATE VIEW audit.event_attempts_under_way AS
SELECT t.event_id AS event_row, revocation.revocation_id(t.event_id, t.ordinal) AS revocation_id, t.attempts AS attempt, w.instance AS worker,
       t.leased_at AS started_at
FROM revocation.targets t LEFT JOIN revocation.workers w ON w.worker_no = t.lease_owner
WHERE t.lease_owner IS NOT NULL;
COMMENT ON VIEW audit.event_attempts_under_way IS 'those of audit.attempts that are under way, by event';

CREATE VIEW audit.overdue AS
SELECT t.provider, t.lane, t.state, min(t.due_at) AS since
FROM revocation.targets t
WHERE t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting AND t.due_at <= now() AND (t.incident = '' OR t.incident IN (
    SELECT i.incident FROM revocation.incidents i WHERE i.state = 'running' AND i.throttle_per_s IS NULL))
GROUP BY t.provider, t.lane, t.state;
COMMENT ON VIEW audit.overdue IS 'since when a target is due that nothing holds back, by provider, lane and state';

CREATE VIEW audit.incident_approvals AS
SELECT incident, opened_via, asks, greatest(asking, asking_expected) AS asking, approval_above, approved_role, approved_asks, approved_targets, contributors
FROM revocation.incidents;
COMMENT ON VIEW audit.incident_approvals IS 'one row an incident: what calls for a second person, what was approved, who contributed';

CREATE VIEW audit.incident_providers AS
SELECT n.incident, n.provider, coalesce(sum(n.targets) FILTER (WHERE n.stage IN ('waiting', 'pending')), 0) AS pending,
       coalesce(sum(n.targets) FILTER (WHERE n.stage = 'revoked'), 0) AS revoked,
       coalesce(sum(n.targets) FILTER (WHERE n.stage = 'unsupported'), 0) AS unsupported,
       coalesce(sum(n.targets) FILTER (WHERE n.stage = 'expired'), 0) AS expired,
       coalesce(sum(n.targets) FILTER (WHERE n.stage = 'parked'), 0) AS parked,
       coalesce(sum(n.targets) FILTER (WHERE n.stage = 'cancelled'), 0) AS cancelled
FROM revocation.incident_counts n GROUP BY n.incident, n.provider;
COMMENT ON VIEW audit.incident_providers IS 'an incident''s targets by provider and state';

CREATE VIEW audit.provider_workers AS
SELECT s.provider, w.instance AS worker, s.breaker, s.waits_since, CASE WHEN s.held_until > now() THEN s.held_until END AS held_until,
       s.last_success_at, s.last_failure_at, s.last_error, s.calls_5m, s.failures_5m
FROM revocation.provider_status s JOIN revocation.workers w USING (worker_no)
WHERE w.ended_at IS NULL AND w.lease_until > now();
COMMENT ON VIEW audit.provider_workers IS 'what each live worker sees of each provider';

CREATE VIEW audit.provider_orders AS SELECT order_no, at, provider, action, actor, role FROM revocation.provider_orders;
COMMENT ON VIEW audit.provider_orders IS 'what operators ordered of providers';
