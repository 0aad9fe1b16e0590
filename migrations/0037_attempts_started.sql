-- no-transaction
-- See 0036.
CREATE INDEX CONCURRENTLY attempts_started ON revocation.attempts USING brin (started_at)
    WITH (pages_per_range = 32, autosummarize = on);
