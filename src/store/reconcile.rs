//! The record beside the log of the invalidations. Needs no right but to the schema `audit`.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError};

const WHAT: &str = "compare the log with the record";
/// Events in one page.
const PAGE: i64 = 2000;

/// An event whose denial is on record.
pub struct DeniedEvent {
    /// Its row.
    pub event_row: Uuid,
    /// CloudEvents `source`.
    pub event_source: String,
    /// CloudEvents `id`.
    pub event_id: String,
    /// When it was denied; null: not, or not yet known.
    pub denied_at: Option<OffsetDateTime>,
}

impl Store {
    /// Which of these events have no row, by their places in `ids`; `sources` is as long.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn unrecorded(&self, sources: &[String], ids: &[String]) -> Result<Vec<usize>, StoreError> {
        let places = within!(self, WHAT, |c| {
            sqlx::query_scalar!(
                r#"SELECT w.place AS "place!"
                   FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (source, id, place)
                   WHERE NOT EXISTS (
                       SELECT FROM audit.events e WHERE e.event_source = w.source AND e.event_id = w.id)
                   ORDER BY w.place"#,
                sources,
                ids
            )
            .fetch_all(c)
            .await
        })?;
        Ok(places.into_iter().filter_map(|place| usize::try_from(place - 1).ok()).collect())
    }

    /// The events on record behind a row, in the order of their receipt; none: that was all.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn events_after(&self, row: Uuid) -> Result<Vec<DeniedEvent>, StoreError> {
        within!(self, WHAT, |c| {
            sqlx::query_as!(
                DeniedEvent,
                r#"SELECT event_row AS "event_row!", event_source AS "event_source!",
                          event_id AS "event_id!", denied_at
                   FROM audit.events WHERE event_row > $1 ORDER BY event_row LIMIT $2"#,
                row,
                PAGE
            )
            .fetch_all(c)
            .await
        })
    }
}
