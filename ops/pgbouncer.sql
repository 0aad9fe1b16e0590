-- What a worker sets for its sessions, for a login that comes through PgBouncer, which drops it.
-- psql "$ADMIN_URL" -v ON_ERROR_STOP=1 -v login=worker -f ops/pgbouncer.sql
ALTER ROLE :"login" SET search_path = public;
ALTER ROLE :"login" SET revocation.actor = 'revocation-worker';
ALTER ROLE :"login" SET statement_timeout = '5s';
ALTER ROLE :"login" SET lock_timeout = '2s';
ALTER ROLE :"login" SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE :"login" SET jit = off;
ALTER ROLE :"login" SET enable_seqscan = off;
ALTER ROLE :"login" SET enable_hashjoin = off;
ALTER ROLE :"login" SET enable_mergejoin = off;
ALTER ROLE :"login" SET plan_cache_mode = force_generic_plan;
