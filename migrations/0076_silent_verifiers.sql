-- Verifiers that may still accept tokens and do not say so: known by their owner's word, silent, and not signed off.

SELECT set_config('lock_timeout', '5s', true);

CREATE VIEW audit.silent_verifiers AS
SELECT v.*, round(extract(epoch FROM now() - v.last_seen_at)) AS silent_s
FROM audit.verifiers v
WHERE v.verified AND NOT v.live AND v.stale_reason IS DISTINCT FROM 'ended';
COMMENT ON VIEW audit.silent_verifiers IS 'verifiers that have not reported for 15 s and did not sign off: whether they refuse is not known';
