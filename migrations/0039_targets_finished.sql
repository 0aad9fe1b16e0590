-- no-transaction
-- See 0036. A checkpoint (0040) reads what has ended since the one before.
CREATE INDEX CONCURRENTLY targets_finished ON revocation.targets USING brin (finished_at)
    WITH (pages_per_range = 32, autosummarize = on);
