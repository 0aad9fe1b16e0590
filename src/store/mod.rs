//! Postgres: the only user of sqlx. One file a question that the worker or an operator asks; a long statement
//! stands in an `.sql` file beside its function.

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
        let _turn = $store.turn().await;
        let mut lease = $store.lease(what).await?;
        let outcome = tokio::time::timeout(crate::store::CALL_TIMEOUT, async {
            let $connection: &mut sqlx::PgConnection = &mut lease;
            $work
        })
        .await;
        let result = match outcome {
            Ok(result) => result.map_err(|e| crate::store::StoreError::new(what, e)),
            Err(_) => Err(crate::store::StoreError::Timeout(what, crate::store::CALL_TIMEOUT)),
        };
        if let Err(error) = &result {
            $store.writes.failed(error);
            if error.is_passing() {
                lease.close_on_drop();
            }
        }
        result
    }};
}

#[macro_use]
mod composite;
#[macro_use]
mod denial;

mod accept;
mod ages;
mod ailing;
mod arrivals;
pub mod audit;
mod cancel;
mod checkpoints;
mod claim;
mod confirm;
mod error;
mod examine;
mod fleet;
mod incidents;
pub mod jti_iss;
mod latencies;
mod migrate;
mod operate;
mod overview;
mod pool;
mod providers;
mod purge;
mod reconcile;
mod record;
mod rejected;
mod schema;
mod status;
mod story;
mod takeover;
mod verifiers;
mod workers;
mod writes;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};

use self::error::ensure_affected_rows;
use crate::config::DatabaseConfig;

pub use accept::{Approval, Disposition, Entered, NewEvent, NewTarget};
pub use ages::{Ages, Due};
pub use ailing::{Crowding, FailingTargets, GivenUpTargets, ProviderRow};
pub use arrivals::{Arrivals, Arrived};
pub use audit::{AuditRow, Place, Question};
pub use cancel::{CancelledTarget, GivenUp};
pub use checkpoints::{Checkpoint, Late, Look, Page, QUERIES, Verification};
pub use claim::{Claimed, Kinds, Want};
pub use confirm::Unconfirmed;
pub use denial::Denial;
pub use error::StoreError;
pub use examine::Findings;
pub use fleet::{Fleet, ProviderStatus};
pub use incidents::{
    ActiveIncident, Approved, Exposure, Incident, IncidentDetail, Incidents, KindCounts, Operation,
    ProviderCounts, ResidualRisk, Rows, Snapshot, StateCounts, Steered, Steering,
};
pub use latencies::Latencies;
pub use operate::{Backlog, RetryScope, TargetState};
pub use overview::{Lately, LatencyRow, Overview, ProviderCalls, RefusalCount, Refused, StillOpen};
pub use pool::PoolUse;
pub use providers::{ProviderBacklog, ProviderDetail, ProviderOperation, ProviderWorker, Resumed};
pub use purge::{Purge, PurgeSession, Purgeable};
pub use reconcile::DeniedEvent;
pub use record::{Attempt, Closing, Cutoff};
pub use rejected::Rejected;
pub use schema::{OTHER_PEOPLE, SchemaError};
pub use status::{
    BacklogRow, DeadLetters, EventStatus, LostWorker, Propagation, RevocationRow, Status, Undenied, WorkerRow,
};
pub use story::{AttemptRow, Happened, Story, TargetStory};
pub use takeover::Release;
pub use verifiers::{Unapplied, VerifierCount, VerifierRow};
pub use workers::{Registration, WorkerNo};
pub use writes::RefusedWrites;

/// A query that has not come back after this long never will: its connection is given up (see `within!`).
const CALL_TIMEOUT: Duration = Duration::from_secs(8);

/// Longest that work waits for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest that [`Store::ping`] takes.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// What every session is set to. The server gives a statement up before [`CALL_TIMEOUT`] does. Every query of
/// the worker is a lookup by index: a plan that was cached while the tables were empty must not scan them
/// when they have grown.
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
    requests: Arc<pool::Requests>,
    writes: Arc<writes::Writes>,
    options: PgConnectOptions,
}

impl Store {
    /// Prepares a pool; connects when first used.
    ///
    /// # Errors
    /// The URL cannot be read. The message never holds the URL.
    pub fn new(config: &DatabaseConfig) -> Result<Self, StoreError> {
        Self::with(config, [])
    }

    /// The same for a worker, whose sessions last: they plan each statement once, not at each call. All of
    /// its statements are lookups by index, whatever their parameters.
    ///
    /// # Errors
    /// See [`Store::new`].
    pub fn of_worker(config: &DatabaseConfig) -> Result<Self, StoreError> {
        Self::with(config, [("plan_cache_mode", "force_generic_plan")])
    }

    fn with<const N: usize>(config: &DatabaseConfig, session: [(&str, &str); N]) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(config.url.expose())
            .map_err(|_| {
                StoreError::Refused(
                    "database.url",
                    "it is not a postgres:// URL, or one of its options is unknown".to_owned(),
                )
            })?
            .application_name("revocation-worker")
            .options(SESSION)
            .options(session)
            .log_statements(tracing::log::LevelFilter::Off)
            .log_slow_statements(tracing::log::LevelFilter::Off, Duration::ZERO);
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .test_before_acquire(false)
            .connect_lazy_with(options.clone());
        Ok(Self { pool, requests: Arc::default(), writes: Arc::default(), options })
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

    /// The database that is meant, without a password: "database shop at db.example.com:5432".
    pub fn place(&self) -> String {
        let options = &self.options;
        let name = options.get_database().unwrap_or_else(|| options.get_username());
        match options.get_socket() {
            Some(socket) => format!("database {name} at {}", socket.display()),
            None => format!("database {name} at {}:{}", options.get_host(), options.get_port()),
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
