-- no-transaction
-- In the place of 0036 and 0039: both times in one summary, and only of rows that have them.
CREATE INDEX CONCURRENTLY targets_times ON revocation.targets USING brin (finished_at, call_began_at)
    WITH (pages_per_range = 32, autosummarize = on) WHERE finished_at IS NOT NULL;
