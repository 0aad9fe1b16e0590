-- The rules of a row, a foreign key and the counting of incidents, at what they must cost.

-- Postgres reads and plans each CHECK anew in every statement that writes to its table: 39 of them were a fifth
-- of what one logout cost. The rules are as before, in fewer and shorter constraints. As in each of them, null
-- refuses nothing. NOT VALID: the rows that there are have kept the same rules so far.
DO $$
DECLARE
    rule record;
BEGIN
    FOR rule IN
        SELECT conrelid::regclass AS of, conname FROM pg_constraint
        WHERE contype = 'c' AND conrelid IN ('revocation.targets'::regclass, 'revocation.events'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', rule.of, rule.conname);
    END LOOP;
END $$;

ALTER TABLE revocation.targets
    ADD CONSTRAINT values_are_known CHECK (
        ordinal >= 0
        AND lane IN ('interactive', 'mass')
        AND token_type_hint IN ('access_token', 'refresh_token')
        AND octet_length(token_sha256) = 32
        AND octet_length(signed_sha256) = 32
        AND proof IN ('accepted', 'already_invalid', 'verified', 'contradicted')
        AND failures BETWEEN 0 AND attempts
        AND last_outcome IN ('revoked', 'already_invalid', 'transient', 'misconfigured', 'rejected', 'unknown')
        AND length(last_error) <= 500) NOT VALID,
    ADD CONSTRAINT names_what_its_kind_must CHECK (
        CASE kind
            WHEN 'token' THEN token_sha256 IS NOT NULL AND cutoff IS NULL AND (jti IS NOT NULL OR jti_iss IS NULL)
            WHEN 'session' THEN sid IS NOT NULL
            WHEN 'subject' THEN sub IS NOT NULL
            WHEN 'client' THEN client_id IS NOT NULL
            WHEN 'issuer' THEN iss IS NOT NULL
            ELSE false
        END) NOT VALID,
    ADD CONSTRAINT only_tokens_have_token_facts CHECK (
        kind = 'token'
        OR num_nonnulls(token_sha256, signed_sha256, token_type_hint, jti, jti_iss, token_expires_at) = 0
    ) NOT VALID,
    -- Open rows have a due time, final rows a finish and no sealed token.
    ADD CONSTRAINT state_machine CHECK (
        CASE
            WHEN state IN ('pending', 'parked') THEN
                due_at IS NOT NULL
                AND num_nonnulls(finished_at, revoked_at, confirmed_at) = 0
                AND (kind = 'token') = (sealed IS NOT NULL)
                AND coalesce(proof, 'contradicted') = 'contradicted'
            WHEN state = 'revoked' THEN
                num_nulls(finished_at, revoked_at) = 0
                AND num_nonnulls(due_at, sealed) = 0
                AND coalesce(proof, 'contradicted') <> 'contradicted'
            WHEN state IN ('unsupported', 'expired', 'cancelled') THEN
                finished_at IS NOT NULL
                AND num_nonnulls(due_at, sealed, revoked_at, confirmed_at) = 0
                AND coalesce(proof, 'contradicted') = 'contradicted'
                AND (state <> 'expired' OR token_expires_at IS NOT NULL)
            ELSE false
        END) NOT VALID,
    ADD CONSTRAINT sealed_has_key CHECK ((sealed IS NULL) = (sealed_key IS NULL)) NOT VALID,
    ADD CONSTRAINT lease_is_whole CHECK ((lease_owner IS NULL) = (leased_at IS NULL)) NOT VALID,
    ADD CONSTRAINT leased_is_pending CHECK (
        lease_owner IS NULL OR (state = 'pending' AND attempts > 0)) NOT VALID,
    ADD CONSTRAINT waiting_is_untried CHECK (
        NOT waiting
        OR (state = 'pending' AND lease_owner IS NULL AND attempts = 0 AND incident <> '')) NOT VALID;

ALTER TABLE revocation.events
    ADD CONSTRAINT values_are_known CHECK (
        source <> ''
        AND id <> ''
        AND event_type IN ('auth.logout.v1', 'auth.mass_revocation.v1')
        AND lane IN ('interactive', 'mass')
        AND incident_targets > 0
        AND targets > 0
        AND octet_length(body_sha256) = 32
        AND octet_length(content_sha256) = 32) NOT VALID,
    -- A logout that has an incident waits there for its sender's rate.
    ADD CONSTRAINT lane_fits_incident CHECK (
        CASE
            WHEN event_type = 'auth.mass_revocation.v1' THEN lane = 'mass' AND incident IS NOT NULL
            WHEN incident IS NULL THEN lane <> 'mass'
            ELSE lane = 'mass' AND starts_with(incident, 'rate-') AND has_cutoff
        END) NOT VALID,
    ADD CONSTRAINT denied_or_held CHECK (
        deny_at IS NULL OR (denied_at IS NULL AND incident IS NOT NULL)) NOT VALID,
    ADD CONSTRAINT further_has_a_key CHECK (
        CASE
            WHEN real_id IS NULL THEN NOT identity_reused AND beside IS NULL
            ELSE octet_length(id) > 255 AND starts_with(id, real_id || E'\x1f')
        END) NOT VALID;

-- As in 0012, after the row is written: to run a trigger before an update, Postgres locks the row first, and
-- writes that down. Its condition is short, since it, too, is read anew in every statement.
DROP TRIGGER incident_is_its_events ON revocation.targets;
CREATE TRIGGER incident_is_its_events AFTER UPDATE OF incident, event_id ON revocation.targets FOR EACH ROW
    WHEN ((OLD.incident, OLD.event_id) IS DISTINCT FROM (NEW.incident, NEW.event_id))
    EXECUTE FUNCTION revocation.refuse_move();
-- It was for workers from before 0004.
DROP TRIGGER turn_is_over ON revocation.targets;
DROP FUNCTION revocation.take_turn();

-- A target has its event. One statement writes both, so that it is looked up once a statement: a foreign key
-- looks once a row, and locks the event's row for it.
CREATE FUNCTION revocation.refuse_to_orphan() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM revocation.targets t WHERE t.event_id = OLD.event_id) THEN
        RAISE EXCEPTION 'event %: it has targets', OLD.event_id USING
            ERRCODE = 'foreign_key_violation', CONSTRAINT = 'targets_event_id_fkey', TABLE = 'events',
            SCHEMA = 'revocation';
    END IF;
    RETURN NULL;
END $$;
ALTER TABLE revocation.targets DROP CONSTRAINT targets_event_id_fkey;
-- After the statement: one may delete both.
CREATE TRIGGER keeps_its_targets AFTER DELETE OR UPDATE OF event_id ON revocation.events
    FOR EACH ROW EXECUTE FUNCTION revocation.refuse_to_orphan();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON revocation.events
    FOR EACH STATEMENT EXECUTE FUNCTION revocation.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON revocation.targets
    FOR EACH STATEMENT EXECUTE FUNCTION revocation.refuse_change();

-- As in 0004 and 0012; but most statements write nothing of an incident, and there is nothing to count.
CREATE OR REPLACE FUNCTION revocation.count_targets() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    orphans      bigint;
    of_incidents bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT count(*) FILTER (WHERE NOT EXISTS (
                SELECT FROM revocation.events e WHERE e.event_id = n.event_id)),
            count(*) FILTER (WHERE n.incident <> '')
        INTO orphans, of_incidents FROM new_rows n;
        IF orphans > 0 THEN
            RAISE EXCEPTION 'insert on table "targets": % without an event', orphans USING
                ERRCODE = 'foreign_key_violation', CONSTRAINT = 'targets_event_id_fkey', TABLE = 'targets',
                SCHEMA = 'revocation';
        ELSIF of_incidents > 0 THEN
            INSERT INTO revocation.incident_counts AS c (incident, provider, stage, shard, targets)
            SELECT n.incident, n.provider, revocation.stage(n.state, n.waiting), pg_backend_pid() % 64, count(*)
            FROM new_rows n WHERE n.incident <> '' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
            ON CONFLICT (incident, provider, stage, shard) DO UPDATE SET targets = c.targets + excluded.targets;
        END IF;
    ELSIF EXISTS (SELECT FROM old_rows WHERE incident <> '') OR EXISTS (SELECT FROM new_rows WHERE incident <> '')
    THEN
        INSERT INTO revocation.incident_counts AS c (incident, provider, stage, shard, targets)
        SELECT incident, provider, stage, pg_backend_pid() % 64, sum(n)
        FROM (SELECT incident, provider, revocation.stage(state, waiting) AS stage, 1 AS n
                FROM new_rows WHERE incident <> ''
            UNION ALL
            SELECT incident, provider, revocation.stage(state, waiting), -1
                FROM old_rows WHERE incident <> '') change
        GROUP BY 1, 2, 3 HAVING sum(n) <> 0 ORDER BY 1, 2, 3
        ON CONFLICT (incident, provider, stage, shard) DO UPDATE SET targets = c.targets + excluded.targets;
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION revocation.count_denied() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM new_rows WHERE incident IS NOT NULL)
        OR EXISTS (SELECT FROM old_rows WHERE incident IS NOT NULL)
    THEN
        INSERT INTO revocation.incident_denied AS c (incident, shard, targets)
        SELECT incident, pg_backend_pid() % 64, sum(n)
        FROM (SELECT incident, targets AS n FROM new_rows WHERE incident IS NOT NULL AND denied_at IS NOT NULL
            UNION ALL
            SELECT incident, -targets FROM old_rows WHERE incident IS NOT NULL AND denied_at IS NOT NULL) change
        GROUP BY incident HAVING sum(n) <> 0 ORDER BY incident
        ON CONFLICT (incident, shard) DO UPDATE SET targets = c.targets + excluded.targets;
    END IF;
    RETURN NULL;
END $$;
