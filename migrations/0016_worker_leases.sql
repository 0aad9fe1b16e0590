-- Until when a worker's work is its own: whoever looks can tell a dead worker from one with a long lease.

CREATE OR REPLACE VIEW audit.workers AS
SELECT instance, version, started_at, last_seen_at, in_flight, clock_offset_ms, lease_until
FROM revocation.workers
WHERE ended_at IS NULL;
COMMENT ON VIEW audit.workers IS 'worker processes that have not ended; one whose lease_until has passed has died and is being taken over; clock_offset_ms: by how much the machine''s clock is ahead of the database''s';
