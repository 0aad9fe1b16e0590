//! A record as workers leave it, an hour of it.

/// The first checkpoint, from which on the record is covered.
pub(super) fn first_checkpoint(begin: &str) -> String {
    format!(
        "DELETE FROM revocation.checkpoints;
         INSERT INTO revocation.checkpoints (checkpoint_no, made_at, until_at, document, sha256)
         SELECT 0, at, at, document, sha256(convert_to(document, 'UTF8'))
         FROM (SELECT {begin} AS at) b CROSS JOIN LATERAL (
             SELECT json_build_object('format', 'revocation-worker checkpoint 1', 'checkpoint', 0,
                 'until', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
                 'noted_until', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
                 'parts', '[]'::json)::text AS document) d;"
    )
}

/// An event each half minute with two targets, one of which took two calls; a refusal and an order each
/// minute; for 49 minutes. Of each fifth event one target is open.
pub(super) fn hour(begin: &str) -> String {
    format!(
        "INSERT INTO revocation.workers (instance, version, lease_until) VALUES ('w', '1', now());
         CREATE TEMPORARY TABLE seed AS
             SELECT n, at, overlay(audit.first_event_row(at)::text
                 PLACING '7' || lpad(to_hex(n), 3, '0') || '-8' FROM 15)::uuid AS row
             FROM generate_series(1, 98) n
             CROSS JOIN LATERAL (SELECT {begin} + n * interval '30 s' AS at) m;
         INSERT INTO revocation.events (event_id, source, id, event_type, lane, received_at, not_before,
             denied_at, body_sha256, accepted_by, reason, actor, broker_user)
             SELECT row, '/apps/shop', n::text, 'auth.logout.v1', 'interactive', at, at, at,
                 sha256(n::text::bytea), 1, 'user_logout', 'actor-' || n, 'shop' FROM seed;
         INSERT INTO revocation.targets (event_id, ordinal, provider, lane, kind, token_sha256, sub, iss,
             deny_until, give_up_at, state, proof, attempts, last_worker, last_outcome, last_http_status,
             call_began_at, revoked_at, confirmed_at, finished_at)
             SELECT row, o, 'main', 'interactive', 'token', sha256((n || '-' || o)::bytea), 'user-' || n || o,
                 'https://id', at, at, 'revoked', 'accepted', 1 + o, 1, 'revoked', 200,
                 at + interval '1 s', at + interval '2 s', at + interval '2 s', at + interval '2 s'
             FROM seed CROSS JOIN generate_series(0, 1) o WHERE NOT (n % 5 = 0 AND o = 1);
         INSERT INTO revocation.targets (event_id, ordinal, provider, lane, kind, token_sha256, sub,
             deny_until, give_up_at, state, attempts, due_at, sealed, sealed_key)
             SELECT row, 1, 'main', 'interactive', 'token', sha256((n || '-1')::bytea), 'user-' || n,
                 at, at, 'parked', 1, at, 'x', 'k' FROM seed WHERE n % 5 = 0;
         INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at,
             duration_ms, outcome, http_status, error)
             SELECT row, 1, 1, true, 1, at, 700 + n, 'transient', 503, 'busy ' || n FROM seed;
         INSERT INTO revocation.rejected_events (rejected_at, queue, routing_key, broker_user, code, detail,
             body_sha256, body_bytes, worker_no)
             SELECT at, 'q', 'k', 'u' || n, 'not_json', 'detail ' || n, sha256('x'), n, 1
             FROM seed WHERE n % 2 = 0;
         INSERT INTO revocation.operations (at, actor, role, action, detail)
             SELECT at, 'person-' || n, 'r', 'retry', jsonb_build_object('n', n) FROM seed WHERE n % 2 = 1;"
    )
}
