-- The roles, and what each may do. Run after the first migration and after each that follows, as often as you like, by a superuser, or by a role with
-- CREATEROLE that owns the database and has migrated it:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -1 -f migrations/roles.sql
-- Beside running workers it may end with "deadlock detected": nothing has changed then, and it is run again.
-- The roles cannot log in. Give each login one of them, and each person a login of their own: CREATE ROLE alice LOGIN …; GRANT revocation_operator TO alice;
--
--   revocation_owner      owns everything, runs `migrate`, says who is who ([people])
--   revocation_worker     what `run` reads and writes; no approval, no order, no change of what is on record
--   revocation_operator   the functions behind the commands, which note who called them, and the audit views
--   auditor               the audit views
--   revocation_retention  the functions behind `purge`, and the audit views; may, besides, delete from the append-only tables, where its session says
--                         SET revocation.retention = 'on'

DO $$
DECLARE
    role   text;
    object text;
BEGIN
    FOREACH role IN ARRAY ARRAY['revocation_owner', 'revocation_worker', 'revocation_operator', 'revocation_retention', 'auditor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- somebody else was faster
            END;
        END IF;
    END LOOP;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT revocation_owner TO %I', current_user); -- only a member gives away what it owns
    END IF;
    -- For the list of migrations.
    GRANT USAGE, CREATE ON SCHEMA public TO revocation_owner;
    EXECUTE format('GRANT CREATE ON DATABASE %I TO revocation_owner', current_database());
    -- Whoever migrated, it is the owner's from here on. Sequences and indexes follow their tables.
    FOR object IN
        SELECT format('ALTER SCHEMA %I OWNER TO revocation_owner', nspname) FROM pg_namespace WHERE nspname IN ('revocation', 'audit')
        UNION ALL
        SELECT format('ALTER TABLE %I.%I OWNER TO revocation_owner', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v') AND (n.nspname IN ('revocation', 'audit') OR (n.nspname, c.relname) = ('public', '_sqlx_migrations'))
        UNION ALL
        SELECT format('ALTER TYPE %I.%I OWNER TO revocation_owner', n.nspname, c.relname)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'c' AND n.nspname = 'revocation'
        UNION ALL
        SELECT format('ALTER ROUTINE %I.%I(%s) OWNER TO revocation_owner', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('revocation', 'audit')
    LOOP
        EXECUTE object;
    END LOOP;
END $$;

-- Nobody keeps what an earlier version of this file gave.
REVOKE ALL ON ALL TABLES IN SCHEMA revocation, audit FROM revocation_worker, revocation_operator, revocation_retention, auditor, PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA revocation FROM revocation_worker, revocation_operator, revocation_retention, auditor, PUBLIC;
REVOKE ALL ON SCHEMA revocation, audit FROM PUBLIC;

GRANT USAGE ON SCHEMA audit TO auditor, revocation_operator, revocation_worker, revocation_retention;
GRANT SELECT ON ALL TABLES IN SCHEMA audit TO auditor, revocation_operator, revocation_worker, revocation_retention;
-- The views of later migrations, too.
ALTER DEFAULT PRIVILEGES FOR ROLE revocation_owner IN SCHEMA audit
    GRANT SELECT ON TABLES TO auditor, revocation_operator, revocation_worker, revocation_retention;
-- What views compute with. Neither reads a table.
GRANT EXECUTE ON FUNCTION revocation.revocation_id(uuid, smallint), revocation.stage(text, boolean), revocation.person(text),
    revocation.standing(text, timestamptz), revocation.attempt_no(smallint, integer, boolean) TO PUBLIC;

GRANT USAGE ON SCHEMA revocation TO revocation_worker, revocation_operator, revocation_retention;
GRANT EXECUTE ON FUNCTION revocation.steer_incident(text, text, integer, text, text), revocation.approve_incident(text, text[], bigint, bigint, text),
    revocation.retry_targets(text, text, uuid, smallint, double precision, text), revocation.give_up_target(uuid, smallint, text, boolean, text),
    revocation.resume_provider(text, text), revocation.note_operation(text, text, jsonb, text), revocation.sweep_cancelled(bigint),
    revocation.finish_incidents(), revocation.try_write() TO revocation_operator;

-- The worker. What is append-only it adds to; what a target names, who opened an incident, and what was approved, it does not change.
GRANT SELECT ON ALL TABLES IN SCHEMA revocation TO revocation_worker;
GRANT INSERT ON revocation.checkpoints TO revocation_worker;
REVOKE SELECT ON revocation.people, revocation.purged, revocation.purged_counts, revocation.late_rows, revocation.room FROM revocation_worker;
GRANT INSERT ON revocation.events, revocation.targets, revocation.attempts, revocation.rejected_events, revocation.workers, revocation.provider_status,
    revocation.incident_samples, revocation.verifiers, revocation.verifier_reports, revocation.latencies TO revocation_worker;
GRANT UPDATE ON revocation.workers, revocation.provider_status, revocation.latencies, revocation.verifiers, revocation.verifier_reports TO revocation_worker;
GRANT DELETE ON revocation.incident_samples, revocation.latencies, revocation.verifiers, revocation.verifier_reports TO revocation_worker;
GRANT UPDATE (denied_at, deny_at, accepted_by) ON revocation.events TO revocation_worker;
GRANT UPDATE (state, proof, attempts, failures, due_at, lease_owner, leased_at, last_worker, last_outcome, last_http_status, last_error, sealed, sealed_key,
    revoked_at, confirmed_at, finished_at, give_up_at, deny_until, cutoff, waiting, call_began_at, denied_at) ON revocation.targets TO revocation_worker;
GRANT INSERT (actor, action, incident, detail) ON revocation.operations TO revocation_worker;
GRANT INSERT (incident, state, reason, opened_by, opened_via, opened_at, targets_expected, asks, asking, asking_expected, contributors, approval_above)
    ON revocation.incidents TO revocation_worker;
GRANT UPDATE (state, was_paused, targets_expected, asks, asking, asking_expected, contributors, finished_at) ON revocation.incidents TO revocation_worker;
GRANT EXECUTE ON FUNCTION revocation.calls_for_approval(revocation.incidents, bigint), revocation.sweep_cancelled(bigint), revocation.finish_incidents(),
    revocation.let_go(uuid, timestamptz), revocation.are_people(jsonb), revocation.try_write() TO revocation_worker;

-- Retention. The tables that the others hang on have no rule of their own: their rows go with what they name.
GRANT SELECT, DELETE ON revocation.attempts, revocation.rejected_events, revocation.operations, revocation.provider_orders, revocation.incidents
    TO revocation_retention;
GRANT EXECUTE ON FUNCTION revocation.purgeable_months(timestamptz), revocation.purgeable(date, timestamptz),
    revocation.begin_purge(date, timestamptz, text), revocation.purge_events(bigint, uuid, integer), revocation.purge_others(bigint, integer),
    revocation.purge_checkpoint(bigint), revocation.end_purge(bigint, text, text, text, bytea, text),
    revocation.leave_base(bigint, timestamptz, text, bytea, text, text, bytea) TO revocation_retention;

-- People's questions are lookups. Of ten million targets Postgres takes some for so large that it compiles them first (jit), which takes it seconds.
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = off', current_database()); END $$;
