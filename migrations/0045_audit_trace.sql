-- The trace of a target's event is found like the other names, by an index (0044).

SELECT set_config('lock_timeout', '5s', true);

-- As in 0038, and the trace.
CREATE OR REPLACE VIEW audit.revocations AS
SELECT revocation.revocation_id(r.event_id, r.ordinal) AS revocation_id,
       r.source AS event_source, r.given_id AS event_id, r.event_type, r.event_incident AS incident, r.lane, r.provider,
       r.kind AS target_kind, r.token_type_hint, encode(r.token_sha256, 'hex') AS token_sha256,
       r.sub, r.sid, r.client_id, r.iss, coalesce(r.cutoff, r.not_before) AS not_before, r.reason, r.actor,
       r.state, r.proof, r.attempts, r.occurred_at, r.received_at,
       -- The earliest that is known, of the event's row and of its targets'.
       least(r.event_denied_at, (
           SELECT min(d.denied_at) FROM revocation.targets d WHERE d.event_id = r.event_id)) AS denied_at,
       r.revoked_at, r.confirmed_at, r.finished_at,
       CASE WHEN r.lease_owner IS NULL AND NOT r.waiting THEN r.due_at END AS next_attempt_at,
       r.token_expires_at, r.last_outcome, r.last_http_status, r.last_error, w.instance AS worker,
       encode(r.signed_sha256, 'hex') AS signed_sha256, r.identity_reused, r.event_id AS event_row,
       r.trace_id
FROM (
    SELECT t.*, e.source, e.id AS given_id, e.event_type, e.incident AS event_incident, e.not_before, e.reason, e.actor,
           e.occurred_at, e.received_at, e.denied_at AS event_denied_at, e.identity_reused,
           encode(substr(e.trace, 1, 16), 'hex') AS trace_id
    FROM revocation.targets t JOIN revocation.events e USING (event_id)
    WHERE t.finished_at IS NOT NULL AND e.real_id IS NULL
    UNION ALL
    SELECT t.*, e.source, e.id, e.event_type, e.incident, e.not_before, e.reason, e.actor,
           e.occurred_at, e.received_at, e.denied_at, e.identity_reused,
           encode(substr(e.trace, 1, 16), 'hex')
    FROM revocation.targets t JOIN revocation.events e USING (event_id)
    WHERE t.finished_at IS NULL AND e.real_id IS NULL
    UNION ALL
    SELECT t.*, e.source, e.real_id, e.event_type, e.incident, e.not_before, e.reason, e.actor,
           e.occurred_at, e.received_at, e.denied_at, e.identity_reused,
           encode(substr(e.trace, 1, 16), 'hex')
    FROM revocation.targets t JOIN revocation.events e USING (event_id)
    WHERE t.finished_at IS NOT NULL AND e.real_id IS NOT NULL
    UNION ALL
    SELECT t.*, e.source, e.real_id, e.event_type, e.incident, e.not_before, e.reason, e.actor,
           e.occurred_at, e.received_at, e.denied_at, e.identity_reused,
           encode(substr(e.trace, 1, 16), 'hex')
    FROM revocation.targets t JOIN revocation.events e USING (event_id)
    WHERE t.finished_at IS NULL AND e.real_id IS NOT NULL
) AS r
LEFT JOIN revocation.workers w ON w.worker_no = r.last_worker;
COMMENT ON COLUMN audit.revocations.trace_id IS 'of the trace that the event belongs to (W3C Trace Context), as its publisher''s and the providers'' traces show it';
