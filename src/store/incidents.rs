//! Incidents: how they stand, for operators; what operators do to them; what workers do for them.

pub(super) mod accept;
mod active;
mod asked;
mod evidence;
mod on_record;
mod open;
mod order;
mod row;
mod tend;
mod withheld;

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::types::Json;

use super::{Store, StoreError};

pub use active::ActiveIncident;
pub use evidence::{Rows, Snapshot};
pub use order::{Approved, Steered, Steering};
pub use row::{
    Exposure, Incident, IncidentDetail, Incidents, KindCounts, Operation, ProviderCounts, ResidualRisk,
    StateCounts,
};

impl Store {
    /// The rows of `audit.incidents`. Unless `all`, those that finished more than 7 days ago are hidden.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn incidents(&self, all: bool) -> Result<Incidents, StoreError> {
        within!(self, "list the incidents", |c| {
            let listed = sqlx::query_scalar!(
                r#"SELECT jsonb_build_object(
                       'incidents', (
                           SELECT coalesce(jsonb_agg(i ORDER BY
                               i.finished_at IS NOT NULL, i.opened_at DESC, i.incident), '[]')
                           FROM audit.incidents i
                           WHERE $1 OR i.finished_at IS NULL OR i.finished_at > now() - interval '7 days'),
                       'hidden', (
                           SELECT count(*) FROM audit.incidents
                           WHERE NOT $1 AND finished_at <= now() - interval '7 days')
                   ) AS "incidents!: Json<Incidents>""#,
                all
            );
            listed.fetch_one(c).await.map(|Json(incidents)| incidents)
        })
    }

    /// An incident with what is on record of it, but for what only reading every target tells (see
    /// [`Store::exposure`]). Only counts and single rows are read, however large it is. `None`: it is not on
    /// record.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn incident(&self, name: &str) -> Result<Option<IncidentDetail>, StoreError> {
        within!(self, "read an incident", |c| {
            let incident = sqlx::query_scalar!(
                r#"SELECT to_jsonb(a) || jsonb_build_object(
                       'opened_via', i.opened_via,
                       'asks', i.asks,
                       'asking', i.asking,
                       'approval_above', i.approval_above,
                       'approved_role', i.approved_role,
                       'approved_asks', i.approved_asks,
                       'approved_targets', i.approved_targets,
                       'contributors', i.contributors,
                       'targets', greatest(a.targets_expected, a.targets_received),
                       'waits_s', round(extract(epoch FROM now() - a.opened_at)),
                       'in_flight', (
                           SELECT count(*) FROM audit.targets t
                           WHERE t.in_flight AND t.incident = a.incident),
                       'providers', (
                           SELECT coalesce(jsonb_agg(to_jsonb(p) - 'incident' ORDER BY p.provider), '[]')
                           FROM audit.incident_providers p WHERE p.incident = a.incident),
                       'operations', (
                           SELECT coalesce(jsonb_agg(o ORDER BY o.at), '[]')
                           FROM (SELECT at, actor, action, detail
                                 FROM audit.operations WHERE incident = a.incident) o)
                   ) AS "incident!: Json<IncidentDetail>"
                   FROM audit.incident_approvals i JOIN audit.incidents a USING (incident)
                   WHERE i.incident = $1"#,
                name
            );
            incident.fetch_optional(c).await.map(|found| found.map(|Json(incident)| incident))
        })
    }

    /// What may still get through of an incident, and counts by kind. Reads every target of it once.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn exposure(&self, name: &str) -> Result<Exposure, StoreError> {
        const WHAT: &str = "look for what an incident leaves open";
        let mut connection = self.patient(WHAT).await?;
        let work = sqlx::query_scalar!(
            r#"WITH event AS MATERIALIZED (
                   SELECT event_row, denied_at IS NOT NULL AS denied, denied_at
                   FROM audit.events WHERE incident = $1
               ), part AS MATERIALIZED (
                   SELECT t.kind, t.state, e.denied, count(*) AS targets,
                          count(*) FILTER (WHERE t.deny_until > now() AND t.state <> 'expired') AS live,
                          max(t.deny_until) FILTER (WHERE t.state <> 'expired') AS until
                   FROM event e JOIN audit.targets t USING (event_row)
                   WHERE t.incident = $1
                   GROUP BY t.kind, t.state, e.denied
               ), verifier AS MATERIALIZED (
                   -- Behind: not up to date, or nothing applied that was made after the last denial.
                   SELECT v.service || '/' || v.instance AS name,
                          NOT (v.up_to_date AND (last.denied_at IS NULL
                               OR coalesce(v.applied_time >= last.denied_at, false))) AS behind
                   FROM audit.verifiers v CROSS JOIN (SELECT max(denied_at) AS denied_at FROM event) last
                   WHERE v.live AND v.verified
               ), open AS (
                   SELECT state, sum(live)::bigint AS targets, max(until) AS until
                   FROM part WHERE denied AND live > 0 AND state <> 'revoked'
                   GROUP BY state
               ), kinds AS (
                   SELECT kind, coalesce(sum(targets) FILTER (WHERE state = 'pending'), 0) AS pending,
                          coalesce(sum(targets) FILTER (WHERE state = 'revoked'), 0) AS revoked,
                          coalesce(sum(targets) FILTER (WHERE state = 'unsupported'), 0) AS unsupported,
                          coalesce(sum(targets) FILTER (WHERE state = 'expired'), 0) AS expired,
                          coalesce(sum(targets) FILTER (WHERE state = 'parked'), 0) AS parked,
                          coalesce(sum(targets) FILTER (WHERE state = 'cancelled'), 0) AS cancelled
                   FROM part GROUP BY kind
               ), mint AS (
                   -- What is no access token gets new ones, for as long as the provider has not ended it.
                   SELECT count(*) AS targets FROM audit.revocations
                   WHERE incident = $1 AND state NOT IN ('revoked', 'expired')
                       AND (target_kind <> 'token' OR token_type_hint IS DISTINCT FROM 'access_token')
               )
               SELECT jsonb_build_object(
                   'kinds', (SELECT coalesce(jsonb_agg(k ORDER BY k.kind), '[]') FROM kinds k),
                   'residual_risk', jsonb_build_object(
                       'undenied', (SELECT coalesce(sum(live), 0) FROM part WHERE NOT denied),
                       'live_verifiers', (SELECT count(*) FROM verifier),
                       'unverified_verifiers', (
                           SELECT count(*) FROM audit.verifiers v WHERE v.live AND NOT v.verified),
                       'verifiers_behind', (
                           SELECT coalesce(jsonb_agg(name ORDER BY name), '[]') FROM verifier WHERE behind),
                       'silent_verifiers', (
                           -- That are not known to have applied the incident's last denial.
                           SELECT coalesce(jsonb_agg(v ORDER BY v.service, v.instance), '[]')
                           FROM audit.silent_verifiers v
                           WHERE coalesce(v.applied_time < (SELECT max(denied_at) FROM event), true)
                               AND EXISTS (SELECT FROM part WHERE live > 0)),
                       'has_verifiers', EXISTS (
                           SELECT FROM audit.verifiers v
                           WHERE v.verified AND v.stale_reason IS DISTINCT FROM 'ended'),
                       'not_revoked', (SELECT coalesce(sum(targets), 0) FROM open),
                       'not_revoked_until', (SELECT max(until) FROM open),
                       'not_revoked_by_state', (
                           SELECT coalesce(jsonb_object_agg(state, targets), '{}') FROM open),
                       'may_mint', (SELECT targets FROM mint))
               ) AS "exposure!: Json<Exposure>""#,
            name
        )
        .fetch_one(&mut *connection);
        work.await.map(|Json(exposure)| exposure).map_err(|e| StoreError::new(WHAT, e))
    }

    /// A connection for a question about very many rows, closed afterwards: the limits of a worker's session
    /// are for lookups by index.
    pub(super) async fn patient(&self, what: &'static str) -> Result<PoolConnection<Postgres>, StoreError> {
        let mut connection = self.lease(what).await?;
        connection.close_on_drop();
        let limits = "SET statement_timeout = '60s'; SET work_mem = '64MB'; SET enable_seqscan = on; SET \
            enable_hashjoin = on; SET enable_mergejoin = on";
        sqlx::raw_sql(limits).execute(&mut *connection).await.map_err(|e| StoreError::new(what, e))?;
        Ok(connection)
    }
}
