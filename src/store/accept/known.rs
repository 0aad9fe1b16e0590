//! Looking for an event that could not be inserted as new.

use uuid::Uuid;

use super::{Entered, NewEvent};
use crate::store::{Store, StoreError};

/// An event's row.
struct Found {
    row: Uuid,
    on_record: Uuid,
    identity_reused: bool,
}

impl Store {
    /// Those events that are on record with the same content: that of the same digest, or of the same bytes,
    /// whatever this worker's settings make of them, or whichever release wrote them.
    pub(super) async fn known(&self, events: &[&NewEvent<'_>]) -> Result<Vec<(Uuid, Entered)>, StoreError> {
        let rows: Vec<_> = events.iter().map(|new| new.row).collect();
        let sources: Vec<_> = events.iter().map(|new| &*new.event.source).collect();
        let ids: Vec<_> = events.iter().map(|new| &*new.event.id).collect();
        let keys: Vec<_> = events.iter().map(|new| new.key()).collect();
        let contents: Vec<_> = events.iter().map(|new| &new.content_sha256[..]).collect();
        let bodies: Vec<_> = events.iter().map(|new| &new.body_sha256[..]).collect();
        let found = within!(self, "look up known events", |c| {
            sqlx::query_as!(
                Found,
                r#"SELECT n.row AS "row!", e.event_id AS "on_record!", e.identity_reused AS "identity_reused!"
                   FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bytea[])
                       AS n (row, source, id, key, content, body)
                   CROSS JOIN LATERAL (
                       SELECT event_id, identity_reused FROM revocation.events
                       WHERE source = n.source AND id = n.id
                           AND (content_sha256 = n.content OR body_sha256 = n.body)
                       UNION ALL
                       SELECT event_id, identity_reused FROM revocation.events
                       WHERE source = n.source AND id = n.key
                       UNION ALL
                       SELECT event_id, identity_reused FROM revocation.events
                       WHERE source = n.source AND real_id = n.id AND body_sha256 = n.body AND beside IS NULL
                       LIMIT 1
                   ) e"#,
                &rows,
                &sources as &[&str],
                &ids as &[&str],
                &keys,
                &contents as &[&[u8]],
                &bodies as &[&[u8]]
            )
            .fetch_all(c)
            .await
        })?;
        Ok(found.into_iter().map(|found| (found.row, found.entered())).collect())
    }
}

impl Found {
    fn entered(&self) -> Entered {
        match self.on_record == self.row {
            true => Entered::New { leased: false, identity_reused: self.identity_reused },
            false => Entered::Known(self.on_record),
        }
    }
}
