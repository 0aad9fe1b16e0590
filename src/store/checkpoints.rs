//! Checkpoints: making one of what has come on record since the last (migration 0040).
//!
//! A row belongs to the checkpoint of its own time, so that no row says which. It must be there when that is
//! made: at a look, the moment is taken, then the transactions that are writing; once these have ended, all
//! that was written before the moment can be seen. What is written later than [`LATE`] after its own time is
//! noted as late by a trigger, which runs while its transaction is writing. So nothing is missed up to a
//! [`LATE`] before the look, however long a transaction is held open: it holds up the checkpoint.

pub(super) mod base;
mod rows;
mod verify;

use std::time::Duration;

use revocation_evidence::{Hash, SigningKey};
use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;

use super::{Store, StoreError};
use crate::checkpoint::{Document, FORMAT, PARTS, Part};

pub use rows::QUERIES;
pub use verify::{Late, Page, Verification};

const WHAT: &str = "make a checkpoint of the record";

/// As in migration 0040: later than this after its own time, a row counts as late.
const LATE: Duration = Duration::from_secs(10);

/// Longest time that one checkpoint covers, so that a backlog of them is read in parts.
const LONGEST: Duration = Duration::from_secs(600);

/// The moment of a look, and who was writing then.
pub struct Look {
    /// The moment, by the database's clock.
    pub at: OffsetDateTime,
    /// The transactions that were writing, as `pg_locks` names them.
    pub writers: Vec<String>,
}

/// A checkpoint that is on record.
pub struct Checkpoint {
    /// Its number.
    pub number: i64,
    /// What was signed.
    pub document: String,
    /// SHA-256 of it.
    pub sha256: Hash,
    /// How many rows belong to it.
    pub rows: u64,
    /// The key's id.
    pub key_id: String,
    /// The key.
    pub public_key: String,
    /// The signature.
    pub signature: Vec<u8>,
    /// Whether more is to be covered at once.
    pub has_more: bool,
}

impl Store {
    /// Looks who is writing. What they write can be covered once they have ended.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn look_at_writers(&self) -> Result<Look, StoreError> {
        within!(self, WHAT, |c| {
            // In this order: who is not writing after that moment had ended, or begins later.
            let at = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "at!""#).fetch_one(&mut *c).await?;
            Ok(Look { at, writers: writers(c).await?.into_iter().map(|(writer, _)| writer).collect() })
        })
    }

    /// Those who were writing at the look and have not ended, by the number of their server process.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn still_writing(&self, look: &Look) -> Result<Vec<i32>, StoreError> {
        if look.writers.is_empty() {
            return Ok(Vec::new());
        }
        let now = within!(self, WHAT, |c| writers(c).await)?;
        Ok(now.into_iter().filter(|(writer, _)| look.writers.contains(writer)).map(|(_, pid)| pid).collect())
    }

    /// The last checkpoint; `None`: none was made yet.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn last_checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let row = within!(self, WHAT, |c| {
            sqlx::query!(
                r#"SELECT checkpoint_no, document, sha256, key_id AS "key_id!", public_key AS "public_key!",
                       signature AS "signature!"
                   FROM revocation.checkpoints WHERE signature IS NOT NULL
                   ORDER BY checkpoint_no DESC LIMIT 1"#
            )
            .fetch_optional(c)
            .await
        })?;
        Ok(row.map(|row| Checkpoint {
            number: row.checkpoint_no,
            sha256: Hash::of(&[row.document.as_bytes()]),
            rows: Document::parse(&row.document).map_or(0, |document| document.rows()),
            document: row.document,
            key_id: row.key_id,
            public_key: row.public_key,
            signature: row.signature,
            has_more: false,
        }))
    }

    /// Makes a checkpoint of what is to be seen since the last one: of those who write at `look`, all must
    /// have ended. `None`: another one makes it, or nothing new has come and the last is younger than `idle`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn make_checkpoint(
        &self,
        look: &Look,
        key: &SigningKey,
        by: &str,
        idle: Duration,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let mut connection = self.patient(WHAT).await?;
        let made = async {
            // The rows of the last minute: by index.
            sqlx::raw_sql("SET enable_seqscan = off; SET max_parallel_workers_per_gather = 0")
                .execute(&mut *connection)
                .await?;
            let mut transaction = connection.begin().await?;
            let made = make(&mut transaction, look, key, by, idle).await?;
            transaction.commit().await?;
            Ok(made)
        };
        made.await.map_err(|error| StoreError::new(WHAT, error))
    }
}

/// What writes to a table that is covered has a lock on it until its transaction ends.
async fn writers(c: &mut PgConnection) -> Result<Vec<(String, i32)>, sqlx::Error> {
    let found = sqlx::query!(
        r#"SELECT DISTINCT virtualtransaction AS "writer!", coalesce(pid, 0) AS "pid!"
           FROM pg_locks
           WHERE locktype = 'relation' AND granted AND pid IS DISTINCT FROM pg_backend_pid()
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND relation IN ('revocation.attempts'::regclass, 'revocation.targets'::regclass,
                   'revocation.rejected_events'::regclass, 'revocation.operations'::regclass)
               AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                   'AccessExclusiveLock')"#
    );
    Ok(found.fetch_all(c).await?.into_iter().map(|row| (row.writer, row.pid)).collect())
}

async fn make(
    c: &mut PgConnection,
    look: &Look,
    key: &SigningKey,
    by: &str,
    idle: Duration,
) -> Result<Option<Checkpoint>, sqlx::Error> {
    let is_alone = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(hashtext('revocation.checkpoints')) AS "is_alone!""#
    );
    if !is_alone.fetch_one(&mut *c).await? {
        return Ok(None);
    }
    let last = sqlx::query!(
        r#"SELECT document, until_at, made_at > clock_timestamp() - make_interval(secs => $1) AS "is_young!"
           FROM revocation.checkpoints ORDER BY checkpoint_no DESC LIMIT 1"#,
        idle.as_secs_f64()
    );
    let last = last.fetch_one(&mut *c).await?;
    let before = Document::parse(&last.document).map_err(sqlx::Error::Protocol)?;
    let until = (look.at - LATE).min(before.until + LONGEST);
    if until <= before.until {
        return Ok(None);
    }
    let follows = before.base.as_ref().map_or_else(|| Hash::of(&[last.document.as_bytes()]), |b| b.replaces);
    let mut document = Document {
        format: FORMAT.to_owned(),
        checkpoint: before.checkpoint + 1,
        by: Some(by.to_owned()),
        after: Some(before.until),
        until,
        noted_after: Some(before.noted_until),
        noted_until: (until + LATE).min(look.at),
        follows: Some(follows),
        parts: Vec::new(),
        base: None,
    };
    document.parts = parts(c, &document).await?;
    let has_more = until < look.at - LATE;
    if document.parts.is_empty() && last.is_young && !has_more {
        return Ok(None);
    }
    let checkpoint = signed(&document, key, has_more);
    sqlx::query!(
        "INSERT INTO revocation.checkpoints (checkpoint_no, after_at, until_at, document, sha256, key_id,
             public_key, signature)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        checkpoint.number,
        document.after,
        document.until,
        checkpoint.document,
        checkpoint.sha256.as_ref(),
        checkpoint.key_id,
        checkpoint.public_key,
        checkpoint.signature
    )
    .execute(c)
    .await?;
    Ok(Some(checkpoint))
}

/// The parts of what a document covers that are not empty.
async fn parts(c: &mut PgConnection, document: &Document) -> Result<Vec<Part>, sqlx::Error> {
    let mut parts = Vec::new();
    for (part, (table, late)) in PARTS.into_iter().enumerate() {
        let (rows, sha256) = rows::of(c, part, std::slice::from_ref(document)).await?.remove(0);
        if rows > 0 {
            parts.push(Part { table: table.to_owned(), late, rows, sha256 });
        }
    }
    Ok(parts)
}

fn signed(document: &Document, key: &SigningKey, has_more: bool) -> Checkpoint {
    let (text, signer) = (document.render(), key.signer());
    Checkpoint {
        number: document.checkpoint,
        sha256: Hash::of(&[text.as_bytes()]),
        rows: document.rows(),
        key_id: signer.key_id,
        public_key: signer.public_key.to_string(),
        signature: key.sign(text.as_bytes()),
        document: text,
        has_more,
    }
}
