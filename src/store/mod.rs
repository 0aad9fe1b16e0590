//! Postgres: the only user of sqlx. One file a question that the worker or an operator asks.

/// Runs one piece of work on a pooled connection, within [`CALL_TIMEOUT`]: `within!(store, "what",
/// |connection| async expression)`.
///
/// A macro, because a closure cannot yet say that its future borrows both the connection and its captures.
///
/// A connection that timed out or failed in a passing way is closed, not returned: a silently dead one would
/// keep its slot of the pool for ever.
macro_rules! within {
    ($store:expr, $what:expr, |$connection:ident| $work:expr) => {{
        let what: &'static str = $what;
        let mut lease = $store.pool.acquire().await.map_err(|e| crate::store::StoreError::new(what, e))?;
        let outcome = tokio::time::timeout(crate::store::CALL_TIMEOUT, async {
            let $connection: &mut sqlx::PgConnection = &mut lease;
            $work
        })
        .await;
        let result = match outcome {
            Ok(result) => result.map_err(|e| crate::store::StoreError::new(what, e)),
            Err(_) => Err(crate::store::StoreError::Timeout(what, crate::store::CALL_TIMEOUT)),
        };
        if result.as_ref().is_err_and(crate::store::StoreError::is_passing) {
            lease.close_on_drop();
        }
        result
    }};
}

#[macro_use]
mod composite;
#[macro_use]
mod denial;

mod accept;
mod cancel;
mod claim;
mod confirm;
mod examine;
mod fleet;
mod incidents;
pub mod jti_iss;
mod lost;
mod on_record;
mod operate;
mod providers;
mod record;
mod rejected;
mod schema;
mod status;
mod verifiers;
mod workers;

use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};

use crate::config::DatabaseConfig;

pub use accept::{Approval, Disposition, Entered, NewEvent, NewTarget};
pub use cancel::{CancelledTarget, GivenUp};
pub use claim::{Claimed, Kinds, Want};
pub use confirm::Unconfirmed;
pub use denial::Denial;
pub use examine::Findings;
pub use fleet::Fleet;
pub use incidents::{
    ActiveIncident, Approved, Exposure, Incident, IncidentDetail, Incidents, KindCounts, Operation,
    ProviderCounts, ResidualRisk, Rows, Snapshot, StateCounts, Steered, Steering,
};
pub use operate::{Backlog, RetryScope, TargetState};
pub use providers::{ProviderBacklog, ProviderDetail, ProviderOperation, ProviderWorker, Resumed};
pub use record::{Attempt, Closing, Cutoff};
pub use rejected::Rejected;
pub use schema::{OTHER_PEOPLE, SchemaError};
pub use status::{
    BacklogRow, DeadLetters, EventStatus, Propagation, ProviderRow, RevocationRow, Status, Undenied,
    VerifierRow, WorkerRow,
};
pub use verifiers::VerifierCount;
pub use workers::{ProviderStatus, Registration, Release, WorkerNo};

/// A query that has not come back after this long never will: its connection is given up (see `within!`).
const CALL_TIMEOUT: Duration = Duration::from_secs(8);

/// Longest that work waits for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest that [`Store::ping`] takes.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// What every session is set to. The server gives a statement up before [`CALL_TIMEOUT`] does. Every query of the
/// worker is a lookup by index: a plan that was cached while the tables were empty must not scan them when they
/// have grown.
const SESSION: [(&str, &str); 9] = [
    // Not the default's "$user": for a user called revocation that is our schema, and the table of migrations
    // would be looked for there.
    ("search_path", "public"),
    // Whom `audit.operations` names for what is done without an order.
    ("revocation.actor", "revocation-worker"),
    ("statement_timeout", "5s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("jit", "off"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// A pool of connections to the schema `revocation`.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    options: PgConnectOptions,
}

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
    fn new(what: &'static str, error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(e) => Self::said(what, e.message(), e.code().as_deref()),
            sqlx::Error::PoolTimedOut => Self::NoConnection(what, ACQUIRE_TIMEOUT),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unreachable(what, error),
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

impl Store {
    /// Prepares a pool; connects when first used.
    ///
    /// # Errors
    /// The URL cannot be read. The message never holds the URL.
    pub fn new(config: &DatabaseConfig) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(config.url.expose())
            .map_err(|_| {
                StoreError::Refused(
                    "database.url",
                    "it is not a postgres:// URL, or one of its options is unknown".to_owned(),
                )
            })?
            .application_name("revocation-worker")
            .options(SESSION)
            .log_statements(tracing::log::LevelFilter::Off)
            .log_slow_statements(tracing::log::LevelFilter::Off, Duration::ZERO);
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .test_before_acquire(false)
            .connect_lazy_with(options.clone());
        Ok(Self { pool, options })
    }

    /// Whether Postgres answers, on a connection of its own: the pool's error would hide the reason.
    ///
    /// # Errors
    /// Postgres cannot be reached or refuses the login.
    pub async fn ping(&self) -> Result<(), StoreError> {
        const WHAT: &str = "reach the database";
        let attempt = async {
            let mut connection = self.options.connect().await?;
            sqlx::Connection::ping(&mut connection).await?;
            sqlx::Connection::close(connection).await
        };
        match tokio::time::timeout(PING_TIMEOUT, attempt).await {
            // Before anything was asked: its words name places in a library.
            Ok(Err(sqlx::Error::Protocol(_))) => Err(StoreError::NotNow(
                WHAT,
                "what answers there does not speak Postgres's protocol".to_owned(),
            )),
            Ok(result) => result.map_err(|e| StoreError::new(WHAT, e)),
            Err(_) => Err(StoreError::Timeout(WHAT, PING_TIMEOUT)),
        }
    }

    /// Whether the connection is encrypted and verified, for `check`.
    pub fn is_verified(&self) -> bool {
        matches!(self.options.get_ssl_mode(), PgSslMode::VerifyFull | PgSslMode::VerifyCa)
    }

    /// Closes the pool; waits at most a second for connections in use.
    pub async fn close(&self) {
        // Whatever is still checked out after that dies with the process.
        drop(tokio::time::timeout(Duration::from_secs(1), self.pool.close()).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_quoted_and_only_a_lost_connection_is_called_unreachable() {
        for (code, is_passing) in [
            ("53300", true),
            ("57P03", true),
            ("25006", true),
            ("40001", true),
            ("55P03", true),
            ("08006", true),
            ("53100", true),
            ("58030", true),
            ("XX000", true),
            ("57014", true),
            ("28P01", false),
            ("3D000", false),
            ("42501", false),
            ("42P01", false),
            ("23505", false),
            ("22021", false),
            ("54000", false),
            ("23514", false),
            ("", false),
            ("ü", false),
        ] {
            let error = StoreError::said("do it", "in its words", Some(code));
            assert_eq!(
                (error.to_string(), error.is_passing()),
                (format!("do it: in its words (SQLSTATE {code})"), is_passing)
            );
        }
        let io = |kind: std::io::ErrorKind| StoreError::new("do it", sqlx::Error::Io(kind.into()));
        for error in [
            io(std::io::ErrorKind::ConnectionRefused),
            io(std::io::ErrorKind::UnexpectedEof),
            io(std::io::ErrorKind::TimedOut),
        ] {
            assert!(
                error.to_string().starts_with("do it: Postgres cannot be reached: ") && error.is_passing(),
                "{error}"
            );
        }
        assert_eq!(
            StoreError::new("do it", sqlx::Error::PoolTimedOut).to_string().split(':').nth(1),
            Some(" no connection to Postgres within 3 s")
        );
        assert_eq!(
            StoreError::Timeout("do it", PING_TIMEOUT).to_string(),
            "do it: Postgres did not answer within 3 s"
        );
    }
}
