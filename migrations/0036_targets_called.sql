-- no-transaction
-- See 0030. Rows lie nearly in the order of their time, so that a summary of each few pages will do.
CREATE INDEX CONCURRENTLY targets_called ON revocation.targets USING brin (call_began_at)
    WITH (pages_per_range = 32, autosummarize = on);
