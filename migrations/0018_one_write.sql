-- What became of a logout is written with its targets: no row of its own for the call that ended a target, no
-- change of its event's row for its denial.

-- call_began_at: of the call whose answer ended this target; it is the attempt of number `attempts`, by
-- last_worker, with last_outcome, last_http_status and last_error, and ended at finished_at. Null: that attempt,
-- like all that ended nothing, has a row of revocation.attempts; so has every one of a worker from before this.
-- denied_at: of its event's denial, where that became known with a result of this target; else it is the event's.
ALTER TABLE revocation.targets
    ADD COLUMN call_began_at timestamptz,
    ADD COLUMN denied_at     timestamptz,
    ADD CONSTRAINT call_ended_it CHECK (
        call_began_at IS NULL
        OR (finished_at IS NOT NULL AND attempts > 0 AND last_worker IS NOT NULL
            AND coalesce(last_outcome, 'unknown') <> 'unknown')) NOT VALID,
    -- Of an incident, it is counted with its event.
    ADD CONSTRAINT denied_is_of_no_incident CHECK (denied_at IS NULL OR incident = '') NOT VALID;

-- As in 0001, but after the row is written, like incident_is_its_events in 0017. Append-only is the attempt that a
-- target's row holds, too.
CREATE OR REPLACE FUNCTION revocation.refuse_transition() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (NEW.state, NEW.finished_at) IS DISTINCT FROM (OLD.state, OLD.finished_at) THEN
        RAISE EXCEPTION 'target %-%: % -> % refused: % is final',
            OLD.event_id, OLD.ordinal, OLD.state, NEW.state, OLD.state USING ERRCODE = 'restrict_violation';
    ELSIF NEW.call_began_at IS DISTINCT FROM OLD.call_began_at OR OLD.call_began_at IS NOT NULL AND
        (NEW.attempts, NEW.last_worker, NEW.last_outcome, NEW.last_http_status, NEW.last_error) IS DISTINCT FROM
        (OLD.attempts, OLD.last_worker, OLD.last_outcome, OLD.last_http_status, OLD.last_error)
    THEN
        RAISE EXCEPTION 'target %-%: change of its last attempt refused: the record of attempts is append-only',
            OLD.event_id, OLD.ordinal USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER final_is_final ON revocation.targets;
CREATE TRIGGER final_is_final AFTER UPDATE ON revocation.targets FOR EACH ROW
    WHEN (OLD.finished_at IS NOT NULL) EXECUTE FUNCTION revocation.refuse_transition();
CREATE TRIGGER append_only BEFORE DELETE ON revocation.targets FOR EACH ROW
    WHEN (OLD.call_began_at IS NOT NULL) EXECUTE FUNCTION revocation.refuse_change();

-- An event's row is not written again but for an incident, and by workers from before this.
ALTER TABLE revocation.events RESET (fillfactor);

-- An answered attempt, its target's next state, and its event's denial where that has become known.
CREATE TYPE revocation.new_answer AS (
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
    deny_until     timestamptz,
    denied_at      timestamptz
);

-- Where migrations/roles.sql has been run: what is new to the worker.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revocation_worker') THEN
        GRANT UPDATE (call_began_at, denied_at) ON revocation.targets TO revocation_worker;
    END IF;
END $$;

-- As in 0008; denied_at: the earliest that is known, of the event's row and of its targets'.
CREATE OR REPLACE VIEW revocation.events_as_given AS
SELECT event_id, source, id, event_type, incident, lane, reason, actor, broker_user, occurred_at, received_at, not_before,
       least(denied_at, (SELECT min(t.denied_at) FROM revocation.targets t WHERE t.event_id = e.event_id)) AS denied_at,
       deny_at, identity_reused
FROM revocation.events e WHERE real_id IS NULL
UNION ALL
SELECT event_id, source, real_id, event_type, incident, lane, reason, actor, broker_user, occurred_at, received_at, not_before,
       least(denied_at, (SELECT min(t.denied_at) FROM revocation.targets t WHERE t.event_id = e.event_id)),
       deny_at, identity_reused
FROM revocation.events e WHERE real_id IS NOT NULL;

-- As in 0002 and 0012, and those that a target's row holds.
CREATE OR REPLACE VIEW audit.attempts AS
SELECT revocation.revocation_id(a.event_id, a.ordinal) AS revocation_id, a.attempt, w.instance AS worker,
       a.started_at, a.duration_ms, a.outcome, a.http_status, a.error, a.retry_after_ms
FROM revocation.attempts a
LEFT JOIN revocation.workers w USING (worker_no)
WHERE a.answered OR NOT EXISTS (
    SELECT FROM revocation.attempts late
    WHERE (late.event_id, late.ordinal, late.attempt) = (a.event_id, a.ordinal, a.attempt) AND late.answered)
UNION ALL
SELECT revocation.revocation_id(t.event_id, t.ordinal), t.attempts, w.instance, t.call_began_at,
       floor(extract(epoch FROM t.finished_at - t.call_began_at) * 1000)::integer,
       t.last_outcome, t.last_http_status, t.last_error, NULL
FROM revocation.targets t
LEFT JOIN revocation.workers w ON w.worker_no = t.last_worker
WHERE t.call_began_at IS NOT NULL
UNION ALL
SELECT revocation.revocation_id(t.event_id, t.ordinal), t.attempts, w.instance, t.leased_at, NULL, NULL, NULL, NULL, NULL
FROM revocation.targets t
LEFT JOIN revocation.workers w ON w.worker_no = t.lease_owner
WHERE t.lease_owner IS NOT NULL;

CREATE OR REPLACE VIEW audit.event_attempts AS
SELECT * FROM (
    SELECT DISTINCT ON (a.event_id, a.ordinal, a.attempt) a.event_id AS event_row,
           revocation.revocation_id(a.event_id, a.ordinal) AS revocation_id, a.attempt,
           w.instance AS worker, a.started_at, a.duration_ms, a.outcome, a.http_status, a.error, a.retry_after_ms
    FROM revocation.attempts a LEFT JOIN revocation.workers w USING (worker_no)
    ORDER BY a.event_id, a.ordinal, a.attempt, a.answered DESC
) AS of_its_own
UNION ALL
SELECT t.event_id, revocation.revocation_id(t.event_id, t.ordinal), t.attempts, w.instance, t.call_began_at,
       floor(extract(epoch FROM t.finished_at - t.call_began_at) * 1000)::integer,
       t.last_outcome, t.last_http_status, t.last_error, NULL
FROM revocation.targets t LEFT JOIN revocation.workers w ON w.worker_no = t.last_worker
WHERE t.call_began_at IS NOT NULL;
