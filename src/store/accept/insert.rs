//! The statement that inserts.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::columns::Columns;
use crate::store::WorkerNo;

/// An event that was inserted.
pub(in crate::store) struct Inserted {
    pub(in crate::store) row: Uuid,
    /// Whether the leases were granted.
    pub(in crate::store) leased: bool,
}

/// `IN … IS TRUE`: looked up in a hash; a join would compare every target with every event, since sessions do
/// without hash joins (see `SESSION`).
pub(in crate::store) async fn insert(
    connection: &mut PgConnection,
    worker: WorkerNo,
    columns: &Columns<'_>,
) -> Result<Vec<Inserted>, sqlx::Error> {
    let Columns { events: e, targets: t } = columns;
    sqlx::query_as!(
        Inserted,
        r#"WITH me AS (
            SELECT worker_no FROM revocation.workers WHERE worker_no = $1 AND ended_at IS NULL AND lease_until > now()
        ), n AS MATERIALIZED (
            SELECT n.* FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[],
                $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::text[], $15::bytea[], $36::smallint[], $37::boolean[], $38::boolean[],
                $43::text[], $44::bytea[], $45::boolean[], $46::uuid[])
                AS n (event_id, source, id, event_type, lane, reason, actor, incident, incident_targets, occurred_at, received_at, not_before,
                    broker_user, body_sha256, targets, has_cutoff, withheld, real_id, content_sha256, identity_reused, beside)
        ), fresh AS (
            INSERT INTO revocation.events (event_id, source, id, real_id, event_type, lane, reason, actor, incident, incident_targets,
                occurred_at, received_at, not_before, broker_user, body_sha256, content_sha256, targets, has_cutoff, deny_at, accepted_by,
                identity_reused, beside)
            SELECT n.event_id, n.source, n.id, n.real_id, n.event_type, n.lane, n.reason, n.actor, n.incident, n.incident_targets,
                n.occurred_at, n.received_at, n.not_before, n.broker_user, n.body_sha256, n.content_sha256, n.targets, n.has_cutoff,
                CASE WHEN n.withheld THEN now() END, $1, n.identity_reused, n.beside
            FROM n WHERE n.beside IS NULL
            ON CONFLICT (source, id) DO NOTHING
            RETURNING event_id
        ), beside AS (
            INSERT INTO revocation.events (event_id, source, id, real_id, event_type, lane, reason, actor, incident, incident_targets,
                occurred_at, received_at, not_before, broker_user, body_sha256, content_sha256, targets, has_cutoff, deny_at, accepted_by,
                identity_reused, beside)
            SELECT n.event_id, n.source, n.id, n.real_id, n.event_type, n.lane, n.reason, n.actor, n.incident, n.incident_targets,
                n.occurred_at, n.received_at, n.not_before, n.broker_user, n.body_sha256, n.content_sha256, n.targets, n.has_cutoff,
                CASE WHEN n.withheld THEN now() END, $1, n.identity_reused, n.beside
            FROM n WHERE (n.beside IN (SELECT event_id FROM fresh)) IS TRUE
            ON CONFLICT (source, id) DO NOTHING
            RETURNING event_id
        ), inserted AS (
            SELECT event_id FROM fresh UNION ALL SELECT event_id FROM beside
        ), targets AS (
            INSERT INTO revocation.targets (event_id, ordinal, provider, lane, kind, token_type_hint, token_sha256, jti, sub, sid, client_id,
                iss, token_expires_at, deny_until, give_up_at, state, sealed, sealed_key,
                attempts, due_at, lease_owner, leased_at, last_worker, finished_at, incident, waiting, signed_sha256, jti_iss, party)
            SELECT n.event_id, n.ordinal, n.provider, n.lane, n.kind, n.hint, n.sha256, n.jti, n.sub, n.sid, n.client_id,
                n.iss, n.expires_at, n.deny_until, n.give_up_at, n.state, n.sealed, n.sealed_key,
                CASE WHEN me.worker_no IS NULL THEN 0 ELSE 1 END, CASE WHEN n.waiting THEN 'infinity' WHEN n.state = 'pending' AND n.hint IS DISTINCT FROM 'refresh_token' THEN now() + interval '1 millisecond' WHEN n.state = 'pending' THEN now() END,
                me.worker_no, CASE WHEN me.worker_no IS NOT NULL THEN now() END, me.worker_no,
                CASE WHEN n.state <> 'pending' THEN n.received_at END, n.incident, n.waiting, n.signed, n.jti_iss, n.party
            FROM unnest($16::uuid[], $17::smallint[], $18::text[], $19::text[], $20::text[], $21::text[], $22::bytea[], $23::text[],
                $24::text[], $25::text[], $26::text[], $27::text[], $28::timestamptz[], $29::timestamptz[], $30::timestamptz[],
                $31::text[], $32::boolean[], $33::bytea[], $34::text[], $35::timestamptz[], $39::text[], $40::boolean[],
                $41::bytea[], $42::text[], $47::smallint[])
                AS n (event_id, ordinal, provider, lane, kind, hint, sha256, jti, sub, sid, client_id, iss, expires_at, deny_until,
                    give_up_at, state, lease, sealed, sealed_key, received_at, incident, waiting, signed, jti_iss, party)
            LEFT JOIN me ON n.lease
            WHERE (n.event_id IN (SELECT event_id FROM inserted)) IS TRUE
        )
        SELECT event_id AS "row!", EXISTS (SELECT FROM me) AS "leased!" FROM inserted"#,
        worker.0,
        &e.row,
        &e.source as &[&str],
        &e.id as &[&str],
        &e.event_type as &[&str],
        &e.lane as &[&str],
        &e.reason as &[Option<&str>],
        &e.actor as &[Option<&str>],
        &e.incident as &[Option<&str>],
        &e.incident_targets as &[Option<i64>],
        &e.occurred_at as &[Option<OffsetDateTime>],
        &e.received_at,
        &e.not_before,
        &e.broker_user as &[Option<String>],
        &e.body_sha256 as &[&[u8]],
        &t.event,
        &t.ordinal,
        &t.provider as &[&str],
        &t.lane as &[&str],
        &t.kind as &[&str],
        &t.hint as &[Option<&str>],
        &t.sha256 as &[Option<&[u8]>],
        &t.jti as &[Option<&str>],
        &t.sub as &[Option<&str>],
        &t.sid as &[Option<&str>],
        &t.client_id as &[Option<&str>],
        &t.iss as &[Option<&str>],
        &t.expires_at as &[Option<OffsetDateTime>],
        &t.deny_until,
        &t.give_up_at,
        &t.state as &[&str],
        &t.lease,
        &t.sealed as &[Option<&[u8]>],
        &t.sealed_key as &[Option<&str>],
        &t.received_at,
        &e.targets,
        &e.has_cutoff,
        &e.withheld,
        &t.incident as &[&str],
        &t.waiting,
        &t.signed as &[Option<&[u8]>],
        &t.jti_iss as &[Option<&str>],
        &e.real_id as &[Option<&str>],
        &e.content_sha256 as &[&[u8]],
        &e.identity_reused,
        &e.beside as &[Option<Uuid>],
        &t.party,
    )
    .fetch_all(connection)
    .await
}
