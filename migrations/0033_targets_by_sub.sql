-- no-transaction
-- See 0030.
CREATE INDEX CONCURRENTLY targets_by_sub ON revocation.targets (sub) WHERE finished_at IS NOT NULL AND sub IS NOT NULL;
