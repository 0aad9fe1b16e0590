-- no-transaction
-- See 0030.
CREATE INDEX CONCURRENTLY targets_by_sid ON revocation.targets (sid) WHERE finished_at IS NOT NULL AND sid IS NOT NULL;
