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

impl Store {
    /// Writes the refusal of one message.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn reject(&self, worker: WorkerNo, rejected: &Rejected<'_>) -> Result<(), StoreError> {
        let Rejected { at, origin, refusal, body_sha256, body_bytes } = rejected;
        within!(self, "record a refusal", |c| {
            sqlx::query!(
                    "INSERT INTO revocation.rejected_events (rejected_at, queue, routing_key, broker_user, code, detail, body_sha256, body_bytes,
                         event_source, event_id, worker_no)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                    at,
                    &*origin.queue,
                    storable(&origin.routing_key),
                    origin.broker_user.as_deref().map(storable),
                    refusal.code.as_str(),
                    storable(&refusal.detail),
                    &body_sha256[..],
                    i64::try_from(*body_bytes).unwrap_or(i64::MAX),
                    refusal.event_source.as_deref().map(storable),
                    refusal.event_id.as_deref().map(storable),
                    worker.0
                )
                .execute(c)
                .await
                .map(drop)
        })
    }
}
