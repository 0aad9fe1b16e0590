-- no-transaction
-- See 0030. What was given up and is still alive: its provider honours it.
CREATE INDEX CONCURRENTLY targets_given_up ON revocation.targets (deny_until) WHERE state = 'cancelled';
