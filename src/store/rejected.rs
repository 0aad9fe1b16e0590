//! Refused messages: one append-only row each, never the body.

use time::OffsetDateTime;

use super::{Store, StoreError, WorkerNo};
use crate::event::{Origin, Refusal};

/// A refused message, for the record.
pub struct Rejected<'a> {
    /// When.
    pub at: OffsetDateTime,
    /// Where it came from.
    pub origin: &'a Origin,
    /// Why.
    pub refusal: &'a Refusal,
    /// SHA-256 of the body.
    pub body_sha256: [u8; 32],
    /// Size of the body.
    pub body_bytes: usize,
}

/// NUL and the like cannot be stored as text; a refusal must always be.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// `revocation.new_rejection`.
#[derive(sqlx::Encode)]
struct RejectionRow<'a> {
    rejected_at: OffsetDateTime,
    queue: &'a str,
    routing_key: String,
    broker_user: Option<String>,
    code: &'static str,
    detail: String,
    body_sha256: &'a [u8],
    body_bytes: i64,
    event_source: Option<String>,
    event_id: Option<String>,
}

composite!(RejectionRow<'_>, "revocation.new_rejection");

impl<'a> RejectionRow<'a> {
    fn of(rejected: &'a Rejected<'_>) -> Self {
        let Rejected { at, origin, refusal, body_sha256, body_bytes } = rejected;
        Self {
            rejected_at: *at,
            queue: &origin.queue,
            routing_key: storable(&origin.routing_key),
            broker_user: origin.broker_user.as_deref().map(storable),
            code: refusal.code.as_str(),
            detail: storable(&refusal.detail),
            body_sha256,
            body_bytes: i64::try_from(*body_bytes).unwrap_or(i64::MAX),
            event_source: refusal.event_source.as_deref().map(storable),
            event_id: refusal.event_id.as_deref().map(storable),
        }
    }
}

impl Store {
    /// Writes the refusals of messages, all of them or none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn reject(&self, worker: WorkerNo, rejected: &[Rejected<'_>]) -> Result<(), StoreError> {
        let rows: Vec<_> = rejected.iter().map(RejectionRow::of).collect();
        within!(self, "record refusals", |c| {
            sqlx::query!(
                "INSERT INTO revocation.rejected_events (
                     rejected_at, queue, routing_key, broker_user, code, detail, body_sha256, body_bytes,
                     event_source, event_id, worker_no)
                 SELECT n.*, $2 FROM unnest($1::revocation.new_rejection[]) AS n",
                &rows as _,
                worker.0
            )
            .execute(c)
            .await
            .map(drop)
        })
    }
}
