//! Incidents put on record by hand, as workers leave them.

use revocation_worker::config::{DatabaseConfig, Secret};
use revocation_worker::store::Store;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use crate::harness::Stage;
use crate::program::{Ran, command, run};

/// What operators ordered.
pub(crate) const ORDERS: &str = "audit.operations o WHERE action NOT IN ('open', 'finish', 'people')";
/// What a change of targets sets.
pub(crate) const HOT: &str = "waiting = false";
pub(crate) const HELD: &str = "waiting = false, lease_owner = 1, leased_at = now(), attempts = attempts + 1";
pub(crate) const PARKED: &str = "waiting = false, state = 'parked', due_at = now() + interval '1 day', \
    lease_owner = NULL, leased_at = NULL";
pub(crate) const REVOKED: &str =
    "waiting = false, state = 'revoked', proof = 'accepted', revoked_at = now(), finished_at = now(), due_at \
        = NULL,
    sealed = NULL, sealed_key = NULL, lease_owner = NULL, leased_at = NULL";
pub(crate) const UNSUPPORTED: &str = "waiting = false, state = 'unsupported', finished_at = now(), due_at = \
    NULL, sealed = NULL, sealed_key = NULL, lease_owner = NULL, leased_at = NULL";

impl Stage {
    pub(crate) async fn execute(&self, statement: &str) -> u64 {
        self.db
            .execute(AssertSqlSafe(statement))
            .await
            .unwrap_or_else(|e| panic!("{statement}: {e}"))
            .rows_affected()
    }

    /// Alice's, over the broker user `soc`, in this state; the fuse is at 10 targets.
    pub(crate) async fn incident(&self, name: &str, state: &str) {
        let cancelled = if state == "cancelled" { "'alice', 'a mistake'" } else { "NULL, NULL" };
        self.execute(&format!(
            "INSERT INTO revocation.incidents (incident, state, reason, opened_by, opened_via, \
                approval_above, cancelled_by, cancel_reason)
             VALUES ('{name}', '{state}', 'account_takeover', 'Alice', 'soc', 10, {cancelled})"
        ))
        .await;
    }

    /// An event of so many tokens that wait in the incident.
    pub(crate) async fn event(&self, incident: &str, tokens: u32) -> Uuid {
        let row = Uuid::now_v7();
        self.execute(&format!(
            "INSERT INTO revocation.events (event_id, source, id, event_type, lane, incident, received_at, \
                not_before, body_sha256, accepted_by, targets, broker_user)
             VALUES ('{row}', '/soc', '{row}', 'auth.mass_revocation.v1', 'mass', '{incident}', now(), \
             now(), sha256('x'), 1, {tokens}, 'soc')"
        ))
        .await;
        self.execute(&format!(
            "INSERT INTO revocation.targets (event_id, ordinal, provider, lane, kind, token_type_hint, \
                token_sha256, deny_until, give_up_at, state,
                 due_at, sealed, sealed_key, incident, waiting)
             SELECT '{row}', n, 'main', 'mass', 'token', 'access_token', sha256(n::text::bytea), '2100-01-02 \
             03:04:05Z', now() + interval '1 day', 'pending',
                 now(), 'sealed', 'key', '{incident}', true FROM generate_series(0, {tokens} - 1) n"
        ))
        .await;
        row
    }

    /// Changes the targets of an event that have these places.
    pub(crate) async fn change(&self, event: Uuid, places: std::ops::Range<u32>, set: &str) {
        let (from, to) = (places.start, places.end);
        let changed = self
            .execute(&format!(
                "UPDATE revocation.targets SET {set} WHERE event_id = '{event}' AND ordinal >= \
                {from} AND ordinal < {to}"
            ))
            .await;
        assert_eq!(changed, u64::from(to - from), "{set}");
    }

    /// The event is denied.
    pub(crate) async fn deny(&self, event: Uuid) {
        self.execute(&format!(
            "UPDATE revocation.events SET denied_at = now(), deny_at = NULL WHERE event_id = '{event}'"
        ))
        .await;
    }

    /// Its denial waits for approval.
    pub(crate) async fn hold(&self, event: Uuid) {
        self.execute(&format!("UPDATE revocation.events SET deny_at = now() WHERE event_id = '{event}'"))
            .await;
    }

    /// A live verifier that has applied everything made up to `applied`, an SQL expression.
    pub(crate) async fn reported(&self, instance: &str, applied: &str, is_stale: bool) {
        self.execute(&format!(
            "INSERT INTO revocation.verifier_reports (service, instance, broker_user, verified, reported_at, \
                applied_time, entries, stale)
             VALUES ('shop-api', '{instance}', 'shop', true, now(), {applied}, 7, {is_stale})"
        ))
        .await;
    }

    /// What a worker does with the same database.
    pub(crate) fn store(&self) -> Store {
        Store::new(&DatabaseConfig { url: Secret::new(self.database_url.clone()), max_connections: 4 })
            .expect("a store")
    }

    /// A member of an incident's row, as text.
    pub(crate) async fn of(&self, incident: &str, column: &str) -> Option<String> {
        self.text(&format!("SELECT {column}::text FROM revocation.incidents WHERE incident = '{incident}'"))
            .await
    }

    /// The operations on record of an incident but for its opening and its end, oldest first.
    pub(crate) async fn operations(&self, incident: &str) -> Vec<Value> {
        self.rows(&format!("SELECT to_jsonb(o) FROM {ORDERS} AND incident = '{incident}' ORDER BY at")).await
    }

    /// Runs `incident …` as Bob.
    pub(crate) fn steer(&self, arguments: &[&str]) -> Ran {
        run(command(self).env("USER", "bob"), &[&["incident"], arguments].concat())
    }

    /// The same; it must succeed.
    #[track_caller]
    pub(crate) fn steered(&self, arguments: &[&str]) -> String {
        let ran = self.steer(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.stdout
    }

    /// The same; it must fail. Returns the sentence.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let ran = self.steer(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{arguments:?}");
        ran.stderr.trim_start_matches("revocation-worker: ").trim_end().to_owned()
    }
}
