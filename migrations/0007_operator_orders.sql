-- What operators order of providers: `provider resume`. Workers follow within a second, and say which order they have followed.

CREATE TABLE revocation.provider_orders (
    order_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    provider text        NOT NULL CHECK (provider <> ''),
    action   text        NOT NULL CHECK (action IN ('resume')),
    actor    text        NOT NULL CHECK (actor <> ''),
    role     text        NOT NULL DEFAULT session_user -- the database's word on who it was
);
CREATE INDEX provider_orders_latest ON revocation.provider_orders (provider, order_no);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON revocation.provider_orders FOR EACH ROW EXECUTE FUNCTION revocation.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON revocation.provider_orders FOR EACH STATEMENT EXECUTE FUNCTION revocation.refuse_change();

-- order_no: the last order that the worker had followed when it wrote this. A wait that it tells of is over for everybody once there is a later one;
-- a worker from before this column follows none, so its waits are its own from then on. waits_since: when the breaker was first seen other than closed.
ALTER TABLE revocation.provider_status
    ADD COLUMN order_no    bigint NOT NULL DEFAULT 0,
    ADD COLUMN waits_since timestamptz;

CREATE OR REPLACE VIEW audit.providers AS
SELECT s.provider,
       CASE WHEN bool_or(s.breaker = 'open') THEN 'open' WHEN bool_or(s.breaker = 'half_open') THEN 'half_open' ELSE 'closed' END AS breaker,
       max(s.last_success_at) AS last_success_at, max(s.last_failure_at) AS last_failure_at,
       (array_agg(s.last_error ORDER BY s.last_failure_at DESC NULLS LAST) FILTER (WHERE s.last_error IS NOT NULL))[1] AS last_error,
       sum(s.calls_5m)::bigint AS calls_5m, sum(s.failures_5m)::bigint AS failures_5m,
       sum(s.p50_ms_5m * s.calls_5m) / nullif(sum(s.calls_5m) FILTER (WHERE s.p50_ms_5m IS NOT NULL), 0) AS p50_ms_5m,
       max(s.p95_ms_5m) AS p95_ms_5m,
       min(s.waits_since) FILTER (WHERE s.breaker <> 'closed') AS waits_since,
       max(s.held_until) FILTER (WHERE s.held_until > now() AND NOT EXISTS (
           SELECT FROM revocation.provider_orders o WHERE o.provider = s.provider AND o.order_no > s.order_no)) AS held_until
FROM revocation.provider_status s
JOIN revocation.workers w USING (worker_no)
WHERE w.lease_until > now()
GROUP BY s.provider;
COMMENT ON VIEW audit.providers IS 'what the live workers see of each provider: worst breaker, summed calls, call-weighted mean of medians, worst p95; waits_since: when the breaker was first seen other than closed; held_until: when the Retry-After that the provider asked for has passed';
