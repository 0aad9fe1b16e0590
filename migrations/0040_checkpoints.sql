-- Tamper evidence: now and then a worker digests what has come on record since the last time, signs that, and chains it to
-- the digest before. Rows are written as ever: nothing of it is in the way of a logout.

SELECT set_config('lock_timeout', '5s', true), set_config('statement_timeout', '60s', true);

CREATE INDEX operations_at ON revocation.operations USING brin (at);

-- A row belongs to the checkpoint of its own time. One that is written later than 10 s after that (a worker that was cut
-- off, a takeover) is noted here with the moment of its writing, and belongs to the checkpoint of that moment.
-- row_no: of a target its ordinal, of an attempt ordinal * 2^33 + attempt * 2 + answered, else the row's own number.
CREATE TABLE revocation.late_rows (
    relation text        NOT NULL CHECK (relation IN ('attempts', 'targets', 'rejected_events', 'operations')),
    event_id uuid        NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    row_no   bigint      NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    role     text        NOT NULL DEFAULT session_user,
    PRIMARY KEY (relation, event_id, row_no)
);
CREATE INDEX late_rows_noted ON revocation.late_rows (noted_at);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON revocation.late_rows
    FOR EACH ROW EXECUTE FUNCTION revocation.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON revocation.late_rows
    FOR EACH STATEMENT EXECUTE FUNCTION revocation.refuse_change();

CREATE FUNCTION revocation.attempt_no(ordinal smallint, attempt integer, answered boolean) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN (ordinal::bigint << 33) | (attempt::bigint << 1) | answered::integer;

CREATE FUNCTION revocation.note_late() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'attempts' THEN
        INSERT INTO revocation.late_rows (relation, event_id, row_no)
        VALUES ('attempts', NEW.event_id, revocation.attempt_no(NEW.ordinal, NEW.attempt, NEW.answered))
        ON CONFLICT DO NOTHING;
    ELSIF TG_TABLE_NAME = 'targets' THEN
        INSERT INTO revocation.late_rows (relation, event_id, row_no)
        VALUES ('targets', NEW.event_id, NEW.ordinal) ON CONFLICT DO NOTHING;
    ELSIF TG_TABLE_NAME = 'rejected_events' THEN
        INSERT INTO revocation.late_rows (relation, row_no)
        VALUES ('rejected_events', NEW.rejected_no) ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO revocation.late_rows (relation, row_no)
        VALUES ('operations', NEW.operation_no) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
-- The function is called for late rows alone. An attempt's time is that of its answer; attempts are found by their
-- beginning, so that one of more than a minute counts as late, too.
CREATE TRIGGER note_late AFTER INSERT ON revocation.attempts FOR EACH ROW
    WHEN (NEW.started_at + coalesce(NEW.duration_ms, 0) * interval '1 ms' < clock_timestamp() - interval '10 s'
        OR NEW.duration_ms > 60000)
    EXECUTE FUNCTION revocation.note_late();
CREATE TRIGGER note_late AFTER INSERT OR UPDATE OF finished_at ON revocation.targets FOR EACH ROW
    WHEN (NEW.finished_at < clock_timestamp() - interval '10 s') EXECUTE FUNCTION revocation.note_late();
CREATE TRIGGER note_late AFTER INSERT ON revocation.rejected_events FOR EACH ROW
    WHEN (NEW.rejected_at < clock_timestamp() - interval '10 s') EXECUTE FUNCTION revocation.note_late();
CREATE TRIGGER note_late AFTER INSERT ON revocation.operations FOR EACH ROW
    WHEN (NEW.at < clock_timestamp() - interval '10 s') EXECUTE FUNCTION revocation.note_late();

-- document: what is signed; its members are those of src/checkpoint.rs. Rows from after_at on and before until_at belong
-- to it. Where purge was, the first row stands for all before it: it has no after_at.
CREATE TABLE revocation.checkpoints (
    checkpoint_no bigint      PRIMARY KEY CHECK (checkpoint_no >= 0),
    made_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    after_at      timestamptz,
    until_at      timestamptz NOT NULL,
    document      text        NOT NULL,
    sha256        bytea       NOT NULL CHECK (octet_length(sha256) = 32),
    key_id        text,
    public_key    text,
    signature     bytea       CHECK (octet_length(signature) = 64),
    CONSTRAINT all_but_the_first_are_signed CHECK (
        num_nulls(key_id, public_key, signature) = CASE WHEN checkpoint_no = 0 THEN 3 ELSE 0 END)
);
CREATE INDEX checkpoints_until ON revocation.checkpoints (until_at);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON revocation.checkpoints
    FOR EACH ROW EXECUTE FUNCTION revocation.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON revocation.checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION revocation.refuse_change();

-- What was on record before this moment belongs to no checkpoint.
INSERT INTO revocation.checkpoints (checkpoint_no, until_at, document, sha256)
SELECT 0, at, document, sha256(convert_to(document, 'UTF8'))
FROM clock_timestamp() at CROSS JOIN LATERAL (
    SELECT json_build_object('format', 'revocation-worker checkpoint 1', 'checkpoint', 0,
        'until', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'noted_until', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'parts', '[]'::json)::text AS document) d;

-- The rows as checkpoints cover them, with what never changes once they are there. noted_at: when a late one was written.
CREATE VIEW audit.recorded_attempts AS
SELECT a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms' AS at, a.event_id AS event_row, a.ordinal, a.attempt,
       a.answered, a.worker_no, a.started_at, a.duration_ms, a.outcome, a.http_status, a.error, a.retry_after_ms,
       l.noted_at, l.role AS noted_role
FROM revocation.attempts a
LEFT JOIN revocation.late_rows l ON l.relation = 'attempts' AND l.event_id = a.event_id
    AND l.row_no = revocation.attempt_no(a.ordinal, a.attempt, a.answered);
COMMENT ON VIEW audit.recorded_attempts IS 'attempts with a row of their own, as checkpoints cover them';

CREATE VIEW audit.recorded_results AS
SELECT t.finished_at AS at, t.event_id AS event_row, t.ordinal, t.provider, t.kind, t.token_type_hint, t.token_sha256,
       t.signed_sha256, t.jti, t.jti_iss, t.sub, t.sid, t.client_id, t.iss, t.token_expires_at, t.cutoff, t.state, t.proof,
       t.attempts, t.last_worker, t.last_outcome, t.last_http_status, t.last_error, t.call_began_at, t.revoked_at,
       e.source, e.id, e.real_id, e.event_type, e.reason, e.actor, e.broker_user, e.occurred_at, e.received_at,
       e.not_before, e.body_sha256, l.noted_at, l.role AS noted_role
FROM revocation.targets t
JOIN revocation.events e USING (event_id)
LEFT JOIN revocation.late_rows l ON l.relation = 'targets' AND l.event_id = t.event_id AND l.row_no = t.ordinal
WHERE t.finished_at IS NOT NULL;
COMMENT ON VIEW audit.recorded_results IS 'finished targets, each with its event and the attempt that ended it, as checkpoints cover them';

CREATE VIEW audit.recorded_refusals AS
SELECT r.rejected_at AS at, r.rejected_no, r.queue, r.routing_key, r.broker_user, r.code, r.detail, r.body_sha256,
       r.body_bytes, r.event_source, r.event_id, r.worker_no, l.noted_at, l.role AS noted_role
FROM revocation.rejected_events r
LEFT JOIN revocation.late_rows l ON l.relation = 'rejected_events'
    AND l.event_id = '00000000-0000-0000-0000-000000000000' AND l.row_no = r.rejected_no;
COMMENT ON VIEW audit.recorded_refusals IS 'refused messages, as checkpoints cover them';

CREATE VIEW audit.recorded_operations AS
SELECT o.at, o.operation_no, o.actor, o.role, o.action, o.incident, o.detail, l.noted_at, l.role AS noted_role
FROM revocation.operations o
LEFT JOIN revocation.late_rows l ON l.relation = 'operations'
    AND l.event_id = '00000000-0000-0000-0000-000000000000' AND l.row_no = o.operation_no;
COMMENT ON VIEW audit.recorded_operations IS 'operations, as checkpoints cover them';

CREATE VIEW audit.checkpoints AS
SELECT checkpoint_no, made_at, after_at, until_at, document, encode(sha256, 'hex') AS sha256, key_id, public_key,
       translate(encode(signature, 'base64'), E'\n', '') AS signature
FROM revocation.checkpoints;
COMMENT ON VIEW audit.checkpoints IS 'one row a checkpoint; document: what was signed (Ed25519), with a digest of the rows from after_at to before until_at, and the sha256 of the checkpoint before';

-- No purge leaves a checkpoint in part: of what is older than this moment, it takes what lies before the end of the last
-- checkpoint that is older, too.
CREATE FUNCTION revocation.covered_before(moment timestamptz) RETURNS timestamptz LANGUAGE sql STABLE RETURN
    coalesce(
        (SELECT max(until_at) FROM revocation.checkpoints WHERE until_at <= moment),
        least(moment, (SELECT after_at FROM revocation.checkpoints ORDER BY checkpoint_no LIMIT 1)));

-- As in 0031, and no row of it belongs to a checkpoint that stays.
CREATE OR REPLACE FUNCTION revocation.is_over(e revocation.events, since timestamptz) RETURNS boolean
    LANGUAGE sql STABLE RETURN (
    SELECT e.received_at < since
        AND e.deny_at IS NULL
        AND NOT EXISTS (
            SELECT FROM revocation.targets t
            WHERE t.event_id = e.event_id AND ((t.finished_at < c.covered) IS NOT TRUE OR t.deny_until > now()
                OR (t.state = 'revoked' AND t.confirmed_at IS NULL)))
        AND NOT EXISTS (
            SELECT FROM revocation.attempts a
            WHERE a.event_id = e.event_id
                AND a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms' >= c.covered)
        AND NOT EXISTS (
            SELECT FROM revocation.late_rows l
            WHERE l.relation IN ('attempts', 'targets') AND l.event_id = e.event_id AND l.noted_at >= c.covered)
        AND NOT EXISTS (
            SELECT FROM revocation.incidents i
            WHERE i.incident = e.incident AND (i.finished_at < since) IS NOT TRUE)
    FROM revocation.covered_before(since) AS c (covered));

CREATE OR REPLACE FUNCTION revocation.purgeable_tables()
    RETURNS TABLE (place integer, relation text, key text, at text, kind text, may_go text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    VALUES
        (1, 'rejected_events', 'rejected_no', 'x.rejected_at', 'x.code',
            'revocation.may_be_forgotten(''rejected_events'', x.rejected_no, x.rejected_at, $2)'),
        (2, 'incidents', 'incident', 'x.finished_at', 'revocation.standing(x.state, x.finished_at)',
            'NOT EXISTS (SELECT FROM revocation.events e WHERE e.incident = x.incident)'),
        (3, 'operations', 'operation_no', 'x.at', 'x.action',
            'NOT EXISTS (SELECT FROM revocation.incidents i WHERE i.incident = x.incident)
             AND revocation.may_be_forgotten(''operations'', x.operation_no, x.at, $2)'),
        (4, 'provider_orders', 'order_no', 'x.at', 'x.action',
            'EXISTS (SELECT FROM revocation.provider_orders o
                WHERE o.provider = x.provider AND o.order_no > x.order_no)'),
        (5, 'workers', 'worker_no', 'x.ended_at', 'x.version',
            'NOT EXISTS (SELECT FROM revocation.rejected_events r WHERE r.worker_no = x.worker_no)
             AND NOT EXISTS (SELECT FROM revocation.events e
                WHERE e.event_id < audit.first_event_row(x.ended_at))')
$$;

CREATE FUNCTION revocation.may_be_forgotten(of text, no bigint, at timestamptz, month_end timestamptz) RETURNS boolean
    LANGUAGE sql STABLE RETURN (
    SELECT at < c.covered AND NOT EXISTS (
        SELECT FROM revocation.late_rows l
        WHERE l.relation = of AND l.event_id = '00000000-0000-0000-0000-000000000000' AND l.row_no = no
            AND l.noted_at >= c.covered)
    FROM revocation.covered_before(month_end) AS c (covered));

-- After a purge: one checkpoint stands for all up to this number, whose rows may be gone.
CREATE FUNCTION revocation.leave_base(no bigint, ends timestamptz, base text, digest bytea, by_key text, public text,
    with_signature bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET revocation.retention = 'on' AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM revocation.checkpoints WHERE checkpoint_no = no AND until_at = ends) THEN
        RAISE EXCEPTION 'checkpoint %: it is not on record, or ends at another time', no
            USING ERRCODE = 'restrict_violation';
    END IF;
    DELETE FROM revocation.checkpoints WHERE checkpoint_no <= no;
    INSERT INTO revocation.checkpoints (checkpoint_no, after_at, until_at, document, sha256, key_id, public_key, signature)
    VALUES (no, NULL, ends, base, digest, by_key, public, with_signature);
    DELETE FROM revocation.late_rows l
    WHERE l.noted_at < ends AND l.relation IN ('attempts', 'targets')
        AND NOT EXISTS (SELECT FROM revocation.events e WHERE e.event_id = l.event_id);
END $$;
REVOKE EXECUTE ON FUNCTION revocation.leave_base(bigint, timestamptz, text, bytea, text, text, bytea),
    revocation.note_late() FROM PUBLIC;

-- Where migrations/roles.sql has been run: what is new to the roles.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revocation_worker') THEN
        GRANT SELECT, INSERT ON revocation.checkpoints TO revocation_worker;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revocation_retention') THEN
        GRANT EXECUTE ON FUNCTION
            revocation.leave_base(bigint, timestamptz, text, bytea, text, text, bytea) TO revocation_retention;
    END IF;
END $$;
