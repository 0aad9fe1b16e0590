-- How a worker's own clock stands to this server's. Workers take their times from this server, so that what differs is only shown.

ALTER TABLE revocation.workers ADD COLUMN clock_offset_ms bigint;
COMMENT ON COLUMN revocation.workers.clock_offset_ms IS 'own clock minus the database''s, as it was measured before the last sign of life; null: not measured yet';

CREATE OR REPLACE VIEW audit.workers AS
SELECT instance, version, started_at, last_seen_at, in_flight, clock_offset_ms
FROM revocation.workers
WHERE ended_at IS NULL;
COMMENT ON VIEW audit.workers IS 'worker processes that have not ended; one whose last_seen_at is old has died and is being taken over; clock_offset_ms: by how much the machine''s clock is ahead of the database''s';
