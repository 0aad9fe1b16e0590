-- Tables live in schema revocation; the views in schema audit are the public interface (0002).
-- No table holds a readable token: targets.sealed is AEAD ciphertext, erased when the work ends.

CREATE SCHEMA revocation;

-- One row a worker process. A worker keeps its work as long as lease_until lies ahead; then others take it over.
CREATE TABLE revocation.workers (
    worker_no    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance     text        NOT NULL,
    version      text        NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    lease_until  timestamptz NOT NULL,
    in_flight    integer     NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
    ended_at     timestamptz
);

CREATE TABLE revocation.events (
    event_id     uuid        PRIMARY KEY,
    source       text        NOT NULL CHECK (source <> ''),
    id           text        NOT NULL CHECK (id <> ''),
    event_type   text        NOT NULL CHECK (event_type IN ('auth.logout.v1', 'auth.mass_revocation.v1')),
    lane         text        NOT NULL CHECK (lane IN ('interactive', 'mass')),
    reason       text,
    actor        text,
    incident     text,
    incident_targets bigint CHECK (incident_targets > 0),
    occurred_at  timestamptz,
    received_at  timestamptz NOT NULL,
    not_before   timestamptz NOT NULL,
    denied_at    timestamptz,
    broker_user  text,
    body_sha256  bytea       NOT NULL CHECK (octet_length(body_sha256) = 32),
    accepted_by  integer     NOT NULL REFERENCES revocation.workers,
    UNIQUE (source, id),
    CONSTRAINT lane_follows_type CHECK ((event_type = 'auth.mass_revocation.v1') = (lane = 'mass')),
    CONSTRAINT mass_has_incident CHECK ((event_type = 'auth.mass_revocation.v1') = (incident IS NOT NULL))
) WITH (fillfactor = 85); -- room for denied_at to be set in place

CREATE TABLE revocation.targets (
    event_id         uuid        NOT NULL REFERENCES revocation.events,
    ordinal          smallint    NOT NULL CHECK (ordinal >= 0),
    provider         text        NOT NULL,
    lane             text        NOT NULL CHECK (lane IN ('interactive', 'mass')),
    kind             text        NOT NULL CHECK (kind IN ('token', 'session', 'subject', 'client', 'issuer')),
    token_type_hint  text        CHECK (token_type_hint IN ('access_token', 'refresh_token')),
    token_sha256     bytea       CHECK (octet_length(token_sha256) = 32),
    jti              text,
    sub              text,
    sid              text,
    client_id        text,
    iss              text,
    token_expires_at timestamptz,
    deny_until       timestamptz NOT NULL,
    give_up_at       timestamptz NOT NULL,
    state            text        NOT NULL CHECK (state IN ('pending', 'parked', 'revoked', 'unsupported', 'expired', 'cancelled')),
    proof            text        CHECK (proof IN ('accepted', 'already_invalid', 'verified', 'contradicted')),
    attempts         integer     NOT NULL DEFAULT 0,
    failures         integer     NOT NULL DEFAULT 0 CONSTRAINT failures_within_attempts CHECK (failures BETWEEN 0 AND attempts),
    due_at           timestamptz,
    lease_owner      integer,
    leased_at        timestamptz,
    last_worker      integer,
    last_outcome     text CHECK (last_outcome IN ('revoked', 'already_invalid', 'transient', 'misconfigured', 'rejected', 'unknown')),
    last_http_status smallint,
    last_error       text        CHECK (length(last_error) <= 500),
    sealed           bytea,
    sealed_key       text,
    revoked_at       timestamptz,
    confirmed_at     timestamptz,
    finished_at      timestamptz,
    PRIMARY KEY (event_id, ordinal),
    -- what each kind must name
    CONSTRAINT names_its_token CHECK ((kind = 'token') = (token_sha256 IS NOT NULL)),
    CONSTRAINT only_tokens_have_token_facts CHECK (kind = 'token' OR (token_type_hint IS NULL AND jti IS NULL AND token_expires_at IS NULL)),
    CONSTRAINT names_its_session CHECK (kind <> 'session' OR sid IS NOT NULL),
    CONSTRAINT names_its_subject CHECK (kind <> 'subject' OR sub IS NOT NULL),
    CONSTRAINT names_its_client CHECK (kind <> 'client' OR client_id IS NOT NULL),
    CONSTRAINT names_its_issuer CHECK (kind <> 'issuer' OR iss IS NOT NULL),
    -- the state machine: open rows have a due time, final rows a finish and no sealed token
    CONSTRAINT finished_iff_final CHECK ((state IN ('pending', 'parked')) = (finished_at IS NULL)),
    CONSTRAINT due_iff_open CHECK ((state IN ('pending', 'parked')) = (due_at IS NOT NULL)),
    CONSTRAINT sealed_iff_open_token CHECK ((sealed IS NOT NULL) = (kind = 'token' AND state IN ('pending', 'parked'))),
    CONSTRAINT sealed_has_key CHECK ((sealed IS NULL) = (sealed_key IS NULL)),
    CONSTRAINT leased_is_pending CHECK (lease_owner IS NULL OR (state = 'pending' AND attempts > 0)),
    CONSTRAINT lease_is_whole CHECK ((lease_owner IS NULL) = (leased_at IS NULL)),
    CONSTRAINT revoked_is_proven CHECK ((state = 'revoked') = (revoked_at IS NOT NULL)),
    CONSTRAINT proof_fits_state CHECK (
        CASE WHEN state = 'revoked' THEN proof IS NOT NULL AND proof <> 'contradicted' ELSE proof IS NULL OR proof = 'contradicted' END),
    CONSTRAINT confirmed_is_revoked CHECK (confirmed_at IS NULL OR state = 'revoked'),
    CONSTRAINT expired_had_an_end CHECK (state <> 'expired' OR token_expires_at IS NOT NULL)
);
-- One index a question: what is due, what dies of age, what does a worker hold, what was not yet confirmed to verifiers.
-- Final rows are in none of them, so their number does not slow a claim.
CREATE INDEX targets_due ON revocation.targets (provider, lane, due_at) WHERE lease_owner IS NULL AND finished_at IS NULL;
CREATE INDEX targets_expiring ON revocation.targets (token_expires_at)
    WHERE lease_owner IS NULL AND finished_at IS NULL AND token_expires_at IS NOT NULL;
CREATE INDEX targets_leased ON revocation.targets (lease_owner) WHERE lease_owner IS NOT NULL;
CREATE INDEX targets_unconfirmed ON revocation.targets (finished_at) WHERE state = 'revoked' AND confirmed_at IS NULL;

-- The closing record of a provider call. The opening record is the target's own lease: attempts = n, lease_owner, leased_at.
-- A takeover closes a lost attempt as 'unknown'; if its worker answers late after all, that answer is kept beside it.
CREATE TABLE revocation.attempts (
    event_id       uuid        NOT NULL,
    ordinal        smallint    NOT NULL,
    attempt        integer     NOT NULL CHECK (attempt > 0),
    answered       boolean     NOT NULL,
    worker_no      integer     NOT NULL,
    started_at     timestamptz NOT NULL,
    duration_ms    integer     CHECK (duration_ms >= 0),
    outcome        text        NOT NULL CHECK (outcome IN ('revoked', 'already_invalid', 'transient', 'misconfigured', 'rejected', 'unknown')),
    http_status    smallint,
    error          text        CHECK (length(error) <= 500),
    retry_after_ms bigint      CHECK (retry_after_ms >= 0),
    PRIMARY KEY (event_id, ordinal, attempt, answered),
    FOREIGN KEY (event_id, ordinal) REFERENCES revocation.targets,
    CONSTRAINT unanswered_is_unknown CHECK (answered = (outcome <> 'unknown')),
    CONSTRAINT answered_took_time CHECK (answered = (duration_ms IS NOT NULL))
);

CREATE TABLE revocation.rejected_events (
    rejected_no  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rejected_at  timestamptz NOT NULL,
    queue        text        NOT NULL,
    routing_key  text        NOT NULL,
    broker_user  text,
    code         text        NOT NULL CHECK (code IN ('not_json', 'too_large', 'too_deep', 'unknown_type', 'missing_field', 'invalid_field',
                                                      'unknown_provider', 'too_many_targets', 'not_allowed', 'bad_signature')),
    detail       text        NOT NULL,
    body_sha256  bytea       NOT NULL CHECK (octet_length(body_sha256) = 32),
    body_bytes   bigint      NOT NULL CHECK (body_bytes >= 0),
    event_source text,
    event_id     text,
    worker_no    integer     NOT NULL REFERENCES revocation.workers
);
CREATE INDEX rejected_events_at ON revocation.rejected_events (rejected_at);

CREATE TABLE revocation.operations (
    operation_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    actor    text        NOT NULL CHECK (actor <> ''),
    action   text        NOT NULL CHECK (action <> ''),
    incident text,
    detail   jsonb       NOT NULL DEFAULT '{}'
);

-- What each live worker sees of each provider.
CREATE TABLE revocation.provider_status (
    worker_no       integer NOT NULL REFERENCES revocation.workers,
    provider        text    NOT NULL,
    breaker         text    NOT NULL CHECK (breaker IN ('closed', 'open', 'half_open')),
    last_success_at timestamptz,
    last_failure_at timestamptz,
    last_error      text,
    calls_5m        bigint  NOT NULL,
    failures_5m     bigint  NOT NULL,
    p50_ms_5m       double precision,
    p95_ms_5m       double precision,
    PRIMARY KEY (worker_no, provider)
);

-- Append-only: no UPDATE, DELETE or TRUNCATE, whoever asks, unless retention has announced itself in the transaction.
CREATE FUNCTION revocation.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('revocation.retention', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% on %.% refused: the table is append-only', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON revocation.attempts FOR EACH ROW EXECUTE FUNCTION revocation.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON revocation.attempts FOR EACH STATEMENT EXECUTE FUNCTION revocation.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON revocation.rejected_events FOR EACH ROW EXECUTE FUNCTION revocation.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON revocation.rejected_events FOR EACH STATEMENT EXECUTE FUNCTION revocation.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON revocation.operations FOR EACH ROW EXECUTE FUNCTION revocation.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON revocation.operations FOR EACH STATEMENT EXECUTE FUNCTION revocation.refuse_change();

-- A final state is final, and what a target names never changes.
CREATE FUNCTION revocation.refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'target %-%: % -> % refused: % is final', OLD.event_id, OLD.ordinal, OLD.state, NEW.state, OLD.state
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER final_is_final BEFORE UPDATE ON revocation.targets FOR EACH ROW
    WHEN (OLD.finished_at IS NOT NULL AND (NEW.state, NEW.finished_at) IS DISTINCT FROM (OLD.state, OLD.finished_at))
    EXECUTE FUNCTION revocation.refuse_transition();

-- Claims run against this table all day: keep it vacuumed long before its size would ask for it.
ALTER TABLE revocation.targets SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE revocation.events SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
