-- Mass revocations as something that an operator steers: incidents, their approval, their counts.

-- A name as it is compared: neither case nor blanks make another person.
CREATE FUNCTION revocation.person(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN lower(regexp_replace(name, '\s', '', 'g'));

-- asks: kinds among its targets that no one person may order. asking: how many targets of those kinds it has, asking_expected: will have.
-- approval_above: the fuse, as the worker that opened it was configured. An approval covers what was there to see: approved_asks, approved_asking and
-- approved_targets. contributors: everybody whose events it holds, and the broker users that these came by.
CREATE TABLE revocation.incidents (
    incident         text        PRIMARY KEY CHECK (octet_length(incident) BETWEEN 1 AND 255),
    state            text        NOT NULL CHECK (state IN ('awaiting_approval', 'running', 'paused', 'cancelled')),
    reason           text,
    opened_by        text        NOT NULL CHECK (btrim(opened_by) <> ''),
    opened_via       text,       -- the broker user, which RabbitMQ vouches for
    opened_at        timestamptz NOT NULL DEFAULT now(),
    targets_expected bigint      CHECK (targets_expected > 0),
    asks             text[]      NOT NULL DEFAULT '{}' CHECK (asks <@ ARRAY['token', 'session', 'subject', 'client', 'issuer']),
    asking           bigint      NOT NULL DEFAULT 0 CHECK (asking >= 0),
    asking_expected  bigint      CHECK (asking_expected > 0),
    contributors     text[]      NOT NULL DEFAULT '{}',
    approval_above   bigint      NOT NULL CHECK (approval_above >= 0),
    approved_by      text        CHECK (btrim(approved_by) <> ''),
    approved_role    text,       -- the database's word on who approved
    approved_at      timestamptz,
    approved_asks    text[],
    approved_asking  bigint,
    approved_targets bigint,
    was_paused       boolean     NOT NULL DEFAULT false, -- when it began to wait for approval: then it is paused again after that
    throttle_per_s   integer     CHECK (throttle_per_s > 0),
    cancelled_by     text        CHECK (btrim(cancelled_by) <> ''),
    cancel_reason    text        CHECK (btrim(cancel_reason) <> ''),
    finished_at      timestamptz,
    CONSTRAINT approval_is_whole
        CHECK (num_nulls(approved_by, approved_role, approved_at, approved_asks, approved_asking, approved_targets) IN (0, 6)),
    CONSTRAINT cancelled_with_reason CHECK ((state = 'cancelled') = (cancelled_by IS NOT NULL AND cancel_reason IS NOT NULL)),
    CONSTRAINT only_what_runs_ends CHECK (finished_at IS NULL OR state IN ('running', 'cancelled'))
);
CREATE INDEX incidents_active ON revocation.incidents (incident) WHERE finished_at IS NULL;
CREATE INDEX incidents_cancelled ON revocation.incidents (finished_at) WHERE state = 'cancelled';

-- Whether so many targets, so many of them of kinds that ask, need a second person beyond what was approved.
CREATE FUNCTION revocation.calls_for_approval(i revocation.incidents, received bigint) RETURNS boolean LANGUAGE sql STABLE RETURN
    NOT i.asks <@ coalesce(i.approved_asks, '{}') OR greatest(i.asking, i.asking_expected) > coalesce(i.approved_asking, 0)
    OR coalesce(greatest(i.targets_expected, received), 0) > greatest(i.approval_above, i.approved_targets);

-- What runs has the approval that it calls for, who opened it and who has added to it never changes, and a cancelled incident stays cancelled.
CREATE FUNCTION revocation.refuse_incident() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.state = 'cancelled' AND NEW.state <> 'cancelled' THEN
        RAISE EXCEPTION 'incident %: it was cancelled, which is final', NEW.incident USING ERRCODE = 'restrict_violation';
    ELSIF TG_OP = 'UPDATE' AND ((NEW.incident, NEW.opened_by, NEW.opened_via, NEW.opened_at) IS DISTINCT FROM
            (OLD.incident, OLD.opened_by, OLD.opened_via, OLD.opened_at) OR NOT OLD.contributors <@ NEW.contributors) THEN
        RAISE EXCEPTION 'incident %: who opened it, when, and who added to it, does not change', OLD.incident USING ERRCODE = 'restrict_violation';
    END IF;
    NEW.contributors := ARRAY(SELECT DISTINCT unnest(
        NEW.contributors || revocation.person(NEW.opened_by) || coalesce(ARRAY[revocation.person(NEW.opened_via)], '{}')) ORDER BY 1);
    -- Judged when it is given: whoever approved may add to the incident later, within what was approved, and then approves no more.
    IF NEW.approved_by IS NOT NULL AND revocation.person(NEW.approved_by) = ANY (NEW.contributors) AND (TG_OP = 'INSERT'
            OR (NEW.approved_by, NEW.approved_at) IS DISTINCT FROM (OLD.approved_by, OLD.approved_at)) THEN
        RAISE EXCEPTION 'incident %: a second person must approve', NEW.incident USING ERRCODE = 'check_violation', CONSTRAINT = 'two_persons';
    END IF;
    IF NEW.state IN ('running', 'paused') AND (TG_OP = 'INSERT' OR OLD.state = 'awaiting_approval'
            OR (NEW.asks, NEW.asking, NEW.asking_expected, NEW.targets_expected) IS DISTINCT FROM
               (OLD.asks, OLD.asking, OLD.asking_expected, OLD.targets_expected))
        AND revocation.calls_for_approval(NEW, (SELECT sum(targets)::bigint FROM revocation.incident_counts c WHERE c.incident = NEW.incident)) THEN
        RAISE EXCEPTION 'incident %: it needs a second person''s approval before it may run', NEW.incident USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER needs_approval BEFORE INSERT OR UPDATE ON revocation.incidents FOR EACH ROW EXECUTE FUNCTION revocation.refuse_incident();

-- deny_at: a denial that is held back until its incident is approved; then, when to publish it, again if need be. has_cutoff: names more than tokens.
ALTER TABLE revocation.events
    ADD COLUMN targets    smallint CHECK (targets > 0), -- how many; null in events from before this column
    ADD COLUMN has_cutoff boolean NOT NULL DEFAULT false,
    ADD COLUMN deny_at    timestamptz,
    ADD CONSTRAINT denied_or_held CHECK (deny_at IS NULL OR (denied_at IS NULL AND incident IS NOT NULL));
-- A worker from before this column denies what it knows of: then it is denied.
CREATE FUNCTION revocation.note_denial() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.deny_at := NULL; RETURN NEW; END $$;
CREATE TRIGGER denied_is_not_held BEFORE UPDATE ON revocation.events FOR EACH ROW
    WHEN (NEW.denied_at IS NOT NULL AND NEW.deny_at IS NOT NULL) EXECUTE FUNCTION revocation.note_denial();
CREATE INDEX events_held ON revocation.events (incident, has_cutoff DESC, event_id) WHERE deny_at IS NOT NULL;

-- incident: the event's, '' for none. waiting: not let into the hot index yet, and due never; a large incident's targets go through it a few at a time.
-- cutoff: after a subject's upstream revocation in an incident, the moment of that, instead of the event's not_before.
ALTER TABLE revocation.targets
    ADD COLUMN incident text        NOT NULL DEFAULT '',
    ADD COLUMN waiting  boolean     NOT NULL DEFAULT false,
    ADD COLUMN cutoff   timestamptz,
    ADD COLUMN wide     boolean     NOT NULL GENERATED ALWAYS AS (kind <> 'token') STORED, -- often revoked with an administrator's credentials
    ADD CONSTRAINT waiting_is_untried CHECK (NOT waiting OR (state = 'pending' AND lease_owner IS NULL AND attempts = 0 AND incident <> '')),
    ADD CONSTRAINT tokens_have_no_cutoff CHECK (cutoff IS NULL OR kind <> 'token');
UPDATE revocation.targets t SET incident = e.incident FROM revocation.events e WHERE e.event_id = t.event_id AND e.incident IS NOT NULL;

-- A worker from before this column knows of no turns: what it takes up, or ends, waits no longer. (Due never, what waits is not seen by its claim.)
CREATE FUNCTION revocation.take_turn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.waiting := false; RETURN NEW; END $$;
CREATE TRIGGER turn_is_over BEFORE UPDATE ON revocation.targets FOR EACH ROW
    WHEN (OLD.waiting AND NEW.waiting AND (NEW.lease_owner IS NOT NULL OR NEW.state <> 'pending')) EXECUTE FUNCTION revocation.take_turn();

-- The hot index: what is due, by lane and incident. What waits in an incident is in an index of its own, in the order of its turn.
DROP INDEX revocation.targets_due;
CREATE INDEX targets_due ON revocation.targets (provider, lane, incident, wide, due_at)
    WHERE lease_owner IS NULL AND finished_at IS NULL AND NOT waiting;
CREATE INDEX targets_waiting ON revocation.targets (incident, provider, wide, event_id, (token_type_hint IS DISTINCT FROM 'refresh_token'), ordinal) WHERE waiting;

-- How many targets of an incident are in which stage: its state, or `waiting`. Written by triggers with every change of a target, in shards, so that
-- sessions do not wait for each other; only the sum over the shards means anything.
CREATE TABLE revocation.incident_counts (
    incident text    NOT NULL,
    provider text    NOT NULL,
    stage    text    NOT NULL,
    shard    integer NOT NULL,
    targets  bigint  NOT NULL,
    PRIMARY KEY (incident, provider, stage, shard)
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE TABLE revocation.incident_denied (
    incident text    NOT NULL,
    shard    integer NOT NULL,
    targets  bigint  NOT NULL,
    PRIMARY KEY (incident, shard)
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- How far an incident was, every few seconds: its rate.
CREATE TABLE revocation.incident_samples (
    incident text        NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    done     bigint      NOT NULL,
    PRIMARY KEY (incident, at)
);

CREATE FUNCTION revocation.stage(state text, waiting boolean) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN CASE WHEN waiting THEN 'waiting' ELSE state END;

-- In order, so that two sessions on one shard never wait for each other in a circle.
CREATE FUNCTION revocation.count_targets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO revocation.incident_counts AS c (incident, provider, stage, shard, targets)
        SELECT n.incident, n.provider, revocation.stage(n.state, n.waiting), pg_backend_pid() % 64, count(*)
        FROM new_rows n WHERE n.incident <> '' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (incident, provider, stage, shard) DO UPDATE SET targets = c.targets + excluded.targets;
    ELSE
        INSERT INTO revocation.incident_counts AS c (incident, provider, stage, shard, targets)
        SELECT incident, provider, stage, pg_backend_pid() % 64, sum(n)
        FROM (SELECT incident, provider, revocation.stage(state, waiting) AS stage, 1 AS n FROM new_rows WHERE incident <> ''
            UNION ALL SELECT incident, provider, revocation.stage(state, waiting), -1 FROM old_rows WHERE incident <> '') change
        GROUP BY 1, 2, 3 HAVING sum(n) <> 0 ORDER BY 1, 2, 3
        ON CONFLICT (incident, provider, stage, shard) DO UPDATE SET targets = c.targets + excluded.targets;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER counted_new AFTER INSERT ON revocation.targets REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION revocation.count_targets();
CREATE TRIGGER counted_change AFTER UPDATE ON revocation.targets REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION revocation.count_targets();

CREATE FUNCTION revocation.count_denied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO revocation.incident_denied AS c (incident, shard, targets)
    SELECT incident, pg_backend_pid() % 64, sum(n)
    FROM (SELECT incident, targets AS n FROM new_rows WHERE incident IS NOT NULL AND denied_at IS NOT NULL
        UNION ALL SELECT incident, -targets FROM old_rows WHERE incident IS NOT NULL AND denied_at IS NOT NULL) change
    GROUP BY incident HAVING sum(n) <> 0 ORDER BY incident
    ON CONFLICT (incident, shard) DO UPDATE SET targets = c.targets + excluded.targets;
    RETURN NULL;
END $$;
CREATE TRIGGER counted_denied AFTER UPDATE ON revocation.events REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION revocation.count_denied();

-- Incidents from before this table: as they stand.
INSERT INTO revocation.incidents (incident, state, reason, opened_by, opened_via, opened_at, targets_expected, approval_above)
SELECT DISTINCT ON (incident) incident, 'running', reason, coalesce(nullif(btrim(actor), ''), broker_user, 'unknown'), broker_user, received_at, NULL, 9223372036854775807
FROM revocation.events WHERE incident IS NOT NULL ORDER BY incident, received_at;
INSERT INTO revocation.incident_counts (incident, provider, stage, shard, targets)
SELECT incident, provider, state, 0, count(*) FROM revocation.targets WHERE incident <> '' GROUP BY 1, 2, 3;
INSERT INTO revocation.incident_denied (incident, shard, targets)
SELECT e.incident, 0, count(*) FROM revocation.events e JOIN revocation.targets t USING (event_id)
WHERE e.incident IS NOT NULL AND e.denied_at IS NOT NULL GROUP BY 1;

-- A provider that asked one worker to come back later is left alone by all.
ALTER TABLE revocation.provider_status ADD COLUMN held_until timestamptz;

CREATE VIEW audit.incidents AS
SELECT i.incident, CASE WHEN i.state = 'running' AND i.finished_at IS NOT NULL THEN 'finished' ELSE i.state END AS state,
       i.reason, i.opened_by, i.approved_by, i.opened_at, i.targets_expected, c.received AS targets_received, d.denied,
       c.pending, c.revoked, c.unsupported, c.expired, c.parked, c.cancelled, r.rate_per_s,
       ceil(CASE WHEN i.finished_at IS NULL THEN greatest(i.targets_expected - c.received, 0) + c.pending END / nullif(r.rate_per_s, 0)) AS eta_seconds,
       i.finished_at, i.approved_at, i.throttle_per_s, i.cancelled_by, i.cancel_reason,
       i.asks || CASE WHEN greatest(i.targets_expected, c.received) > i.approval_above
           THEN ARRAY[greatest(i.targets_expected, c.received) || ' targets'] ELSE '{}' END AS approval_for
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
CROSS JOIN LATERAL (SELECT coalesce(sum(targets), 0)::bigint AS denied FROM revocation.incident_denied n WHERE n.incident = i.incident) d
LEFT JOIN LATERAL (
    SELECT round((c.received - c.pending - c.parked - s.done) / extract(epoch FROM now() - s.at), 1)::double precision AS rate_per_s
    FROM revocation.incident_samples s
    WHERE s.incident = i.incident AND s.at > now() - interval '60 seconds' AND s.at < now() - interval '1 second'
    ORDER BY s.at LIMIT 1
) r ON i.finished_at IS NULL;
COMMENT ON VIEW audit.incidents IS 'one row a mass revocation; pending: not finished and not parked; rate_per_s: targets finished, over the last minute; eta_seconds: of what is pending and what is still to come, at that rate; approval_for: what calls for a second person';

CREATE OR REPLACE VIEW audit.revocations AS
SELECT revocation.revocation_id(t.event_id, t.ordinal) AS revocation_id,
       e.source AS event_source, e.id AS event_id, e.event_type, e.incident, t.lane, t.provider,
       t.kind AS target_kind, t.token_type_hint, encode(t.token_sha256, 'hex') AS token_sha256,
       t.sub, t.sid, t.client_id, t.iss, coalesce(t.cutoff, e.not_before) AS not_before, e.reason, e.actor,
       t.state, t.proof, t.attempts, e.occurred_at, e.received_at, e.denied_at,
       t.revoked_at, t.confirmed_at, t.finished_at,
       CASE WHEN t.lease_owner IS NULL AND NOT t.waiting THEN t.due_at END AS next_attempt_at,
       t.token_expires_at, t.last_outcome, t.last_http_status, t.last_error, w.instance AS worker
FROM revocation.targets t
JOIN revocation.events e USING (event_id)
LEFT JOIN revocation.workers w ON w.worker_no = t.last_worker;
COMMENT ON VIEW audit.revocations IS 'one row a target; next_attempt_at is null while a worker holds it, and until its turn comes in its incident';

-- Each branch has its index: what is due, what is held by a worker, what waits in an incident.
CREATE OR REPLACE VIEW audit.backlog AS
SELECT provider, lane, state, sum(targets)::bigint AS targets, min(oldest_received_at) AS oldest_received_at, min(next_attempt_at) AS next_attempt_at
FROM (
    SELECT t.provider, t.lane, t.state, count(*) AS targets, min(e.received_at) AS oldest_received_at, min(t.due_at) AS next_attempt_at
    FROM revocation.targets t JOIN revocation.events e USING (event_id)
    WHERE t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting
    GROUP BY t.provider, t.lane, t.state
    UNION ALL
    SELECT t.provider, t.lane, t.state, count(*), min(e.received_at), NULL
    FROM revocation.targets t JOIN revocation.events e USING (event_id)
    WHERE t.lease_owner IS NOT NULL
    GROUP BY t.provider, t.lane, t.state
    UNION ALL
    SELECT w.provider, 'mass', 'pending', w.targets, e.received_at, CASE WHEN w.state = 'running' THEN e.received_at END
    FROM (SELECT c.incident, c.provider, i.state, sum(c.targets) AS targets
          FROM revocation.incidents i JOIN revocation.incident_counts c USING (incident)
          WHERE i.finished_at IS NULL AND c.stage = 'waiting' GROUP BY c.incident, c.provider, i.state HAVING sum(c.targets) > 0) w
    CROSS JOIN LATERAL (SELECT t.event_id FROM revocation.targets t WHERE t.waiting AND t.incident = w.incident AND t.provider = w.provider
        ORDER BY t.wide, t.event_id, (t.token_type_hint IS DISTINCT FROM 'refresh_token'), t.ordinal LIMIT 1) first
    JOIN revocation.events e USING (event_id)
) part
GROUP BY provider, lane, state;
COMMENT ON VIEW audit.backlog IS 'open targets by provider, lane and state; next_attempt_at is null where all are held by workers or by a paused incident';
