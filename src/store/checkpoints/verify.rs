//! Whether the record is what its checkpoints say: read page by page, in bounded memory.

use std::time::Duration;

use revocation_evidence::Hash;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use time::OffsetDateTime;

use super::{Store, StoreError, rows};
use crate::checkpoint::{Chain, Document, Finding, PARTS, Stored};

const WHAT: &str = "verify the record";

/// All of a page is read as of one moment, and may take long.
const LIMITS: &str = "SET statement_timeout = '6h'; SET idle_in_transaction_session_timeout = '1h'; \
    SET plan_cache_mode = force_custom_plan";

/// Most checkpoints of a page, and about how many rows.
const CHECKPOINTS: i64 = 500;
const ROWS: u64 = 500_000;

/// A verification under way.
pub struct Verification {
    connection: PoolConnection<Postgres>,
    chain: Chain,
    next: Option<i64>,
}

/// Rows of a table that were written long after their own time.
pub struct Late {
    /// The table.
    pub table: String,
    /// How many.
    pub rows: i64,
    /// A database role that wrote some.
    pub role: String,
    /// The first one's own time.
    pub first: OffsetDateTime,
}

/// Some checkpoints that follow each other.
pub struct Page {
    /// What each says, where it can be read, and the SHA-256 of that.
    pub documents: Vec<(Document, Hash)>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Store {
    /// Begins with the checkpoint that covers `since`, else with the first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn verification(
        &self,
        chain: impl FnOnce(bool) -> Chain,
        since: Option<OffsetDateTime>,
    ) -> Result<Verification, StoreError> {
        let mut connection = self.patient(WHAT).await?;
        let work = async {
            sqlx::raw_sql(LIMITS).execute(&mut *connection).await?;
            sqlx::query!(
                r#"SELECT min(checkpoint_no) AS first,
                       coalesce(min(checkpoint_no) FILTER (WHERE until_at > $1),
                           max(checkpoint_no) FILTER (WHERE $1 IS NOT NULL)) AS since
                   FROM audit.checkpoints"#,
                since
            )
            .fetch_one(&mut *connection)
            .await
        };
        let found = work.await.map_err(|error| StoreError::new(WHAT, error))?;
        let next = found.since.or(found.first);
        Ok(Verification { connection, chain: chain(next != found.first), next })
    }
}

impl Store {
    /// Rows that were written later than `longest` after their own time, and since then. Calls that a
    /// takeover closed are not counted: they are as late as the takeover.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn late_rows(
        &self,
        longest: Duration,
        since: Option<OffsetDateTime>,
    ) -> Result<Vec<Late>, StoreError> {
        let mut connection = self.patient(WHAT).await?;
        let found = sqlx::query_as!(
            Late,
            r#"SELECT l.of AS "table!", count(*) AS "rows!", max(l.noted_role) AS "role!",
                   min(l.at) AS "first!"
               FROM (
                   SELECT 'attempts' AS of, at, noted_at, noted_role FROM audit.recorded_attempts
                   WHERE answered
                   UNION ALL
                   SELECT 'targets', at, noted_at, noted_role FROM audit.recorded_results
                   UNION ALL
                   SELECT 'rejected_events', at, noted_at, noted_role FROM audit.recorded_refusals
                   UNION ALL
                   SELECT 'operations', at, noted_at, noted_role FROM audit.recorded_operations
               ) l
               WHERE l.noted_at >= $2 AND l.noted_at - l.at > make_interval(secs => $1)
               GROUP BY l.of ORDER BY l.of"#,
            longest.as_secs_f64(),
            since.unwrap_or(OffsetDateTime::UNIX_EPOCH)
        );
        found.fetch_all(&mut *connection).await.map_err(|error| StoreError::new(WHAT, error))
    }
}

impl Verification {
    /// The next checkpoints, compared with the rows that are there now; `None`: that was all.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn page(&mut self) -> Result<Option<Page>, StoreError> {
        let Some(from) = self.next else { return Ok(None) };
        let (stored, next) =
            page(&mut self.connection, from).await.map_err(|error| StoreError::new(WHAT, error))?;
        self.next = next;
        let (mut documents, mut digests, mut findings) = (Vec::new(), Vec::new(), Vec::new());
        for row in &stored {
            let (document, wrong) = self.chain.take(row);
            digests.extend(document.as_ref().map(|_| Hash::of(&[row.document.as_bytes()])));
            documents.extend(document);
            findings.extend(wrong);
        }
        for span in spans(&documents) {
            let wrong = compare(&mut self.connection, span).await;
            findings.extend(wrong.map_err(|error| StoreError::new(WHAT, error))?);
        }
        findings.sort_by_key(|finding| finding.checkpoint);
        Ok(Some(Page { documents: documents.into_iter().zip(digests).collect(), findings }))
    }

    /// The chain as far as it was read.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }
}

/// Checkpoints of about as many rows as a page has, and the number of the next one.
async fn page(c: &mut PgConnection, from: i64) -> Result<(Vec<Stored>, Option<i64>), sqlx::Error> {
    let found = sqlx::query!(
        r#"SELECT checkpoint_no AS "number!", document AS "document!", sha256 AS "sha256!", after_at AS after,
               until_at AS "until!", public_key, decode(signature, 'base64') AS signature
           FROM audit.checkpoints WHERE checkpoint_no >= $1 ORDER BY checkpoint_no LIMIT $2"#,
        from,
        CHECKPOINTS + 1
    );
    let mut rows = 0_u64;
    let mut stored = Vec::new();
    for row in found.fetch_all(c).await? {
        if rows >= ROWS || stored.len() == usize::try_from(CHECKPOINTS).unwrap_or(usize::MAX) {
            return Ok((stored, Some(row.number)));
        }
        rows = rows.saturating_add(Document::parse(&row.document).map_or(0, |document| document.rows()));
        stored.push(Stored {
            number: row.number,
            document: row.document,
            sha256: row.sha256,
            after: row.after,
            until: row.until,
            public_key: row.public_key,
            signature: row.signature,
        });
    }
    Ok((stored, None))
}

/// Documents whose times follow each other: where they do not, that is a finding of its own.
fn spans(documents: &[Document]) -> impl Iterator<Item = &[Document]> {
    documents.chunk_by(|a, b| {
        b.after == Some(a.until) && b.noted_after == Some(a.noted_until) && a.until < b.until
    })
}

async fn compare(c: &mut PgConnection, span: &[Document]) -> Result<Vec<Finding>, sqlx::Error> {
    // The mark from which the record is covered has no rows.
    let span = match span {
        [first, rest @ ..] if first.checkpoint == 0 && first.base.is_none() => rest,
        span => span,
    };
    if span.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = vec![Vec::new(); span.len()];
    for part in 0..PARTS.len() {
        for (of, seen) in found.iter_mut().zip(rows::of(c, part, span).await?) {
            of.push(seen);
        }
    }
    Ok(span.iter().zip(&found).flat_map(|(document, found)| document.compare(found)).collect())
}
