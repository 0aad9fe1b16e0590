-- What names a token beside its digest, so that a denial published again says what the first one said.
--
-- signed_sha256: of the two signed parts of a compact JWS, which no holder can spell otherwise; null where the token is none.
-- jti_iss: the token's own iss, in whose tokens alone its jti counts; '' where the token names none.
-- A worker from before these columns leaves both null: its denials, published again, say as little as it said.
-- NOT VALID: every row there is has nulls here, and reading them all would hold up the workers.
ALTER TABLE revocation.targets
    ADD COLUMN signed_sha256 bytea,
    ADD COLUMN jti_iss       text,
    ADD CONSTRAINT signed_is_a_sha256 CHECK (octet_length(signed_sha256) = 32) NOT VALID,
    ADD CONSTRAINT only_tokens_are_signed CHECK (signed_sha256 IS NULL OR kind = 'token') NOT VALID,
    ADD CONSTRAINT issuer_is_of_a_jti CHECK (jti_iss IS NULL OR jti IS NOT NULL) NOT VALID;

CREATE OR REPLACE VIEW audit.revocations AS
SELECT revocation.revocation_id(t.event_id, t.ordinal) AS revocation_id,
       e.source AS event_source, e.id AS event_id, e.event_type, e.incident, t.lane, t.provider,
       t.kind AS target_kind, t.token_type_hint, encode(t.token_sha256, 'hex') AS token_sha256,
       t.sub, t.sid, t.client_id, t.iss, coalesce(t.cutoff, e.not_before) AS not_before, e.reason, e.actor,
       t.state, t.proof, t.attempts, e.occurred_at, e.received_at, e.denied_at,
       t.revoked_at, t.confirmed_at, t.finished_at,
       CASE WHEN t.lease_owner IS NULL AND NOT t.waiting THEN t.due_at END AS next_attempt_at,
       t.token_expires_at, t.last_outcome, t.last_http_status, t.last_error, w.instance AS worker,
       encode(t.signed_sha256, 'hex') AS signed_sha256
FROM revocation.targets t
JOIN revocation.events e USING (event_id)
LEFT JOIN revocation.workers w ON w.worker_no = t.last_worker;
