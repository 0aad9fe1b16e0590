//! How everything stands, and one event's story: typed rows of the audit views, for the command `status`.
//! Times are as Postgres writes them in JSON. What a view has beyond the named members passes through.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::Connection;
use sqlx::types::Json;

use super::ailing::{self, Crowding, FailingTargets, GivenUpTargets, ProviderRow};
use super::incidents::Incident;
use super::verifiers::{Unapplied, VerifierRow, unapplied};
use super::writes::RefusedWrites;
use super::{Store, StoreError};

/// How everything stands.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// Those that are not finished.
    pub incidents: Vec<Incident>,
    /// Open targets.
    pub backlog: Vec<BacklogRow>,
    /// What the live workers see of each provider.
    pub providers: Vec<ProviderRow>,
    /// Processes that have not ended.
    pub workers: Vec<WorkerRow>,
    /// Processes that ended without a word within ten minutes, and whose work others have taken over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_workers: Vec<LostWorker>,
    /// What a worker saw in `revocation.dead`; nothing, where none has looked.
    pub dead_letters: Vec<DeadLetters>,
    /// Verifiers that were seen within a day.
    pub verifiers: Vec<VerifierRow>,
    /// Incidents that were cancelled within a day before all of their targets were denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undenied: Vec<Undenied>,
    /// What was given up and is alive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<GivenUpTargets>,
    /// What fails again and again and is tried once more; of a session with a worker's rights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<FailingTargets>,
    /// Running incidents at providers that are left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crowding: Vec<Crowding>,
    /// What not every verifier is known to refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unapplied: Option<Unapplied>,
    /// Postgres takes no writes: what is said of workers, providers and verifiers is from before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuses_writes: Option<RefusedWrites>,
}

/// A row of `audit.backlog`: open targets of one provider, lane and state.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct BacklogRow {
    pub provider: String,
    pub lane: String,
    pub state: String,
    pub targets: u64,
    pub oldest_received_at: Option<String>,
    pub next_attempt_at: Option<String>,
    /// Seconds since the first was due of those that nothing holds back.
    pub overdue_s: Option<i64>,
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

/// A row of `audit.workers`.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct WorkerRow {
    pub instance: String,
    pub version: String,
    pub started_at: String,
    pub last_seen_at: String,
    pub in_flight: u64,
    pub clock_offset_ms: Option<i64>,
    pub lease_until: String,
    /// Its lease has not run out: nobody takes its work over.
    pub live: bool,
    /// Seconds since its last sign of life.
    pub silent_s: i64,
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

/// A row of `audit.lost_workers`.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct LostWorker {
    pub instance: String,
    pub last_seen_at: String,
    pub taken_over_at: String,
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

/// A row of `audit.dead_letters`.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct DeadLetters {
    pub messages: u64,
    pub many_since: Option<String>,
    pub seen_at: String,
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

/// An incident that was cancelled before all of its targets were denied.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of audit.incidents, which says what they are")]
pub struct Undenied {
    pub incident: String,
    /// Targets that verifiers accept.
    pub undenied: u64,
    pub cancelled_by: Option<String>,
    pub cancel_reason: Option<String>,
    pub finished_at: Option<String>,
}

/// One event's story.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventStatus {
    /// `None`: the event is not on record. Of several events under one identity, the one denied last.
    pub propagation: Option<Propagation>,
    /// The event's targets.
    pub revocations: Vec<RevocationRow>,
    /// Verifiers that no longer report and have not signed off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent_verifiers: Vec<VerifierRow>,
}

/// A row of `audit.propagation`.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct Propagation {
    pub denied_at: Option<String>,
    pub applied_by: u64,
    pub live_verifiers: u64,
    pub waiting_for: Vec<String>,
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

/// A row of `audit.revocations`.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct RevocationRow {
    pub revocation_id: String,
    pub provider: String,
    pub target_kind: String,
    pub token_type_hint: Option<String>,
    pub state: String,
    pub proof: Option<String>,
    pub attempts: u64,
    pub next_attempt_at: Option<String>,
    pub last_error: Option<String>,
    pub identity_reused: bool,
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

impl Store {
    /// How everything stands.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn status(&self) -> Result<Status, StoreError> {
        const WHAT: &str = "read the audit views";
        let mut connection = self.patient(WHAT).await?;
        let work = async {
            let mut all = connection.begin().await?;
            let status = read_status(&mut all).await?;
            all.commit().await.map(|()| status)
        };
        let mut status = work.await.map_err(|e| StoreError::new(WHAT, e))?;
        let tried = self.try_write().await.err();
        let reason = tried.as_ref().and_then(StoreError::refused_write).map(str::to_owned);
        status.refuses_writes = reason.map(|reason| RefusedWrites { since: None, reason });
        Ok(status)
    }

    /// One event's story: its row of `audit.propagation`, and its rows of `audit.revocations`; of several
    /// events under one identity, all of them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn event_status(&self, source: &str, id: &str) -> Result<EventStatus, StoreError> {
        within!(self, "read an event's audit rows", |c| {
            let status = sqlx::query_scalar!(
                r#"SELECT jsonb_build_object(
                       'propagation', (
                           SELECT to_jsonb(p) FROM audit.propagation p
                           WHERE (p.event_source, p.event_id) = ($1, $2)
                           ORDER BY p.denied_at DESC NULLS FIRST LIMIT 1),
                       'revocations', (
                           SELECT coalesce(
                               jsonb_agg(r ORDER BY length(r.revocation_id), r.revocation_id), '[]')
                           FROM audit.revocations r WHERE (r.event_source, r.event_id) = ($1, $2)),
                       'silent_verifiers', (
                           SELECT coalesce(jsonb_agg(v ORDER BY v.service, v.instance), '[]')
                           FROM audit.silent_verifiers v)
                   ) AS "status!: Json<EventStatus>""#,
                source,
                id
            );
            status.fetch_one(c).await.map(|Json(status)| status)
        })
    }
}

/// The same within a transaction.
pub(super) async fn read_status(connection: &mut sqlx::PgConnection) -> Result<Status, sqlx::Error> {
    let status = sqlx::query_scalar!(
        r#"WITH incident AS (
               SELECT *, round(extract(epoch FROM now() - opened_at)) AS waits_s
               FROM audit.incidents WHERE finished_at IS NULL
           ), backlog AS (
               SELECT a.*, round(extract(epoch FROM now() - o.since)) AS overdue_s
               FROM audit.backlog a LEFT JOIN audit.overdue o USING (provider, lane, state)
           ), worker AS (
               SELECT *, lease_until > now() AS live,
                      round(extract(epoch FROM now() - last_seen_at)) AS silent_s
               FROM audit.workers
           ), verifier AS (
               SELECT *, round(extract(epoch FROM now() - last_seen_at)) AS silent_s FROM audit.verifiers
           ), undenied AS (
               SELECT incident, targets_received - denied AS undenied, cancelled_by, cancel_reason,
                      finished_at
               FROM audit.incidents
               WHERE state = 'cancelled' AND denied < targets_received
                   AND coalesce(finished_at > now() - interval '1 day', true)
           ), given_up AS (
               SELECT provider, count(*) AS targets, max(deny_until) AS until
               FROM (SELECT provider, deny_until FROM audit.targets
                     WHERE state = 'cancelled' AND deny_until > now() LIMIT 100000) AS alive
               GROUP BY provider
           )
           SELECT jsonb_build_object(
               'incidents', (
                   SELECT coalesce(jsonb_agg(i ORDER BY i.opened_at, i.incident), '[]') FROM incident i),
               'backlog', (
                   SELECT coalesce(jsonb_agg(b ORDER BY b.provider, b.lane, b.state), '[]')
                   FROM backlog b),
               'providers', (
                   SELECT coalesce(jsonb_agg(p ORDER BY p.provider), '[]') FROM audit.providers p),
               'workers', (
                   SELECT coalesce(jsonb_agg(w ORDER BY w.instance, w.started_at), '[]') FROM worker w),
               'lost_workers', (
                   SELECT coalesce(jsonb_agg(l ORDER BY l.taken_over_at DESC, l.instance), '[]')
                   FROM audit.lost_workers l
                   WHERE l.taken_over_at > now() - interval '10 minutes'
                       AND l.instance NOT IN (SELECT instance FROM worker WHERE live)),
               'dead_letters', (SELECT coalesce(jsonb_agg(d), '[]') FROM audit.dead_letters d),
               'verifiers', (
                   SELECT coalesce(jsonb_agg(v ORDER BY v.service, v.instance, v.broker_user), '[]')
                   FROM verifier v),
               'undenied', (
                   SELECT coalesce(jsonb_agg(u ORDER BY u.finished_at, u.incident), '[]')
                   FROM undenied u),
               'given_up', (SELECT coalesce(jsonb_agg(g ORDER BY g.provider), '[]') FROM given_up g)
           ) AS "status!: Json<Status>""#
    )
    .fetch_one(&mut *connection);
    let Json(mut status) = status.await?;
    status.unapplied = unapplied(connection, &status.verifiers).await?;
    (status.failing, status.crowding) = ailing::of(&mut status.providers, connection).await?;
    Ok(status)
}
