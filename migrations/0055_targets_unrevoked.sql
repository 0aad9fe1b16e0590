-- no-transaction
-- See 0030. Targets that have ended otherwise than most do, for questions by state: few, so that a logout writes nothing
-- of it.
CREATE INDEX CONCURRENTLY targets_unrevoked ON revocation.targets (event_id)
    WHERE state IN ('unsupported', 'expired', 'cancelled');
