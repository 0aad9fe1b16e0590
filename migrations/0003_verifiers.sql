-- What local verifiers report of themselves, every 5 s; only the last report of each is kept.

CREATE TABLE revocation.verifiers (
    service          text        NOT NULL CHECK (octet_length(service) BETWEEN 1 AND 200),
    instance         text        NOT NULL CHECK (octet_length(instance) BETWEEN 1 AND 200),
    first_seen_at    timestamptz NOT NULL DEFAULT now(),
    last_seen_at     timestamptz NOT NULL DEFAULT now(),
    reported_at      timestamptz NOT NULL, -- by the verifier's clock, at most the moment of its receipt
    applied_offset   bigint      CHECK (applied_offset >= 0),
    applied_time     timestamptz,          -- by the clock of the worker that made the message
    entries          bigint      NOT NULL CHECK (entries >= 0),
    stale            boolean     NOT NULL,
    stale_reason     text        CHECK (length(stale_reason) BETWEEN 1 AND 50),
    staleness_policy text        CHECK (length(staleness_policy) BETWEEN 1 AND 50),
    PRIMARY KEY (service, instance)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE VIEW audit.verifiers AS
SELECT service, instance, last_seen_at, applied_offset,
       extract(epoch FROM greatest(reported_at, applied_time) - applied_time)::double precision AS lag_seconds, entries,
       NOT stale AND last_seen_at > now() - interval '15 seconds' AS up_to_date,
       stale_reason, staleness_policy, applied_time,
       last_seen_at > now() - interval '15 seconds' AS live
FROM revocation.verifiers;
COMMENT ON VIEW audit.verifiers IS 'one row a verifier that was seen within a day; live: it has reported within 15 s, of which three reports fall; up_to_date: live, and it vouches for its denylist; lag_seconds: how old the last message applied was when it reported';

-- The stream is ordered: a verifier that has applied a message made after the denial was confirmed has applied the denial.
CREATE VIEW audit.propagation AS
SELECT e.source AS event_source, e.id AS event_id, e.incident, e.denied_at, v.applied_by, v.live_verifiers, v.waiting_for
FROM revocation.events e
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE has_it) AS applied_by, count(*) AS live_verifiers,
           coalesce(array_agg(name ORDER BY name) FILTER (WHERE NOT has_it), '{}') AS waiting_for
    FROM (SELECT service || '/' || instance AS name, up_to_date AND coalesce(applied_time >= e.denied_at, false) AS has_it
          FROM audit.verifiers WHERE live) AS verifier
) AS v;
COMMENT ON VIEW audit.propagation IS 'one row an event: how many of the live verifiers refuse its tokens for certain, and which do not yet; ask for one event or few';

-- For questions that auditors ask. Neither costs a logout more than a moment: events lie in the order of their receipt, and only mass revocations
-- have an incident. There is none on targets.token_sha256: every attempt would write it anew, in a random place.
CREATE INDEX events_received ON revocation.events USING brin (received_at) WITH (autosummarize = on);
CREATE INDEX events_incident ON revocation.events (incident) WHERE incident IS NOT NULL;
