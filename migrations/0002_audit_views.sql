-- The public interface of the record: column names and meanings stay. USAGE on schema audit and SELECT on its views is enough to see everything.

CREATE SCHEMA audit;

CREATE FUNCTION revocation.revocation_id(event_id uuid, ordinal smallint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN event_id::text || '-' || ordinal::text;

CREATE VIEW audit.revocations AS
SELECT revocation.revocation_id(t.event_id, t.ordinal) AS revocation_id,
       e.source AS event_source, e.id AS event_id, e.event_type, e.incident, t.lane, t.provider,
       t.kind AS target_kind, t.token_type_hint, encode(t.token_sha256, 'hex') AS token_sha256,
       t.sub, t.sid, t.client_id, t.iss, e.not_before, e.reason, e.actor,
       t.state, t.proof, t.attempts, e.occurred_at, e.received_at, e.denied_at,
       t.revoked_at, t.confirmed_at, t.finished_at,
       CASE WHEN t.lease_owner IS NULL THEN t.due_at END AS next_attempt_at,
       t.token_expires_at, t.last_outcome, t.last_http_status, t.last_error, w.instance AS worker
FROM revocation.targets t
JOIN revocation.events e USING (event_id)
LEFT JOIN revocation.workers w ON w.worker_no = t.last_worker;
COMMENT ON VIEW audit.revocations IS 'one row a target; next_attempt_at is null while a worker holds it';

CREATE VIEW audit.attempts AS
SELECT revocation.revocation_id(a.event_id, a.ordinal) AS revocation_id, a.attempt, w.instance AS worker,
       a.started_at, a.duration_ms, a.outcome, a.http_status, a.error, a.retry_after_ms
FROM revocation.attempts a
LEFT JOIN revocation.workers w USING (worker_no)
WHERE a.answered OR NOT EXISTS (
    SELECT FROM revocation.attempts late
    WHERE (late.event_id, late.ordinal, late.attempt) = (a.event_id, a.ordinal, a.attempt) AND late.answered)
UNION ALL
SELECT revocation.revocation_id(t.event_id, t.ordinal), t.attempts, w.instance, t.leased_at, NULL, NULL, NULL, NULL, NULL
FROM revocation.targets t
LEFT JOIN revocation.workers w ON w.worker_no = t.lease_owner
WHERE t.lease_owner IS NOT NULL;
COMMENT ON VIEW audit.attempts IS 'one row a provider call; outcome is null while it is under way, unknown where its worker died or lost track of it: the call may not have been made';

CREATE VIEW audit.backlog AS
SELECT t.provider, t.lane, t.state, count(*) AS targets, min(e.received_at) AS oldest_received_at,
       min(t.due_at) FILTER (WHERE t.lease_owner IS NULL) AS next_attempt_at
FROM revocation.targets t
JOIN revocation.events e USING (event_id)
WHERE t.finished_at IS NULL
GROUP BY t.provider, t.lane, t.state;
COMMENT ON VIEW audit.backlog IS 'open targets by provider, lane and state';

CREATE VIEW audit.providers AS
SELECT s.provider,
       CASE WHEN bool_or(s.breaker = 'open') THEN 'open' WHEN bool_or(s.breaker = 'half_open') THEN 'half_open' ELSE 'closed' END AS breaker,
       max(s.last_success_at) AS last_success_at, max(s.last_failure_at) AS last_failure_at,
       (array_agg(s.last_error ORDER BY s.last_failure_at DESC NULLS LAST) FILTER (WHERE s.last_error IS NOT NULL))[1] AS last_error,
       sum(s.calls_5m)::bigint AS calls_5m, sum(s.failures_5m)::bigint AS failures_5m,
       sum(s.p50_ms_5m * s.calls_5m) / nullif(sum(s.calls_5m) FILTER (WHERE s.p50_ms_5m IS NOT NULL), 0) AS p50_ms_5m,
       max(s.p95_ms_5m) AS p95_ms_5m
FROM revocation.provider_status s
JOIN revocation.workers w USING (worker_no)
WHERE w.lease_until > now()
GROUP BY s.provider;
COMMENT ON VIEW audit.providers IS 'what the live workers see of each provider: worst breaker, summed calls, call-weighted mean of medians, worst p95';

CREATE VIEW audit.rejected_events AS
SELECT rejected_at, queue, routing_key, broker_user, code, detail, encode(body_sha256, 'hex') AS body_sha256, body_bytes, event_source, event_id
FROM revocation.rejected_events;
COMMENT ON VIEW audit.rejected_events IS 'one row a refused message; its body is in the queue revocation.dead, never here';

CREATE VIEW audit.workers AS
SELECT instance, version, started_at, last_seen_at, in_flight
FROM revocation.workers
WHERE ended_at IS NULL;
COMMENT ON VIEW audit.workers IS 'worker processes that have not ended; one whose last_seen_at is old has died and is being taken over';

CREATE VIEW audit.operations AS
SELECT at, actor, action, incident, detail FROM revocation.operations;
COMMENT ON VIEW audit.operations IS 'one row an operator action';
