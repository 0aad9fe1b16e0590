-- A role that reads the audit views and nothing else. Run once by an administrator, after the migrations:
--   psql "$DATABASE_URL" -f migrations/auditor.sql
-- then give it to people: GRANT auditor TO alice;
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'auditor') THEN
        CREATE ROLE auditor NOLOGIN;
    END IF;
END $$;
GRANT USAGE ON SCHEMA audit TO auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA audit TO auditor;
ALTER DEFAULT PRIVILEGES IN SCHEMA audit GRANT SELECT ON TABLES TO auditor;

-- People's questions are lookups. Of ten million targets Postgres takes some for so large that it compiles them first (jit), which takes it seconds.
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = off', current_database()); END $$;
