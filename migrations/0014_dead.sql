-- What waits in the queue revocation.dead, as the workers see it: the database knows what was refused, not what is still there.

ALTER TABLE revocation.workers
    ADD COLUMN dead_messages bigint,
    ADD COLUMN dead_seen_at timestamptz,
    ADD COLUMN many_dead_since timestamptz;
COMMENT ON COLUMN revocation.workers.dead_messages IS 'messages in the queue revocation.dead at dead_seen_at; null: not looked yet';
COMMENT ON COLUMN revocation.workers.many_dead_since IS 'since when this worker sees so many that it raises the alarm; null: fewer';

CREATE VIEW audit.dead_letters AS
SELECT w.dead_messages AS messages, w.dead_seen_at AS seen_at,
    CASE WHEN w.many_dead_since IS NOT NULL THEN
        least(w.many_dead_since, (SELECT min(o.many_dead_since) FROM revocation.workers o WHERE o.ended_at IS NULL)) END AS many_since
FROM revocation.workers w
WHERE w.dead_seen_at IS NOT NULL
ORDER BY w.dead_seen_at DESC
LIMIT 1;
COMMENT ON VIEW audit.dead_letters IS 'what waited in the queue revocation.dead when a worker looked last, every 15 s; many_since: since when that is 1000 or more; no row: no worker has looked';
