-- Retention: whole months of the record go, batch by batch, and what they were stays on record, counted, chained
-- and signed. Nothing goes by itself: somebody with the role revocation_retention runs `purge`.

SELECT set_config('lock_timeout', '5s', true), set_config('statement_timeout', '60s', true);

-- The least id of an event's row of this moment: ids are UUIDs of version 7, which begin with milliseconds. In schema
-- audit, for people's questions about a time.
CREATE FUNCTION audit.first_event_row(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    rpad(lpad(to_hex(greatest(floor(extract(epoch FROM at) * 1000), 0)::bigint), 12, '0'), 32, '0')::uuid;

-- Months are those of UTC, whatever the session's time zone.
CREATE FUNCTION revocation.month_start(month date) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN month::timestamp AT TIME ZONE 'UTC';

-- What went of one month, in one run of `purge`. What ended, or came, at ends_before or later stayed.
-- follows: sha256 of the row before this one, zeros in the first; so a row that is removed is missed.
-- sha256: h(0) = follows, h(i) = sha256(h(i-1) || sha256(line(i))); a line is the table's name, a blank, and the
-- row as jsonb in UTC. checkpoint: the text that is signed; null until all is gone that was to go.
CREATE TABLE revocation.purged (
    purge_no    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    month       date        NOT NULL CHECK (extract(day FROM month) = 1),
    ends_before timestamptz NOT NULL,
    began_at    timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz,
    actor       text        NOT NULL CHECK (actor <> ''),
    role        text        NOT NULL DEFAULT session_user,
    follows     bytea       NOT NULL CHECK (octet_length(follows) = 32),
    sha256      bytea       NOT NULL CHECK (octet_length(sha256) = 32),
    checkpoint  text,
    key_id      text,
    public_key  text,
    signature   bytea       CHECK (octet_length(signature) = 64),
    CONSTRAINT signed_iff_ended CHECK (num_nulls(ended_at, checkpoint, key_id, public_key, signature) IN (0, 5))
);
-- One at a time: a purge that was interrupted is ended before the next begins.
CREATE UNIQUE INDEX purged_under_way ON revocation.purged ((ended_at IS NULL)) WHERE ended_at IS NULL;
CREATE TRIGGER append_only BEFORE UPDATE ON revocation.purged FOR EACH ROW
    WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION revocation.refuse_change();

-- How many rows went: of targets by provider, kind and state; of the other tables, kind says what sort they were of.
CREATE TABLE revocation.purged_counts (
    purge_no bigint NOT NULL REFERENCES revocation.purged,
    relation text   NOT NULL,
    provider text   NOT NULL DEFAULT '',
    kind     text   NOT NULL DEFAULT '',
    state    text   NOT NULL DEFAULT '',
    rows     bigint NOT NULL CHECK (rows > 0),
    PRIMARY KEY (purge_no, relation, provider, kind, state)
);

-- Not even retention deletes what tells of it.
CREATE FUNCTION revocation.refuse_to_forget() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% on %.% refused: what was purged stays on record', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON revocation.purged
    FOR EACH STATEMENT EXECUTE FUNCTION revocation.refuse_to_forget();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON revocation.purged_counts
    FOR EACH STATEMENT EXECUTE FUNCTION revocation.refuse_to_forget();
CREATE FUNCTION revocation.refuse_to_recount() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM revocation.purged p WHERE p.purge_no = NEW.purge_no AND p.ended_at IS NOT NULL) THEN
        RAISE EXCEPTION '% on %.% refused: purge % is signed', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, NEW.purge_no
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER counted_until_signed BEFORE INSERT OR UPDATE ON revocation.purged_counts
    FOR EACH ROW EXECUTE FUNCTION revocation.refuse_to_recount();

-- The counts of an incident go with it: another one of its name begins at nothing.
CREATE FUNCTION revocation.forget_counts() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM revocation.incident_counts WHERE incident = OLD.incident;
    DELETE FROM revocation.incident_denied WHERE incident = OLD.incident;
    DELETE FROM revocation.incident_samples WHERE incident = OLD.incident;
    RETURN NULL;
END $$;
CREATE TRIGGER counts_go_with_it AFTER DELETE ON revocation.incidents
    FOR EACH ROW EXECUTE FUNCTION revocation.forget_counts();

-- Whether nothing of an event is left to do, nor was since then. What is not over stays, with its attempts, however
-- old it is: an open target, a revocation that verifiers were not told of, a denial that still counts, an incident.
CREATE FUNCTION revocation.is_over(e revocation.events, since timestamptz) RETURNS boolean LANGUAGE sql STABLE RETURN
    e.received_at < since
    AND e.deny_at IS NULL
    AND NOT EXISTS (
        SELECT FROM revocation.targets t
        WHERE t.event_id = e.event_id AND ((t.finished_at < since) IS NOT TRUE OR t.deny_until > now()
            OR (t.state = 'revoked' AND t.confirmed_at IS NULL)))
    AND NOT EXISTS (
        SELECT FROM revocation.incidents i
        WHERE i.incident = e.incident AND (i.finished_at < since) IS NOT TRUE);

-- The tables beside those of events: a row's key, its time, its sort, and when it may go. In this order, since each
-- lets the next go. A worker stays as long as an event of its time does, whose record names it.
CREATE FUNCTION revocation.purgeable_tables()
    RETURNS TABLE (place integer, relation text, key text, at text, kind text, may_go text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    VALUES
        (1, 'rejected_events', 'rejected_no', 'x.rejected_at', 'x.code', 'true'),
        (2, 'incidents', 'incident', 'x.finished_at', 'revocation.standing(x.state, x.finished_at)',
            'NOT EXISTS (SELECT FROM revocation.events e WHERE e.incident = x.incident)'),
        (3, 'operations', 'operation_no', 'x.at', 'x.action',
            'NOT EXISTS (SELECT FROM revocation.incidents i WHERE i.incident = x.incident)'),
        (4, 'provider_orders', 'order_no', 'x.at', 'x.action',
            'EXISTS (SELECT FROM revocation.provider_orders o
                WHERE o.provider = x.provider AND o.order_no > x.order_no)'),
        (5, 'workers', 'worker_no', 'x.ended_at', 'x.version',
            'NOT EXISTS (SELECT FROM revocation.rejected_events r WHERE r.worker_no = x.worker_no)
             AND NOT EXISTS (SELECT FROM revocation.events e
                WHERE e.event_id < audit.first_event_row(x.ended_at))')
$$;

-- The months that may have something to purge, the oldest first: from the oldest row to the one before `ends_before`,
-- and the one whose purge was interrupted.
CREATE FUNCTION revocation.purgeable_months(ends_before timestamptz) RETURNS SETOF date
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' AS $$
    WITH oldest AS (
        SELECT least(
            -- Of the id, as first_event_row makes it.
            (SELECT to_timestamp(('x' || translate(left(event_id::text, 13), '-', ''))::bit(48)::bigint / 1000)
                FROM revocation.events ORDER BY event_id LIMIT 1),
            (SELECT min(rejected_at) FROM revocation.rejected_events),
            (SELECT min(finished_at) FROM revocation.incidents),
            (SELECT at FROM revocation.operations ORDER BY operation_no LIMIT 1),
            (SELECT min(ended_at) FROM revocation.workers)) AS at
    )
    SELECT month::date FROM oldest CROSS JOIN LATERAL generate_series(
        date_trunc('month', oldest.at), date_trunc('month', ends_before) - interval '1 month', interval '1 month') month
    UNION
    SELECT month FROM revocation.purged WHERE ended_at IS NULL
    ORDER BY 1
$$;

-- What a purge of this month would find: {"rows": {table: n}, "kept": n, "open": [first five ids], "under_way": …}.
-- kept: events of the month that are not over; open: targets of these that are open.
CREATE FUNCTION revocation.purgeable(of_month date, ends_before timestamptz) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' AS $$
DECLARE
    began     timestamptz := revocation.month_start(of_month);
    month_end timestamptz := revocation.month_start((of_month + interval '1 month')::date);
    first     uuid := audit.first_event_row(began);
    past      uuid := audit.first_event_row(month_end);
    rows      jsonb;
    kept      bigint;
    part      record;
    n         bigint;
BEGIN
    SELECT jsonb_build_object('events', count(*) FILTER (WHERE o.is_over),
            'targets', coalesce(sum(c.targets) FILTER (WHERE o.is_over), 0),
            'attempts', coalesce(sum(c.attempts) FILTER (WHERE o.is_over), 0)), count(*) FILTER (WHERE NOT o.is_over)
    INTO rows, kept
    FROM revocation.events e
    CROSS JOIN LATERAL (
        SELECT revocation.is_over(e, ends_before) AND e.received_at < month_end AS is_over OFFSET 0) o
    CROSS JOIN LATERAL (
        SELECT (SELECT count(*) FROM revocation.targets t WHERE t.event_id = e.event_id) AS targets,
            (SELECT count(*) FROM revocation.attempts a WHERE a.event_id = e.event_id) AS attempts) c
    WHERE e.event_id >= first AND e.event_id < past;
    FOR part IN SELECT * FROM revocation.purgeable_tables() ORDER BY place LOOP
        EXECUTE format('SELECT count(*) FROM revocation.%1$I x WHERE %2$s >= $1 AND %2$s < $2 AND (%3$s)',
            part.relation, part.at, part.may_go) INTO n USING began, month_end;
        rows := rows || jsonb_build_object(part.relation, n);
    END LOOP;
    RETURN jsonb_build_object('rows', rows, 'kept', kept,
        'open', ARRAY(
            SELECT revocation.revocation_id(t.event_id, t.ordinal) FROM revocation.targets t
            WHERE t.event_id >= first AND t.event_id < past AND t.finished_at IS NULL
            ORDER BY t.event_id, t.ordinal LIMIT 5),
        'under_way', EXISTS (
            SELECT FROM revocation.purged p WHERE p.month = of_month AND p.ended_at IS NULL));
END $$;

-- Begins a purge, or goes on with the one of this month that was interrupted. Returns its number.
CREATE FUNCTION revocation.begin_purge(of_month date, ends_before timestamptz, note text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    no   bigint;
    last bytea;
BEGIN
    SELECT purge_no INTO no FROM revocation.purged WHERE ended_at IS NULL AND month = of_month;
    IF FOUND THEN
        RETURN no;
    ELSIF revocation.month_start((of_month + interval '1 month')::date) > ends_before
        OR ends_before > now() - interval '1 day'
    THEN
        RAISE EXCEPTION 'purge of %: the month is not over for long enough', of_month
            USING ERRCODE = 'restrict_violation';
    END IF;
    last := coalesce(
        (SELECT sha256 FROM revocation.purged ORDER BY purge_no DESC LIMIT 1), decode(repeat('00', 32), 'hex'));
    INSERT INTO revocation.purged (month, ends_before, actor, follows, sha256)
    VALUES (of_month, ends_before, revocation.caller(note), last, last) RETURNING purge_no INTO no;
    RETURN no;
END $$;

-- Lines into the chain, and rows into the counts.
CREATE FUNCTION revocation.note_purged(no bigint, lines text[]) RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    hash bytea;
    line text;
BEGIN
    SELECT sha256 INTO hash FROM revocation.purged WHERE purge_no = no AND ended_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'purge %: it is not under way', no USING ERRCODE = 'restrict_violation';
    END IF;
    FOREACH line IN ARRAY lines LOOP
        hash := sha256(hash || sha256(convert_to(line, 'UTF8')));
    END LOOP;
    UPDATE revocation.purged SET sha256 = hash WHERE purge_no = no;
END $$;

-- Removes what is over of the next events of the month, at most so many, with their targets and attempts. Returns the
-- last one that it looked at, to go on from; null: there are no more.
CREATE FUNCTION revocation.purge_events(no bigint, after uuid, most integer) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC'
    SET bytea_output = 'hex' SET revocation.retention = 'on' AS $$
DECLARE
    p      revocation.purged;
    past   uuid;
    looked uuid[];
    gone   uuid[];
BEGIN
    SELECT * INTO p FROM revocation.purged WHERE purge_no = no;
    past := audit.first_event_row(revocation.month_start((p.month + interval '1 month')::date));
    looked := ARRAY(
        SELECT e.event_id FROM revocation.events e
        WHERE e.event_id >= audit.first_event_row(revocation.month_start(p.month)) AND e.event_id < past
            AND e.event_id > coalesce(after, '00000000-0000-0000-0000-000000000000')
        ORDER BY e.event_id LIMIT most);
    gone := ARRAY(
        SELECT e.event_id FROM revocation.events e
        WHERE e.event_id = ANY (looked) AND revocation.is_over(e, p.ends_before)
            AND e.received_at < revocation.month_start((p.month + interval '1 month')::date)
        ORDER BY e.event_id FOR UPDATE OF e);
    IF cardinality(gone) > 0 THEN
        PERFORM revocation.note_purged(no, ARRAY(
            SELECT line FROM (
                SELECT event_id, 1 AS place, 'events ' || to_jsonb(e)::text AS line FROM revocation.events e
                WHERE event_id = ANY (gone)
                UNION ALL
                SELECT event_id, 2, 'targets ' || to_jsonb(t)::text FROM revocation.targets t WHERE event_id = ANY (gone)
                UNION ALL
                SELECT event_id, 3, 'attempts ' || to_jsonb(a)::text FROM revocation.attempts a WHERE event_id = ANY (gone)
            ) rows ORDER BY event_id, place, line COLLATE "C"));
        INSERT INTO revocation.purged_counts AS c (purge_no, relation, provider, kind, state, rows)
        SELECT no, 'events', '', event_type, '', count(*) FROM revocation.events
        WHERE event_id = ANY (gone) GROUP BY event_type
        UNION ALL
        SELECT no, 'targets', provider, kind, state, count(*) FROM revocation.targets
        WHERE event_id = ANY (gone) GROUP BY provider, kind, state
        UNION ALL
        SELECT no, 'attempts', '', outcome, '', count(*) FROM revocation.attempts
        WHERE event_id = ANY (gone) GROUP BY outcome
        ON CONFLICT (purge_no, relation, provider, kind, state) DO UPDATE SET rows = c.rows + excluded.rows;
        DELETE FROM revocation.attempts WHERE event_id = ANY (gone);
        DELETE FROM revocation.targets WHERE event_id = ANY (gone);
        DELETE FROM revocation.events WHERE event_id = ANY (gone);
    END IF;
    RETURN looked[cardinality(looked)];
END $$;

-- Removes what may go of the other tables, at most so many rows of each. Returns how many went.
CREATE FUNCTION revocation.purge_others(no bigint, most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC'
    SET bytea_output = 'hex' SET revocation.retention = 'on' AS $$
DECLARE
    month_of  date := (SELECT month FROM revocation.purged WHERE purge_no = no);
    began     timestamptz := revocation.month_start(month_of);
    month_end timestamptz := revocation.month_start((month_of + interval '1 month')::date);
    part      record;
    lines     text[];
    kinds     text[];
    total     bigint := 0;
BEGIN
    DELETE FROM revocation.provider_status s USING revocation.workers w
    WHERE w.worker_no = s.worker_no AND w.ended_at >= began AND w.ended_at < month_end;
    FOR part IN SELECT * FROM revocation.purgeable_tables() ORDER BY place LOOP
        EXECUTE format('WITH old AS (
                SELECT x.%2$I AS key FROM revocation.%1$I x
                WHERE %3$s >= $1 AND %3$s < $2 AND (%5$s)
                ORDER BY x.%2$I LIMIT $3 FOR UPDATE OF x SKIP LOCKED
            ), gone AS (
                DELETE FROM revocation.%1$I x USING old WHERE x.%2$I = old.key
                RETURNING x.%2$I AS key, %4$s AS kind, %6$L || to_jsonb(x)::text AS line
            )
            SELECT array_agg(line ORDER BY key), array_agg(kind) FROM gone',
            part.relation, part.key, part.at, part.kind, part.may_go, part.relation || ' ')
        INTO lines, kinds USING began, month_end, most;
        IF cardinality(lines) > 0 THEN
            PERFORM revocation.note_purged(no, lines);
            INSERT INTO revocation.purged_counts AS c (purge_no, relation, kind, rows)
            SELECT no, part.relation, kind, count(*) FROM unnest(kinds) AS kind GROUP BY kind
            ON CONFLICT (purge_no, relation, provider, kind, state) DO UPDATE SET rows = c.rows + excluded.rows;
            total := total + cardinality(lines);
        END IF;
    END LOOP;
    RETURN total;
END $$;

-- What is to be signed of a purge: of the same rows always the same text.
CREATE FUNCTION revocation.purge_checkpoint(no bigint) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' AS $$
    SELECT jsonb_build_object('format', 'revocation-worker purge 1', 'purge', p.purge_no, 'month', p.month,
        'ends_before', p.ends_before, 'began_at', p.began_at, 'actor', p.actor, 'role', p.role,
        'follows', encode(p.follows, 'hex'), 'sha256', encode(p.sha256, 'hex'), 'counts', (
            SELECT coalesce(jsonb_agg(jsonb_build_array(c.relation, c.provider, c.kind, c.state, c.rows) ORDER BY
                c.relation COLLATE "C", c.provider COLLATE "C", c.kind COLLATE "C", c.state COLLATE "C"), '[]')
            FROM revocation.purged_counts c WHERE c.purge_no = p.purge_no))::text
    FROM revocation.purged p WHERE p.purge_no = no AND p.ended_at IS NULL
$$;

-- Ends a purge by its signature, and notes it.
CREATE FUNCTION revocation.end_purge(no bigint, signed text, by_key text, public text, with_signature bytea, note text)
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE revocation.purged SET ended_at = now(), checkpoint = signed, key_id = by_key, public_key = public,
        signature = with_signature
    WHERE purge_no = no AND ended_at IS NULL AND revocation.purge_checkpoint(no) = signed;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'purge %: it is not under way, or not what was signed', no
            USING ERRCODE = 'restrict_violation';
    END IF;
    INSERT INTO revocation.operations (actor, action, detail)
    SELECT revocation.caller(note), 'purge', jsonb_build_object('purge', no, 'month', p.month,
        'sha256', encode(p.sha256, 'hex'), 'rows', (
            SELECT coalesce(jsonb_object_agg(c.relation, c.rows), '{}')
            FROM (SELECT relation, sum(rows) AS rows FROM revocation.purged_counts
                WHERE purge_no = no GROUP BY relation) c),
        'note', note, 'role', session_user)
    FROM revocation.purged p WHERE p.purge_no = no;
END $$;

REVOKE EXECUTE ON FUNCTION revocation.purgeable_months(timestamptz), revocation.purgeable(date, timestamptz),
    revocation.begin_purge(date, timestamptz, text), revocation.note_purged(bigint, text[]),
    revocation.purge_events(bigint, uuid, integer), revocation.purge_others(bigint, integer),
    revocation.purge_checkpoint(bigint), revocation.end_purge(bigint, text, text, text, bytea, text) FROM PUBLIC;

CREATE VIEW audit.purges AS
SELECT p.purge_no, p.month, p.began_at, p.ended_at, p.actor, p.role, p.ends_before, c.events, c.targets, c.attempts,
       c.others, encode(p.follows, 'hex') AS follows, encode(p.sha256, 'hex') AS sha256, p.checkpoint, p.key_id,
       p.public_key, translate(encode(p.signature, 'base64'), E'\n', '') AS signature
FROM revocation.purged p
CROSS JOIN LATERAL (
    SELECT coalesce(sum(rows) FILTER (WHERE relation = 'events'), 0)::bigint AS events,
           coalesce(sum(rows) FILTER (WHERE relation = 'targets'), 0)::bigint AS targets,
           coalesce(sum(rows) FILTER (WHERE relation = 'attempts'), 0)::bigint AS attempts,
           coalesce(sum(rows) FILTER (WHERE relation NOT IN ('events', 'targets', 'attempts')), 0)::bigint AS others
    FROM revocation.purged_counts n WHERE n.purge_no = p.purge_no
) c;
COMMENT ON VIEW audit.purges IS 'one row a month and run of `purge`; checkpoint: what was signed (Ed25519), with the digest of all that went; ended_at is null while one is under way, or was interrupted';

CREATE VIEW audit.purged AS
SELECT p.month, c.relation, c.provider, c.kind, c.state, sum(c.rows)::bigint AS rows
FROM revocation.purged_counts c JOIN revocation.purged p USING (purge_no)
GROUP BY p.month, c.relation, c.provider, c.kind, c.state;
COMMENT ON VIEW audit.purged IS 'how many rows were purged, by the month that was purged; of targets by provider, kind and state';
