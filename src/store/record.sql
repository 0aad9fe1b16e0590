WITH r AS MATERIALIZED (
    SELECT r.*, $1::integer AS owner, 'pending' AS open,
        -- The call that ends a target is on record in its row; one with a wish has a row of its own.
        CASE WHEN r.retry_after_ms IS NULL AND r.finished_at IS NOT NULL THEN r.started_at END AS began_at
    FROM unnest($2::revocation.new_answer[]) AS r
), written AS (
    UPDATE revocation.targets t
    SET state = r.state,
        proof = r.proof,
        failures = CASE WHEN r.spent THEN t.failures + 1 ELSE t.failures END,
        due_at = CASE WHEN r.finished_at IS NULL THEN now() + make_interval(secs => r.due_in) END,
        lease_owner = NULL,
        leased_at = NULL,
        last_worker = $1,
        last_outcome = r.outcome,
        last_http_status = r.http_status,
        last_error = r.error,
        sealed = CASE WHEN r.finished_at IS NULL THEN t.sealed END,
        sealed_key = CASE WHEN r.finished_at IS NULL THEN t.sealed_key END,
        revoked_at = r.revoked_at,
        confirmed_at = r.confirmed_at,
        finished_at = r.finished_at,
        cutoff = coalesce(r.cutoff, t.cutoff),
        deny_until = coalesce(r.deny_until, t.deny_until),
        call_began_at = r.began_at,
        denied_at = CASE WHEN t.incident = '' THEN coalesce(t.denied_at, r.denied_at) END
    FROM r
    WHERE t.event_id = r.event_id AND t.ordinal = r.ordinal AND t.attempts = r.attempt
        -- Compared with columns, not with values: a value would let the planner take the small index of
        -- all that is leased and read it once a row, where the target's own key finds it at once.
        AND t.lease_owner IS NOT DISTINCT FROM r.owner AND t.state = r.open
    RETURNING t.event_id, t.ordinal, t.call_began_at IS NOT NULL AS holds_its_call, t.denied_at
), closed AS (
    INSERT INTO revocation.attempts (
        event_id, ordinal, attempt, answered, worker_no, started_at, duration_ms, outcome,
        http_status, error, retry_after_ms)
    SELECT
        event_id, ordinal, attempt, true, $1, started_at, duration_ms, outcome, http_status, error,
        retry_after_ms
    FROM r
    -- IN … IS NOT TRUE is looked up in a hash, as in accept/insert.sql.
    WHERE ((event_id, ordinal) IN (
            SELECT w.event_id, w.ordinal FROM written w WHERE w.holds_its_call)) IS NOT TRUE
        -- Its row holds it by an earlier call of this, whose answer was lost.
        AND NOT EXISTS (
            SELECT FROM revocation.targets t
            WHERE t.event_id = r.event_id AND t.ordinal = r.ordinal AND t.attempts = r.attempt
                AND t.call_began_at IS NOT NULL)
    ON CONFLICT DO NOTHING
), denied AS (
    UPDATE revocation.events e SET denied_at = coalesce(e.denied_at, d.at), deny_at = NULL
    FROM unnest($3::uuid[], $4::timestamptz[]) AS d (event_id, at)
    WHERE e.event_id = d.event_id
        -- A target's row says so, as of this statement or from before.
        AND (d.event_id IN (
            SELECT w.event_id FROM written w WHERE w.denied_at IS NOT NULL)) IS NOT TRUE
        AND NOT EXISTS (
            SELECT FROM revocation.targets t
            WHERE t.event_id = d.event_id AND t.denied_at IS NOT NULL)
)
SELECT event_id AS "event!", ordinal AS "ordinal!" FROM written
