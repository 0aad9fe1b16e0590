//! A record of long ago, as workers left it.

use crate::harness::Stage;

/// The open target.
pub(super) const OPEN: &str =
    "SELECT revocation_id FROM audit.revocations WHERE state = 'parked' AND incident IS NULL";

/// Beside the events of two months: workers that ended before and after the first of them, a refusal and an
/// order of each month, and of now; targets that are open, revoked unbeknown to verifiers, and young.
const BESIDE: &str = "
    INSERT INTO revocation.workers (instance, version, lease_until, ended_at) VALUES
        ('gone', '1', '2024-02-20Z', '2024-02-20Z'), ('idle', '1', '2024-01-01Z', '2024-01-01T00:00:01Z');
    INSERT INTO revocation.provider_status (worker_no, provider, breaker, calls_5m, failures_5m)
        SELECT worker_no, 'main', 'closed', 0, 0 FROM revocation.workers;
    INSERT INTO revocation.rejected_events (rejected_at, queue, routing_key, code, detail, body_sha256,
        body_bytes, worker_no)
        SELECT at, 'q', 'k', 'not_json', 'd', sha256('x'), 1, 1
        FROM unnest(ARRAY['2024-01-20Z', '2024-02-20Z', now()]::timestamptz[]) at;
    INSERT INTO revocation.operations (at, actor, action)
        SELECT at, 'somebody', 'retry' FROM unnest(ARRAY['2024-01-21Z', now()]::timestamptz[]) at;
    UPDATE revocation.targets SET confirmed_at = NULL
        WHERE event_id = (SELECT event_id FROM revocation.events WHERE id = '2024-02-03');
    INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at, duration_ms,
        outcome)
        SELECT event_id, 0, 1, true, 1, received_at, 9, 'transient' FROM revocation.events
        WHERE id IN ('2024-01-04', '2024-02-04');";

/// So many events of a month, an hour apart from its second day on, each with a target that is revoked and an
/// attempt. Their ids are the month and a number; those of an incident are of a mass revocation.
pub(super) fn month(month: &str, events: u32, incident: Option<&str>) -> String {
    let (event_type, lane, incident) = match incident {
        Some(incident) => ("auth.mass_revocation.v1", "mass", format!("'{incident}'")),
        None => ("auth.logout.v1", "interactive", "NULL".to_owned()),
    };
    format!(
        "CREATE TEMPORARY TABLE old AS
             SELECT overlay(
                     audit.first_event_row(at)::text PLACING '7' || lpad(to_hex(n % 4096), 3, '0') || '-8'
                     FROM 15)::uuid AS row, n, at
             FROM generate_series(1, {events}) n
             CROSS JOIN LATERAL (
                 SELECT '{month}-02Z'::timestamptz + n * interval '25 days' / {events} AS at) m;
         INSERT INTO revocation.events (event_id, source, id, event_type, lane, incident, received_at,
             not_before, body_sha256, accepted_by, targets)
             SELECT row, '/apps/old', '{month}-' || to_char(n, 'FM999900'), '{event_type}', '{lane}',
                 {incident}, at, at, sha256('x'), 1, 1 FROM old;
         INSERT INTO revocation.targets (event_id, ordinal, provider, lane, kind, token_sha256, deny_until,
             give_up_at, state, proof, attempts, revoked_at, confirmed_at, finished_at, incident)
             SELECT row, 0, 'main', '{lane}', 'token', sha256(row::text::bytea), at, at, 'revoked',
                 'accepted', 1, at, at, at, coalesce({incident}, '') FROM old;
         INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at,
             duration_ms, outcome)
             SELECT row, 0, 2, true, 1, at, 9, 'revoked' FROM old;
         UPDATE revocation.events SET denied_at = received_at FROM old WHERE event_id = row;
         -- Written in its time, not late.
         SET LOCAL revocation.retention = 'on';
         DELETE FROM revocation.late_rows;
         SET LOCAL revocation.retention = '';
         DROP TABLE old;"
    )
}

impl Stage {
    /// The record of two months of 2024, and one young event.
    pub(super) async fn grown_old(&self) {
        let young = "UPDATE revocation.events SET received_at = now() WHERE id = '2024-02-30';";
        let parked = "SET LOCAL session_replication_role = replica;
            DELETE FROM revocation.late_rows;
            DELETE FROM revocation.attempts WHERE event_id IN (
                SELECT event_id FROM revocation.events WHERE id = '2024-01-07');
            UPDATE revocation.targets SET state = 'parked', proof = NULL, revoked_at = NULL,
                confirmed_at = NULL, finished_at = NULL, due_at = now() + interval '1 day',
                sealed = 'x', sealed_key = 'k'
                WHERE event_id IN (SELECT event_id FROM revocation.events WHERE id = '2024-01-07');";
        let months = [("2024-01", 30), ("2024-02", 30)].map(|(name, events)| month(name, events, None));
        self.execute(&format!("{} {BESIDE} {parked} {young}", months.concat())).await;
    }
}
