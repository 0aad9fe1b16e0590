-- Workers that ended without having said so. One that says so ends its lease by that, before its last sign of life.

SELECT set_config('lock_timeout', '5s', true);

CREATE VIEW audit.lost_workers AS
SELECT instance, version, started_at, last_seen_at, ended_at AS taken_over_at
FROM revocation.workers
WHERE ended_at IS NOT NULL AND lease_until > last_seen_at;
COMMENT ON VIEW audit.lost_workers IS 'worker processes that ended without a word; others have taken over what they held';
