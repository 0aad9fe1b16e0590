//! Why a call to Postgres failed, and whether it may succeed later.

use std::time::Duration;

use sqlx::postgres::PgQueryResult;

use super::ACQUIRE_TIMEOUT;

/// Why a call to Postgres failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The server did not answer in time; the connection was given up.
    #[error("{0}: Postgres did not answer within {seconds} s", seconds = .1.as_secs())]
    Timeout(&'static str, Duration),
    /// Postgres could not be reached, or the connection broke.
    #[error("{0}: Postgres cannot be reached: {1}")]
    Unreachable(&'static str, sqlx::Error),
    /// Postgres is there and says that it cannot do this now: it starts, is a standby or out of connections,
    /// another transaction is in the way.
    #[error("{0}: {1}")]
    NotNow(&'static str, String),
    /// No connection of the pool became free, and no new one came about, in time.
    #[error("{0}: no connection to Postgres within {seconds} s: it does not answer, or all that this process \
        may have are in use", seconds = .1.as_secs())]
    NoConnection(&'static str, Duration),
    /// What Postgres answered is not what this program understands.
    #[error("{0}: {1}")]
    Unexpected(&'static str, sqlx::Error),
    /// Postgres refused the statement.
    #[error("{0}: {1}")]
    Refused(&'static str, String),
    /// Postgres refused what was to be written: it cannot be stored as it is, however often it is tried.
    #[error("{0}: {1}")]
    Unstorable(&'static str, String),
}

impl StoreError {
    pub(super) fn new(what: &'static str, error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(e) => Self::said(what, e.message(), e.code().as_deref()),
            sqlx::Error::PoolTimedOut => Self::NoConnection(what, ACQUIRE_TIMEOUT),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unreachable(what, error),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Self::Refused(what, error.to_string())
            }
            _ => Self::Unexpected(what, error),
        }
    }

    /// The server's own words. The primary message only: DETAIL may print a whole row.
    fn said(what: &'static str, message: &str, code: Option<&str>) -> Self {
        let reason = format!("{message} (SQLSTATE {})", code.unwrap_or("unknown"));
        match code {
            _ if is_passing(code) => Self::NotNow(what, reason),
            _ if is_unstorable(code) => Self::Unstorable(what, reason),
            _ => Self::Refused(what, reason),
        }
    }

    /// Whether the session's role lacks a right to it.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused(_, reason) if reason.ends_with("(SQLSTATE 42501)"))
    }

    /// The server's words where it takes no writes for now, whatever they are: its disk is full or fails, or
    /// it is read-only.
    pub(super) fn refused_write(&self) -> Option<&str> {
        const CODES: [&str; 5] = ["53000", "53100", "53200", "58030", "25006"];
        let Self::NotNow(_, words) = self else { return None };
        let has = |code: &&str| words.ends_with(&format!("(SQLSTATE {code})"));
        // Of a quota, and of a limit to the size of files, Postgres has no code.
        (CODES.iter().any(has) || words.starts_with("could not extend file")).then_some(words)
    }

    /// Whether the same statement may succeed later.
    pub fn is_passing(&self) -> bool {
        !matches!(self, Self::Refused(..) | Self::Unstorable(..))
    }
}

/// SQLSTATE of a value that Postgres cannot hold: class 22 (data exception), 54 (too long for an index), a
/// violated CHECK.
fn is_unstorable(code: Option<&str>) -> bool {
    code.is_some_and(|code| ["22", "54"].iter().any(|class| code.starts_with(class)) || code == "23514")
}

/// SQLSTATE classes that say "later": connection, resources, operator intervention, system; serialisation,
/// deadlock, lock timeout, read-only standby.
fn is_passing(code: Option<&str>) -> bool {
    const PASSING: [&str; 9] = ["08", "53", "57", "58", "XX", "40001", "40P01", "55P03", "25006"];
    code.is_some_and(|code| PASSING.iter().any(|class| code.starts_with(class)))
}

/// Whether a statement wrote as many rows as it was to.
pub(super) fn ensure_affected_rows(done: &PgQueryResult, rows: u64) -> Result<(), sqlx::Error> {
    if done.rows_affected() == rows { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

#[cfg(test)]
mod tests;
