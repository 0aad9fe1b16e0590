//! How everything stands at one moment, for the page: `status`, and what lies behind it in the last minutes.
//!
//! Each part is read from what is open, by an index, or from rows that are few: what is finished costs
//! nothing, however much there is.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::Connection;
use sqlx::types::Json;

use super::status::{Status, read_status};
use super::{Store, StoreError};

const WHAT: &str = "look how everything stands";

/// A look that has not ended after so long never will.
const LONGEST: Duration = Duration::from_secs(25);

/// How everything stands at one moment.
pub struct Overview {
    /// The moment, by the database's clock, as Postgres writes it in JSON.
    pub at: String,
    /// What `status` shows.
    pub status: Status,
    /// What lies behind it.
    pub lately: Lately,
}

/// What is read besides.
#[derive(Debug, Deserialize)]
pub struct Lately {
    /// The moment.
    pub at: String,
    /// What may still work.
    pub open: StillOpen,
    /// The calls of the last five minutes, as each live worker counts them.
    pub calls: Vec<ProviderCalls>,
    /// The minutes of the last hour in which something was denied or revoked.
    pub latencies: Vec<LatencyRow>,
    /// Messages that were refused in the last hour.
    pub refusals: Vec<RefusalCount>,
    /// The last few of them.
    pub refused: Vec<Refused>,
}

/// What is known of credentials that may still work.
#[derive(Debug, Serialize, Deserialize)]
pub struct StillOpen {
    /// Targets that are not finished and stand for more than one token.
    #[serde(default)]
    pub wide: u64,
    /// Targets that are not finished and may get new tokens.
    pub minting: u64,
    /// The same of those that their provider has no call for.
    pub minting_finished: u64,
    /// The same of those that were given up.
    #[serde(default)]
    pub minting_given_up: u64,
    /// When the last of them dies of age, as far as that is known.
    pub until: Option<String>,
    /// Of what waits in incidents, not everything was looked at.
    pub is_part: bool,
}

/// A live worker's calls of a provider.
#[derive(Debug, Deserialize)]
pub struct ProviderCalls {
    /// The provider.
    pub provider: String,
    /// Calls in each ten seconds, the oldest first.
    pub calls: Vec<u32>,
    /// Of those, failures.
    pub failures: Vec<u32>,
    /// Why the provider is left alone.
    pub reason: Option<String>,
}

/// How long things took in one minute, over all workers: how many fell into each class, as
/// telemetry has them.
#[derive(Debug, Deserialize)]
pub struct LatencyRow {
    /// How many minutes ago.
    pub minutes_ago: u32,
    /// Denials.
    pub denial: Vec<u64>,
    /// Revocations.
    pub revocation: Vec<u64>,
}

/// Refused messages of one code.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "columns of audit.rejected_events, and their count")]
pub struct RefusalCount {
    pub code: String,
    pub messages: u64,
    pub last_at: String,
}

/// A row of `audit.rejected_events`.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct Refused {
    pub rejected_at: String,
    pub code: String,
    pub detail: String,
    pub broker_user: Option<String>,
    pub event_source: Option<String>,
    pub event_id: Option<String>,
}

impl Store {
    /// How everything stands, read in one transaction.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn overview(&self) -> Result<Overview, StoreError> {
        let mut connection = self.lease(WHAT).await?;
        let work = async {
            let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
            let mut all = connection.begin_with(begin).await?;
            // What is open may be very much: as in `Store::patient`, for this transaction.
            let limits = "SET LOCAL statement_timeout = '20s'; SET LOCAL work_mem = '32MB'; SET LOCAL \
                enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; \
                SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL TimeZone = 'UTC'";
            sqlx::raw_sql(limits).execute(&mut *all).await?;
            let status = read_status(&mut all).await?;
            let lately = lately(&mut all).await?;
            all.commit().await?;
            Ok(Overview { at: lately.at.clone(), status, lately })
        };
        let looked = match tokio::time::timeout(LONGEST, work).await {
            Ok(looked) => looked.map_err(|e| StoreError::new(WHAT, e)),
            Err(_) => Err(StoreError::Timeout(WHAT, LONGEST)),
        };
        if looked.is_err() {
            connection.close_on_drop();
        }
        looked
    }
}

async fn lately(connection: &mut sqlx::PgConnection) -> Result<Lately, sqlx::Error> {
    let lately = sqlx::query_file_scalar!("src/store/overview.sql").fetch_one(connection);
    lately.await.map(|Json(lately)| lately)
}
