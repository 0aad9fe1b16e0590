//! The rows that checkpoints cover, and their digests.

use aws_lc_rs::digest::{Context, SHA256};
use futures::TryStreamExt;
use revocation_evidence::Hash;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row, ValueRef};
use time::OffsetDateTime;

use crate::checkpoint::{Document, PARTS};

/// Columns of each table in the order of [`PARTS`]: those that a checkpoint covers, and by what rows are in
/// order within a moment. A column that is added to a table later is not among them.
const COLUMNS: [(&str, &str, &str); 4] = [
    (
        "at, event_row, ordinal, attempt, answered, worker_no, started_at, duration_ms, outcome, \
            http_status, error, retry_after_ms",
        "audit.recorded_attempts",
        "event_row, ordinal, attempt, answered",
    ),
    (
        "at, event_row, ordinal, provider, kind, token_type_hint, token_sha256, signed_sha256, jti, jti_iss, \
            sub, sid, client_id, iss, token_expires_at, cutoff, state, proof, attempts, last_worker, \
            last_outcome, last_http_status, last_error, call_began_at, revoked_at, source, id, real_id, \
            event_type, reason, actor, broker_user, occurred_at, received_at, not_before, body_sha256",
        "audit.recorded_results",
        "event_row, ordinal",
    ),
    (
        "at, rejected_no, queue, routing_key, broker_user, code, detail, body_sha256, body_bytes, \
            event_source, event_id, worker_no",
        "audit.recorded_refusals",
        "rejected_no",
    ),
    ("at, operation_no, actor, role, action, incident, detail", "audit.recorded_operations", "operation_no"),
];

/// The queries, in the order of [`PARTS`]: of rows of `$1` or later and before `$2`, the first column being
/// what they are ordered by.
pub static QUERIES: std::sync::LazyLock<[String; PARTS.len()]> =
    std::sync::LazyLock::new(|| std::array::from_fn(query));

fn query(part: usize) -> String {
    let (columns, view, order) = COLUMNS[part % COLUMNS.len()];
    if PARTS[part].1 {
        return format!(
            "SELECT noted_at, noted_role, {columns} FROM {view} WHERE noted_at >= $1 AND noted_at < $2 \
                ORDER BY noted_at, {order}"
        );
    }
    // Attempts are found by their beginning: one of more than a minute is late.
    let index = if part == 0 { " AND started_at >= $1 - interval '1 min' AND started_at < $2" } else { "" };
    format!(
        "SELECT {columns} FROM {view} WHERE at >= $1 AND at < $2{index} AND noted_at IS NULL \
            ORDER BY at, {order}"
    )
}

/// Rows and digest of a part, of each of these documents, whose times follow each other.
pub(super) async fn of(
    c: &mut PgConnection,
    part: usize,
    documents: &[Document],
) -> Result<Vec<(u64, Hash)>, sqlx::Error> {
    let is_late = PARTS[part].1;
    let ends: Vec<_> = documents
        .iter()
        .map(|document| if is_late { document.noted_until } else { document.until })
        .map(since_2000)
        .collect();
    let (Some(first), Some(last)) = (documents.first(), documents.last()) else { return Ok(Vec::new()) };
    let (begin, end) =
        if is_late { (first.noted_after, last.noted_until) } else { (first.after, last.until) };
    let mut found: Vec<_> = documents.iter().map(|_| (0, Context::new(&SHA256))).collect();
    let mut place = 0;
    let query = sqlx::query(sqlx::AssertSqlSafe(QUERIES[part].as_str()));
    let query = query.bind(begin.unwrap_or(OffsetDateTime::UNIX_EPOCH)).bind(end);
    let mut rows = query.fetch(c);
    while let Some(row) = rows.try_next().await? {
        let at = microseconds(&row)?;
        while place + 1 < ends.len() && at >= ends[place] {
            place += 1;
        }
        if let Some((rows, digest)) = found.get_mut(place) {
            *rows += 1;
            add(digest, &row)?;
        }
    }
    Ok(found.into_iter().map(|(rows, digest)| (rows, digest.finish().into())).collect())
}

/// Adds a row as `COPY … (FORMAT binary)` writes it: how many columns, then of each its length and bytes.
fn add(digest: &mut Context, row: &PgRow) -> Result<(), sqlx::Error> {
    digest.update(&i16::try_from(row.len()).unwrap_or(i16::MAX).to_be_bytes());
    for column in 0..row.len() {
        let value = row.try_get_raw(column)?;
        if value.is_null() {
            digest.update(&(-1_i32).to_be_bytes());
            continue;
        }
        let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
        digest.update(&i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
        digest.update(bytes);
    }
    Ok(())
}

/// The first column: microseconds since 2000, as Postgres keeps time.
fn microseconds(row: &PgRow) -> Result<i64, sqlx::Error> {
    let value = row.try_get_raw(0)?;
    let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
    bytes.try_into().map(i64::from_be_bytes).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn since_2000(at: OffsetDateTime) -> i64 {
    const UNIX_TO_2000: i128 = 946_684_800_000_000;
    i64::try_from(at.unix_timestamp_nanos() / 1000 - UNIX_TO_2000).unwrap_or(i64::MAX)
}
