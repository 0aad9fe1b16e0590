-- no-transaction
-- See 0030. Entries lie in the order of receipt, so that they are written to one place.
CREATE INDEX CONCURRENTLY targets_open ON revocation.targets (event_id) WHERE finished_at IS NULL;
