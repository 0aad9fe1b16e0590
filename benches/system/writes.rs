//! What a run cost Postgres besides processor time.

use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::FromRow;

use crate::Result;
use crate::stage::Stage;

/// Totals of a database; the log is the server's.
#[derive(Clone, Copy, Serialize, FromRow)]
pub(crate) struct Writes {
    /// Bytes of write-ahead log.
    pub(crate) wal_bytes: f64,
    /// Rows inserted, updated or deleted.
    pub(crate) rows: f64,
    pub(crate) updates: f64,
    /// Updates that touched no index.
    pub(crate) hot_updates: f64,
    /// Rows that a vacuum has yet to remove.
    pub(crate) dead_rows: f64,
    /// Transactions committed, those of the benchmark's own looks included.
    pub(crate) commits: f64,
}

impl Writes {
    /// Totals up to now. Backends report when they end, so this waits until no other is left.
    pub(crate) async fn now(stage: &Stage) -> Result<Self> {
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND \
            backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let start = Instant::now();
        while stage.count(others).await? > 0 {
            if start.elapsed() > Duration::from_secs(10) {
                return Err("connections to the database of a run outlive it".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let totals = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS wal_bytes, \
                coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::float8 AS rows, \
                coalesce(sum(n_tup_upd), 0)::float8 AS updates, \
                coalesce(sum(n_tup_hot_upd), 0)::float8 AS hot_updates, \
                coalesce(sum(n_dead_tup), 0)::float8 AS dead_rows, \
                (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database())::float8 \
                    AS commits \
            FROM pg_stat_user_tables";
        Ok(sqlx::query_as(totals).fetch_one(&stage.database).await?)
    }

    /// Since `earlier`, for each of `events`.
    pub(crate) fn per_event(self, earlier: Self, events: u32) -> Self {
        let each = |now: f64, before: f64| (now - before) / f64::from(events);
        Self {
            wal_bytes: each(self.wal_bytes, earlier.wal_bytes),
            rows: each(self.rows, earlier.rows),
            updates: each(self.updates, earlier.updates),
            hot_updates: each(self.hot_updates, earlier.hot_updates),
            dead_rows: each(self.dead_rows, earlier.dead_rows),
            commits: each(self.commits, earlier.commits),
        }
    }

    /// The share of updates that touched no index.
    pub(crate) fn hot_share(self) -> f64 {
        self.hot_updates / self.updates
    }
}

/// Transactions of the server that have written, up to now: each has a number, and unlike the other totals
/// this one waits for no report.
pub(crate) async fn writing_commits(stage: &Stage) -> Result<i64> {
    stage.count("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").await
}
