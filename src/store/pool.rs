//! The pool of connections: what work is given, and how long it waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Store, StoreError};

/// So many connections do all work, unless it has waited for [`PATIENCE`]: each of them plans every statement
/// once, and the pool hands them out in turns.
const USUAL: usize = 4;
const PATIENCE: Duration = Duration::from_millis(50);

/// What became of requests for a connection.
pub(super) struct Requests {
    usual: Semaphore,
    acquired: AtomicU64,
    refused: AtomicU64,
    waited_us: AtomicU64,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            usual: Semaphore::new(USUAL),
            acquired: AtomicU64::default(),
            refused: AtomicU64::default(),
            waited_us: AtomicU64::default(),
        }
    }
}

/// How the pool is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolUse {
    /// Connections that work has.
    pub in_use: u32,
    /// Connections that nobody has.
    pub idle: u32,
    /// Most connections.
    pub most: u32,
    /// How often work was given one.
    pub acquired: u64,
    /// How often work was given none in time.
    pub refused: u64,
    /// How long work has waited, all together.
    pub waited: Duration,
}

impl Store {
    /// A turn at one of the usual connections; `None`: they are busy for long, and it takes a further one.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        tokio::time::timeout(PATIENCE, self.requests.usual.acquire()).await.ok()?.ok()
    }

    /// A connection for a piece of work.
    pub(super) async fn lease(&self, what: &'static str) -> Result<PoolConnection<Postgres>, StoreError> {
        let (asked, requests) = (Instant::now(), &self.requests);
        let lease = self.pool.acquire().await;
        let waited = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
        requests.waited_us.fetch_add(waited, Ordering::Relaxed);
        let count = if lease.is_ok() { &requests.acquired } else { &requests.refused };
        count.fetch_add(1, Ordering::Relaxed);
        lease.map_err(|error| StoreError::new(what, error))
    }

    /// How the pool is used now.
    pub fn pool_use(&self) -> PoolUse {
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX);
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        PoolUse {
            in_use: self.pool.size().saturating_sub(idle),
            idle,
            most: self.pool.options().get_max_connections(),
            acquired: of(&self.requests.acquired),
            refused: of(&self.requests.refused),
            waited: Duration::from_micros(of(&self.requests.waited_us)),
        }
    }
}
