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
    /// Writes the refusals of messages, all of them or none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn reject(&self, worker: WorkerNo, rejected: &[Rejected<'_>]) -> Result<(), StoreError> {
        let r = Columns::collect(rejected);
        within!(self, "record refusals", |c| {
            sqlx::query!(
                "INSERT INTO revocation.rejected_events (rejected_at, queue, routing_key, broker_user, code, \
                    detail, body_sha256, body_bytes,
                     event_source, event_id, worker_no)
                 SELECT n.*, $11 FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], \
                 $5::text[], $6::text[], $7::bytea[], $8::bigint[],
                     $9::text[], $10::text[]) AS n",
                &r.at,
                &r.queue as &[&str],
                &r.routing_key,
                &r.broker_user as &[Option<String>],
                &r.code as &[&str],
                &r.detail,
                &r.body_sha256 as &[&[u8]],
                &r.body_bytes,
                &r.event_source as &[Option<String>],
                &r.event_id as &[Option<String>],
                worker.0
            )
            .execute(c)
            .await
            .map(drop)
        })
    }
}

#[derive(Default)]
struct Columns<'a> {
    at: Vec<OffsetDateTime>,
    queue: Vec<&'a str>,
    routing_key: Vec<String>,
    broker_user: Vec<Option<String>>,
    code: Vec<&'static str>,
    detail: Vec<String>,
    body_sha256: Vec<&'a [u8]>,
    body_bytes: Vec<i64>,
    event_source: Vec<Option<String>>,
    event_id: Vec<Option<String>>,
}

impl<'a> Columns<'a> {
    fn collect(rejected: &'a [Rejected<'a>]) -> Self {
        let mut columns = Self::default();
        for Rejected { at, origin, refusal, body_sha256, body_bytes } in rejected {
            columns.at.push(*at);
            columns.queue.push(&origin.queue);
            columns.routing_key.push(storable(&origin.routing_key));
            columns.broker_user.push(origin.broker_user.as_deref().map(storable));
            columns.code.push(refusal.code.as_str());
            columns.detail.push(storable(&refusal.detail));
            columns.body_sha256.push(body_sha256);
            columns.body_bytes.push(i64::try_from(*body_bytes).unwrap_or(i64::MAX));
            columns.event_source.push(refusal.event_source.as_deref().map(storable));
            columns.event_id.push(refusal.event_id.as_deref().map(storable));
        }
        columns
    }
}
