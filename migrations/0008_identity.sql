-- Several events under one identity: the same (source, id) with other content is an event of its own, on record beside the first.
--
-- The first of an identity has its id in `id`, as ever, where workers from before this migration look for duplicates. A further one has its id in real_id, and
-- in `id` a key that no event can have, because it is longer than an event's id may be: real_id, U+001F, its content's digest, filled up.
-- content_sha256: of what the event means (src/event/content.rs), not of its bytes; null in events of a worker from before this column, whose
-- content is then told by body_sha256 alone: another spelling of it is taken for another event, since two records do no harm and none would.
-- beside: a part of another event's delivery that has a row of its own, under the same identity, written with that one or not at all.
ALTER TABLE revocation.events
    ADD COLUMN content_sha256  bytea,
    ADD COLUMN real_id         text,
    ADD COLUMN identity_reused boolean NOT NULL DEFAULT false,
    ADD COLUMN beside          uuid,
    ADD CONSTRAINT content_is_a_sha256 CHECK (octet_length(content_sha256) = 32) NOT VALID,
    ADD CONSTRAINT key_is_no_id CHECK (real_id IS NULL OR (octet_length(id) > 255 AND starts_with(id, real_id || E'\x1f'))) NOT VALID,
    ADD CONSTRAINT further_has_a_key CHECK (real_id IS NOT NULL OR NOT (identity_reused OR beside IS NOT NULL)) NOT VALID;
CREATE INDEX events_real_id ON revocation.events (source, real_id, body_sha256) WHERE real_id IS NOT NULL;

-- Events under the identity that they came with. Two branches, each of which has its index: a computed id has none.
CREATE VIEW revocation.events_as_given AS
SELECT event_id, source, id, event_type, incident, lane, reason, actor, broker_user, occurred_at, received_at, not_before, denied_at, deny_at, identity_reused
FROM revocation.events WHERE real_id IS NULL
UNION ALL
SELECT event_id, source, real_id, event_type, incident, lane, reason, actor, broker_user, occurred_at, received_at, not_before, denied_at, deny_at, identity_reused
FROM revocation.events WHERE real_id IS NOT NULL;

CREATE OR REPLACE VIEW audit.revocations AS
SELECT revocation.revocation_id(t.event_id, t.ordinal) AS revocation_id,
       e.source AS event_source, e.id AS event_id, e.event_type, e.incident, t.lane, t.provider,
       t.kind AS target_kind, t.token_type_hint, encode(t.token_sha256, 'hex') AS token_sha256,
       t.sub, t.sid, t.client_id, t.iss, coalesce(t.cutoff, e.not_before) AS not_before, e.reason, e.actor,
       t.state, t.proof, t.attempts, e.occurred_at, e.received_at, e.denied_at,
       t.revoked_at, t.confirmed_at, t.finished_at,
       CASE WHEN t.lease_owner IS NULL AND NOT t.waiting THEN t.due_at END AS next_attempt_at,
       t.token_expires_at, t.last_outcome, t.last_http_status, t.last_error, w.instance AS worker,
       encode(t.signed_sha256, 'hex') AS signed_sha256, e.identity_reused
FROM revocation.targets t
JOIN revocation.events_as_given e USING (event_id)
LEFT JOIN revocation.workers w ON w.worker_no = t.last_worker;
COMMENT ON COLUMN audit.revocations.identity_reused IS 'true: another event with other content was on record under this source and id, and this one is of its own; the other has the same event_source and event_id';

CREATE OR REPLACE VIEW audit.propagation AS
SELECT e.source AS event_source, e.id AS event_id, e.incident, e.denied_at, v.applied_by, v.live_verifiers, v.waiting_for
FROM revocation.events_as_given e
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE has_it) AS applied_by, count(*) AS live_verifiers,
           coalesce(array_agg(name ORDER BY name) FILTER (WHERE NOT has_it), '{}') AS waiting_for
    FROM (SELECT service || '/' || instance AS name, up_to_date AND coalesce(applied_time >= e.denied_at, false) AS has_it
          FROM audit.verifiers WHERE live AND verified) AS verifier
) AS v;
COMMENT ON VIEW audit.propagation IS 'one row an event, of which several may have one identity (see identity_reused of audit.revocations): how many of the live verifiers whose reports are verified refuse its tokens for certain, and which do not yet; ask for one event or few';
