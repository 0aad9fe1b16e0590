//! What a purge leaves of checkpoints: one that stands for all whose rows may be gone.

use revocation_evidence::{Hash, SigningKey};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{parts, signed};
use crate::checkpoint::{Base, Document, FORMAT};

/// The last checkpoint of which a purge may take rows.
pub(in crate::store) struct Reach {
    /// Its number.
    pub(in crate::store) number: i64,
    /// Whether rows may have gone already: a purge has not left its base.
    pub(in crate::store) is_begun: bool,
}

/// `None`: no checkpoint is so old.
pub(in crate::store) async fn reach(
    c: &mut PgConnection,
    ends_before: OffsetDateTime,
) -> Result<Option<Reach>, sqlx::Error> {
    let found = sqlx::query!(
        r#"SELECT max(c.checkpoint_no) FILTER (WHERE c.until_at <= $1 AND c.signature IS NOT NULL) AS number,
               EXISTS (
                   SELECT FROM audit.purges p
                   WHERE p.ended_at IS NULL OR p.began_at > (
                       SELECT made_at FROM audit.checkpoints ORDER BY checkpoint_no LIMIT 1)
               ) AS "is_begun!"
           FROM audit.checkpoints c"#,
        ends_before
    );
    let found = found.fetch_one(c).await?;
    Ok(found.number.map(|number| Reach { number, is_begun: found.is_begun }))
}

/// Puts one in the place of all up to this number, of the rows that are there now. Within a transaction.
pub(in crate::store) async fn leave(
    c: &mut PgConnection,
    number: i64,
    was_intact: bool,
    key: &SigningKey,
    by: &str,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("SET LOCAL lock_timeout = '60s'").execute(&mut *c).await?;
    // A worker that makes a checkpoint now is waited for; it goes on behind this one.
    let found = sqlx::query!(
        r#"SELECT b.document AS "document!", f.document AS "first!",
               (SELECT coalesce(max(purge_no), 0) FROM audit.purges) AS "purge!",
               pg_advisory_xact_lock(hashtext('revocation.checkpoints'))::text AS locked
           FROM audit.checkpoints b
           CROSS JOIN (SELECT document FROM audit.checkpoints ORDER BY checkpoint_no LIMIT 1) f
           WHERE b.checkpoint_no = $1"#,
        number
    );
    let found = found.fetch_one(&mut *c).await?;
    let old = Document::parse(&found.document).map_err(sqlx::Error::Protocol)?;
    let replaces = old.base.map_or_else(|| Hash::of(&[found.document.as_bytes()]), |base| base.replaces);
    let mut document = Document {
        format: FORMAT.to_owned(),
        checkpoint: number,
        by: Some(by.to_owned()),
        after: None,
        until: old.until,
        noted_after: None,
        noted_until: old.noted_until,
        follows: Some(Hash::of(&[found.first.as_bytes()])),
        parts: Vec::new(),
        base: Some(Base { replaces, purge: found.purge, was_intact }),
    };
    document.parts = parts(c, &document).await?;
    let base = signed(&document, key, false);
    let left = sqlx::query!(
        "SELECT revocation.leave_base($1, $2, $3, $4, $5, $6, $7)::text AS left",
        number,
        document.until,
        base.document,
        base.sha256.as_ref(),
        base.key_id,
        base.public_key,
        base.signature
    );
    left.fetch_one(c).await.map(drop)
}
