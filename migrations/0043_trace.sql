-- The trace that an event belongs to (W3C Trace Context), where it has one: its id (16 bytes), the span that what is
-- done for the event is a part of (8), flags (1). Whoever takes the event over goes on with it.

SELECT set_config('lock_timeout', '5s', true);

ALTER TABLE revocation.events
    ADD COLUMN trace bytea,
    ADD CONSTRAINT trace_is_whole CHECK (octet_length(trace) = 25) NOT VALID;

-- As new_event of 0015, and the trace.
CREATE TYPE revocation.new_traced_event AS (
    event_id         uuid,
    source           text,
    id               text,
    real_id          text,
    event_type       text,
    lane             text,
    reason           text,
    actor            text,
    incident         text,
    incident_targets bigint,
    occurred_at      timestamptz,
    received_at      timestamptz,
    not_before       timestamptz,
    broker_user      text,
    body_sha256      bytea,
    content_sha256   bytea,
    targets          smallint,
    has_cutoff       boolean,
    withheld         boolean, -- its denial waits for its incident's approval
    identity_reused  boolean,
    beside           uuid,
    trace            bytea
);
