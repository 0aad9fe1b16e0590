-- no-transaction
-- As 0030. Of events with a trace alone: the others have no entry.
CREATE INDEX CONCURRENTLY events_by_trace ON revocation.events (encode(substr(trace, 1, 16), 'hex')) WHERE trace IS NOT NULL;
