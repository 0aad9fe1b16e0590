//! Claiming: retries, parked targets that are due again, and work that others left behind.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError, WorkerNo};
use crate::outcome::EXPIRY_LEEWAY;
use crate::target::TargetId;

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
    /// The event's trace, as [`Trace`](crate::trace::Trace) reads it.
    pub trace: Option<Vec<u8>>,
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
            sqlx::query_file_as!(
                Claimed,
                "src/store/claim.sql",
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

    /// Targets that this worker leased when it accepted them, whose first attempt is on record. Those that
    /// are not its any more are left out. Their denials are on their way, by this worker.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn read_back(&self, worker: WorkerNo, ids: &[TargetId]) -> Result<Vec<Claimed>, StoreError> {
        let events: Vec<_> = ids.iter().map(|id| id.event).collect();
        let ordinals: Vec<_> = ids.iter().map(|id| id.ordinal).collect();
        within!(self, "read targets back", |c| {
            sqlx::query_file_as!(Claimed, "src/store/read_back.sql", worker.0, &events, &ordinals)
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
