//! How everything stands, and one event's story: the audit views as JSON, for the command `status`.

use serde_json::Value;

use super::{Store, StoreError};

impl Store {
    /// `{"incidents": […], "backlog": […], "providers": […], "workers": […], "dead_letters": […],
    /// "verifiers": […]}`: the rows of the audit views of these names, of incidents those that are not
    /// finished; `undenied`, where there are any: incidents that were cancelled within a day before all of
    /// their targets were denied. A worker and a verifier have `silent_s` besides: seconds since the last
    /// sign of life; open targets have `overdue_s`: since the first was due of those that nothing holds back;
    /// incidents have `waits_s`: since they were opened.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn status(&self) -> Result<Value, StoreError> {
        const WHAT: &str = "read the audit views";
        let mut connection = self.patient(WHAT).await?;
        let work = sqlx::query_scalar!(
            r#"SELECT jsonb_build_object(
                   'incidents', (SELECT coalesce(jsonb_agg(i ORDER BY i.opened_at, i.incident), '[]')
                       FROM (SELECT *, round(extract(epoch FROM now() - opened_at)) AS waits_s FROM audit.incidents WHERE finished_at IS NULL) i),
                   'backlog', (SELECT coalesce(jsonb_agg(b ORDER BY b.provider, b.lane, b.state), '[]')
                       FROM (SELECT a.*, round(extract(epoch FROM now() - o.since)) AS overdue_s
                           FROM audit.backlog a LEFT JOIN audit.overdue o USING (provider, lane, state)) b),
                   'providers', (SELECT coalesce(jsonb_agg(p ORDER BY p.provider), '[]') FROM audit.providers p),
                   'workers', (SELECT coalesce(jsonb_agg(w ORDER BY w.instance, w.started_at), '[]')
                       FROM (SELECT *, round(extract(epoch FROM now() - last_seen_at)) AS silent_s FROM audit.workers) w),
                   'dead_letters', (SELECT coalesce(jsonb_agg(d), '[]') FROM audit.dead_letters d),
                   'verifiers', (SELECT coalesce(jsonb_agg(v ORDER BY v.service, v.instance, v.broker_user), '[]')
                       FROM (SELECT *, round(extract(epoch FROM now() - last_seen_at)) AS silent_s FROM audit.verifiers) v))
                   || coalesce((SELECT jsonb_build_object('undenied', jsonb_agg(u ORDER BY u.finished_at, u.incident)) FROM (
                       SELECT incident, targets_received - denied AS undenied, cancelled_by, cancel_reason, finished_at FROM audit.incidents
                       WHERE state = 'cancelled' AND denied < targets_received AND coalesce(finished_at > now() - interval '1 day', true)) u
                       HAVING count(*) > 0), '{}') AS "status!""#
        )
        .fetch_one(&mut *connection);
        work.await.map_err(|e| StoreError::new(WHAT, e))
    }

    /// `{"propagation": …, "revocations": […]}`: the event's row of `audit.propagation`, null for an event
    /// that is not on record, and its rows of `audit.revocations`. Of several events under one identity, all
    /// rows, and the propagation of the one that was denied last.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn event_status(&self, source: &str, id: &str) -> Result<Value, StoreError> {
        within!(self, "read an event's audit rows", |c| {
            sqlx::query_scalar!(
                r#"SELECT jsonb_build_object(
                       'propagation', (SELECT to_jsonb(p) FROM audit.propagation p WHERE (p.event_source, p.event_id) = ($1, $2)
                           ORDER BY p.denied_at DESC NULLS FIRST LIMIT 1),
                       'revocations', (SELECT coalesce(jsonb_agg(r ORDER BY length(r.revocation_id), r.revocation_id), '[]') FROM audit.revocations r
                           WHERE (r.event_source, r.event_id) = ($1, $2))) AS "status!""#,
                source,
                id
            )
            .fetch_one(c)
            .await
        })
    }
}
