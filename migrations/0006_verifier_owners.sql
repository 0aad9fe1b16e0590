-- Who reports for a verifier: the broker user, whom RabbitMQ has validated. Only the word of its service's owner counts.

-- broker_user: '' in a report without one. verified: by an owner of the service, as the worker that wrote it judged.
-- A table of its own, because the reporting user is part of the key: nobody's report overwrites another user's. Workers from before it name
-- (service, instance) as the key of revocation.verifiers, so that table stays for them, and nothing else writes there.
CREATE TABLE revocation.verifier_reports (
    service          text        NOT NULL CHECK (octet_length(service) BETWEEN 1 AND 200),
    instance         text        NOT NULL CHECK (octet_length(instance) BETWEEN 1 AND 200),
    broker_user      text        NOT NULL CHECK (octet_length(broker_user) <= 255),
    verified         boolean     NOT NULL,
    first_seen_at    timestamptz NOT NULL DEFAULT now(),
    last_seen_at     timestamptz NOT NULL DEFAULT now(),
    reported_at      timestamptz NOT NULL, -- by the verifier's clock, at most the moment of its receipt
    applied_offset   bigint      CHECK (applied_offset >= 0),
    applied_time     timestamptz,          -- by the clock of the worker that made the message
    entries          bigint      NOT NULL CHECK (entries >= 0),
    stale            boolean     NOT NULL,
    stale_reason     text        CHECK (length(stale_reason) BETWEEN 1 AND 50),
    staleness_policy text        CHECK (length(staleness_policy) BETWEEN 1 AND 50),
    PRIMARY KEY (service, instance, broker_user),
    CONSTRAINT verified_is_somebodys CHECK (NOT verified OR broker_user <> '')
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- Who has how many rows. Not by last_seen_at, which every report changes: a row is then updated in place.
CREATE INDEX verifier_reports_user ON revocation.verifier_reports (broker_user);

CREATE OR REPLACE VIEW audit.verifiers AS
SELECT service, instance, last_seen_at, applied_offset,
       extract(epoch FROM greatest(reported_at, applied_time) - applied_time)::double precision AS lag_seconds, entries,
       verified AND NOT stale AND last_seen_at > now() - interval '15 seconds' AS up_to_date,
       stale_reason, staleness_policy, applied_time,
       last_seen_at > now() - interval '15 seconds' AS live,
       nullif(broker_user, '') AS broker_user, verified
FROM (
    SELECT service, instance, last_seen_at, reported_at, applied_offset, applied_time, entries, stale, stale_reason, staleness_policy, broker_user,
           verified
    FROM revocation.verifier_reports
    UNION ALL
    SELECT service, instance, last_seen_at, reported_at, applied_offset, applied_time, entries, stale, stale_reason, staleness_policy, '', false
    FROM revocation.verifiers v
    WHERE NOT EXISTS (SELECT FROM revocation.verifier_reports r WHERE (r.service, r.instance) = (v.service, v.instance))
) AS report;
COMMENT ON VIEW audit.verifiers IS 'one row a verifier, and a user who reported for it, seen within a day; live: reported within 15 s, of which three reports fall; verified: by an owner of the service (setting verifiers.owners), else it vouches for nothing; up_to_date: verified, live, and it vouches for its denylist; lag_seconds: how old the last message applied was when it reported';

CREATE OR REPLACE VIEW audit.propagation AS
SELECT e.source AS event_source, e.id AS event_id, e.incident, e.denied_at, v.applied_by, v.live_verifiers, v.waiting_for
FROM revocation.events e
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE has_it) AS applied_by, count(*) AS live_verifiers,
           coalesce(array_agg(name ORDER BY name) FILTER (WHERE NOT has_it), '{}') AS waiting_for
    FROM (SELECT service || '/' || instance AS name, up_to_date AND coalesce(applied_time >= e.denied_at, false) AS has_it
          FROM audit.verifiers WHERE live AND verified) AS verifier
) AS v;
COMMENT ON VIEW audit.propagation IS 'one row an event: how many of the live verifiers whose reports are verified refuse its tokens for certain, and which do not yet; ask for one event or few';
