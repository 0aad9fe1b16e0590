-- What the page shows of the last minutes, as the workers see it: reading it back from the record would cost more
-- the more there is.

-- calls_by_10s, failures_by_10s: calls in each ten seconds of the last five minutes, the oldest first.
-- reason: why the provider is left alone; null while it is not, and from workers before this column.
ALTER TABLE revocation.provider_status
    ADD COLUMN calls_by_10s    integer[],
    ADD COLUMN failures_by_10s integer[],
    ADD COLUMN reason          text;

-- How long a worker's denials and revocations of one minute took, from the receipt of their event. Each place of an
-- array is a class of durations: the first up to 0.5 ms, each further one up to half as much again. Kept for two
-- hours.
CREATE TABLE revocation.latencies (
    minute     timestamptz NOT NULL,
    worker_no  integer     NOT NULL,
    denial     integer[]   NOT NULL,
    revocation integer[]   NOT NULL,
    PRIMARY KEY (minute, worker_no)
) WITH (fillfactor = 50);

-- What may still get new tokens although its target is finished: no access token, and no yes from the provider.
-- Logouts that end as they should are not in it.
CREATE INDEX targets_minting ON revocation.targets (deny_until)
    WHERE state IN ('unsupported', 'cancelled') AND (kind <> 'token' OR token_type_hint IS DISTINCT FROM 'access_token');

-- Where migrations/roles.sql has been run: what is new to the worker.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revocation_worker') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON revocation.latencies TO revocation_worker;
    END IF;
END $$;
