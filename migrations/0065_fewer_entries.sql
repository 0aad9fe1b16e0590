-- A logout writes fewer entries of indexes: 0062 to 0064 stand in the place of others, and what is open is found by what
-- says why it is open.

SELECT set_config('lock_timeout', '5s', true);

-- As in 0045; but a target that is not finished is leased, or due, or waits, and each of these has an index.
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
    WHERE t.lease_owner IS NOT NULL AND e.real_id IS NULL
    UNION ALL
    SELECT t.*, e.source, e.id, e.event_type, e.incident, e.not_before, e.reason, e.actor,
           e.occurred_at, e.received_at, e.denied_at, e.identity_reused,
           encode(substr(e.trace, 1, 16), 'hex')
    FROM revocation.targets t JOIN revocation.events e USING (event_id)
    WHERE t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting AND e.real_id IS NULL
    UNION ALL
    SELECT t.*, e.source, e.id, e.event_type, e.incident, e.not_before, e.reason, e.actor,
           e.occurred_at, e.received_at, e.denied_at, e.identity_reused,
           encode(substr(e.trace, 1, 16), 'hex')
    FROM revocation.targets t JOIN revocation.events e USING (event_id)
    WHERE t.waiting AND e.real_id IS NULL
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
    WHERE t.lease_owner IS NOT NULL AND e.real_id IS NOT NULL
    UNION ALL
    SELECT t.*, e.source, e.real_id, e.event_type, e.incident, e.not_before, e.reason, e.actor,
           e.occurred_at, e.received_at, e.denied_at, e.identity_reused,
           encode(substr(e.trace, 1, 16), 'hex')
    FROM revocation.targets t JOIN revocation.events e USING (event_id)
    WHERE t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting AND e.real_id IS NOT NULL
    UNION ALL
    SELECT t.*, e.source, e.real_id, e.event_type, e.incident, e.not_before, e.reason, e.actor,
           e.occurred_at, e.received_at, e.denied_at, e.identity_reused,
           encode(substr(e.trace, 1, 16), 'hex')
    FROM revocation.targets t JOIN revocation.events e USING (event_id)
    WHERE t.waiting AND e.real_id IS NOT NULL
) AS r
LEFT JOIN revocation.workers w ON w.worker_no = r.last_worker;

-- As in 0018; what has a call that ended it is finished (call_ended_it), and in targets_times.
CREATE OR REPLACE VIEW audit.attempts AS
SELECT revocation.revocation_id(a.event_id, a.ordinal) AS revocation_id, a.attempt, w.instance AS worker,
       a.started_at, a.duration_ms, a.outcome, a.http_status, a.error, a.retry_after_ms
FROM revocation.attempts a
LEFT JOIN revocation.workers w USING (worker_no)
WHERE a.answered OR NOT EXISTS (
    SELECT FROM revocation.attempts late
    WHERE (late.event_id, late.ordinal, late.attempt) = (a.event_id, a.ordinal, a.attempt) AND late.answered)
UNION ALL
SELECT revocation.revocation_id(t.event_id, t.ordinal), t.attempts, w.instance, t.call_began_at,
       floor(extract(epoch FROM t.finished_at - t.call_began_at) * 1000)::integer,
       t.last_outcome, t.last_http_status, t.last_error, NULL
FROM revocation.targets t
LEFT JOIN revocation.workers w ON w.worker_no = t.last_worker
WHERE t.call_began_at IS NOT NULL AND t.finished_at IS NOT NULL
UNION ALL
SELECT revocation.revocation_id(t.event_id, t.ordinal), t.attempts, w.instance, t.leased_at, NULL, NULL, NULL, NULL, NULL
FROM revocation.targets t
LEFT JOIN revocation.workers w ON w.worker_no = t.lease_owner
WHERE t.lease_owner IS NOT NULL;

DROP INDEX revocation.targets_by_token, revocation.targets_by_signed_parts, revocation.targets_called,
    revocation.targets_finished, revocation.targets_open;

-- A row is written when it is accepted, and once more at its end. With room for that on its page, the log of the database
-- takes what differs, no lock of the row, and one page. Pages that are full stay so.
ALTER TABLE revocation.targets SET (fillfactor = 70);
