//! Claiming: retries, parked targets that are due again, and work that others left behind.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError, WorkerNo};
use crate::outcome::EXPIRY_LEEWAY;

/// How much a worker can take on for one provider and lane, and in the mass lane for one incident.
pub struct Want<'a> {
    /// Provider whose breaker lets calls through.
    pub provider: &'a str,
    /// `interactive` or `mass`.
    pub lane: &'static str,
    /// Of which kinds.
    pub kinds: Kinds,
    /// The incident; empty for work without one.
    pub incident: &'a str,
    /// At most this many targets.
    pub limit: i64,
    /// Of those, at most this many that still wait for their incident's turn.
    pub max_waiting: i64,
    /// Whether there is reason to think that there are any.
    pub is_likely: bool,
}

/// Kinds of targets, by what their calls authenticate with: tokens as the client, the wider ones often as an
/// administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds {
    /// Tokens.
    pub tokens: bool,
    /// Sessions, subjects, clients and issuers.
    pub wide: bool,
}

/// A target, leased to this worker.
pub struct Claimed {
    /// The event's row.
    pub event: Uuid,
    /// Place in the event.
    pub ordinal: i16,
    /// Number of the attempt that is now on record.
    pub attempt: i32,
    /// Failures so far.
    pub failures: i32,
    /// The provider.
    pub provider: String,
    /// The kind's name.
    pub kind: String,
    /// `access_token` or `refresh_token`.
    pub hint: Option<String>,
    /// SHA-256 of the token.
    pub sha256: Option<Vec<u8>>,
    /// SHA-256 of its signed parts.
    pub signed: Option<Vec<u8>>,
    /// JWT id.
    pub jti: Option<String>,
    /// The issuer beside it, as [`jti_iss`](super::jti_iss) reads it.
    pub jti_iss: Option<String>,
    /// Subject.
    pub sub: Option<String>,
    /// Session.
    pub sid: Option<String>,
    /// Client.
    pub client_id: Option<String>,
    /// Issuer.
    pub iss: Option<String>,
    /// The token's end.
    pub token_expires_at: Option<OffsetDateTime>,
    /// The denial's end.
    pub deny_until: OffsetDateTime,
    /// The budget's end.
    pub give_up_at: OffsetDateTime,
    /// The sealed token.
    pub sealed: Option<Vec<u8>>,
    /// Its key.
    pub sealed_key: Option<String>,
    /// The event's lane.
    pub lane: String,
    /// CloudEvents `source`.
    pub event_source: String,
    /// CloudEvents `id`.
    pub event_id: String,
    /// Incident.
    pub incident: Option<String>,
    /// Cutoff.
    pub not_before: OffsetDateTime,
    /// Receipt.
    pub received_at: OffsetDateTime,
    /// Whether the broker is known to have confirmed the event's denial.
    pub denied: bool,
    /// Whose it is, as [`Party`](crate::event::Party) reads it.
    pub party: i16,
    /// Which of the wants it is for, from 1.
    pub want: i64,
    /// How many its party could have had of that; `None` where it had waited for its incident's turn.
    pub quota: Option<i64>,
}

impl Store {
    /// Leases due targets to this worker, of each broker user as many as of the others and of those the
    /// oldest first, then those whose turn comes in an incident that runs; wide ones before tokens. Several
    /// workers never get the same one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn claim(&self, worker: WorkerNo, wants: &[Want<'_>]) -> Result<Vec<Claimed>, StoreError> {
        let providers: Vec<_> = wants.iter().map(|want| want.provider).collect();
        let lanes: Vec<_> = wants.iter().map(|want| want.lane).collect();
        let incidents: Vec<_> = wants.iter().map(|want| want.incident).collect();
        let limits: Vec<_> = wants.iter().map(|want| want.limit).collect();
        let max_waiting: Vec<_> = wants.iter().map(|want| want.max_waiting).collect();
        let tokens: Vec<_> = wants.iter().map(|want| want.kinds.tokens).collect();
        let wide: Vec<_> = wants.iter().map(|want| want.kinds.wide).collect();
        within!(self, "claim due targets", |c| {
            sqlx::query_as!(
                Claimed,
                r#"WITH want AS MATERIALIZED (
                    SELECT want.* FROM unnest(
                        $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[],
                        $8::boolean[])
                        WITH ORDINALITY AS want (provider, lane, incident, n, max_waiting, tokens, wide, no)
                    WHERE EXISTS (
                            SELECT FROM revocation.workers
                            WHERE worker_no = $1 AND ended_at IS NULL AND lease_until > now())
                        AND (want.incident = '' OR EXISTS (
                            SELECT FROM revocation.incidents i
                            WHERE i.incident = want.incident AND i.state = 'running'))
                ), kind AS MATERIALIZED (
                    -- Which kinds each want takes, wide ones before tokens: whoever draws on this with a LIMIT
                    -- takes a token only where there are not enough wide ones.
                    SELECT want.no, kind.wide
                    FROM want CROSS JOIN (VALUES (true), (false)) AS kind (wide)
                    WHERE CASE WHEN kind.wide THEN want.wide ELSE want.tokens END
                    ORDER BY want.no, kind.wide DESC
                ), share AS MATERIALIZED (
                    -- Whoever has something due, found by steps from one party to the next; where they are more
                    -- than there is room for, as luck has it.
                    SELECT want.*, due.party, want.n / count(*) OVER (PARTITION BY want.no) AS quota
                    FROM want CROSS JOIN LATERAL (
                        SELECT first.party FROM kind CROSS JOIN LATERAL (
                            WITH RECURSIVE step AS (
                                -- Before the first party.
                                SELECT -32769 AS party, 'infinity'::timestamptz AS due_at
                                UNION ALL
                                SELECT next.party::integer, next.due_at FROM step CROSS JOIN LATERAL (
                                    SELECT t.party, t.due_at FROM revocation.targets t
                                    WHERE t.provider = want.provider AND t.lane = want.lane
                                        AND t.incident = want.incident AND t.wide = kind.wide
                                        AND t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting
                                        AND t.party > step.party
                                    ORDER BY t.party, t.due_at LIMIT 1
                                ) next
                            )
                            SELECT party FROM step WHERE due_at <= now()
                        ) first
                        WHERE kind.no = want.no
                        GROUP BY first.party ORDER BY random() LIMIT want.n
                    ) due
                ), due AS MATERIALIZED (
                    SELECT d.*, share.no, share.quota FROM share CROSS JOIN LATERAL (
                        SELECT t.* FROM kind CROSS JOIN LATERAL (
                            SELECT t.event_id, t.ordinal FROM revocation.targets t
                            WHERE t.provider = share.provider AND t.lane = share.lane
                                AND t.incident = share.incident AND t.wide = kind.wide AND t.party = share.party
                                AND t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting
                                AND t.due_at <= now()
                                AND (t.token_expires_at > now() - make_interval(secs => $9)) IS NOT FALSE
                            ORDER BY t.due_at LIMIT share.quota FOR UPDATE SKIP LOCKED
                        ) t
                        WHERE kind.no = share.no LIMIT share.quota
                    ) d
                ), let_in AS MATERIALIZED (
                    -- Whose turn comes in an incident, as far as there is room beside what is due.
                    SELECT d.*, want.no FROM want CROSS JOIN LATERAL (
                        SELECT t.* FROM kind CROSS JOIN LATERAL (
                            SELECT t.event_id, t.ordinal FROM revocation.targets t
                            WHERE t.provider = want.provider AND t.incident = want.incident
                                AND t.wide = kind.wide AND t.waiting
                                AND (t.token_expires_at > now() - make_interval(secs => $9)) IS NOT FALSE
                            ORDER BY t.event_id, (t.token_type_hint IS DISTINCT FROM 'refresh_token'), t.ordinal
                            LIMIT want.max_waiting FOR UPDATE SKIP LOCKED
                        ) t
                        WHERE kind.no = want.no
                        LIMIT least(want.max_waiting, want.n - (SELECT count(*) FROM due WHERE due.no = want.no))
                    ) d
                    WHERE want.max_waiting > 0
                ), mine AS (
                    SELECT event_id, ordinal, no, quota FROM due
                    UNION ALL SELECT event_id, ordinal, no, NULL FROM let_in
                )
                UPDATE revocation.targets t
                SET state = 'pending', lease_owner = $1, leased_at = now(), last_worker = $1,
                    attempts = t.attempts + 1, waiting = false
                FROM mine JOIN revocation.events e ON e.event_id = mine.event_id
                WHERE t.event_id = mine.event_id AND t.ordinal = mine.ordinal
                RETURNING t.event_id AS event, t.ordinal, t.attempts AS attempt, t.failures, t.provider, t.kind,
                    t.token_type_hint AS hint, t.token_sha256 AS sha256, t.signed_sha256 AS signed, t.jti,
                    t.jti_iss, t.sub, t.sid, t.client_id, t.iss, t.token_expires_at, t.deny_until, t.give_up_at,
                    t.sealed, t.sealed_key, t.lane, e.source AS event_source,
                    coalesce(e.real_id, e.id) AS "event_id!", e.incident, e.not_before, e.received_at,
                    e.denied_at IS NOT NULL AS "denied!", t.party, mine.no AS "want!", mine.quota"#,
                worker.0,
                &providers as &[&str],
                &lanes as &[&str],
                &incidents as &[&str],
                &limits,
                &max_waiting,
                &tokens,
                &wide,
                EXPIRY_LEEWAY.as_secs_f64()
            )
            .fetch_all(c)
            .await
        })
    }

    /// Most targets that one [`Store::expire`] ends.
    pub const EXPIRED_AT_ONCE: u64 = 1000;

    /// Ends targets whose token died of age before the provider confirmed. Returns how many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn expire(&self) -> Result<u64, StoreError> {
        within!(self, "expire targets", |c| {
            sqlx::query!(
                "UPDATE revocation.targets t
                 SET state = 'expired', proof = NULL, finished_at = now(), due_at = NULL, sealed = NULL,
                     sealed_key = NULL, waiting = false
                 FROM (
                     SELECT event_id, ordinal FROM revocation.targets
                     WHERE lease_owner IS NULL AND finished_at IS NULL
                         AND token_expires_at <= now() - make_interval(secs => $1)
                     ORDER BY token_expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
                 ) old
                 WHERE t.event_id = old.event_id AND t.ordinal = old.ordinal",
                EXPIRY_LEEWAY.as_secs_f64(),
                Self::EXPIRED_AT_ONCE.cast_signed()
            )
            .execute(c)
            .await
            .map(|done| done.rows_affected())
        })
    }
}
