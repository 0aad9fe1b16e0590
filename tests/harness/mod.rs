//! What integration tests share: real servers, given by the environment or booted once a test binary; a fresh
//! virtual host and database a test; workers as child processes.

mod broker;
mod chance;
pub(crate) mod clocks;
mod crowd;
mod events;
mod feed;
mod logins;
mod process;
pub(crate) mod promtool;
mod proxy;
mod raw_amqp;
mod record;
mod reporting;
mod scanner;
#[path = "../scripted_idp/mod.rs"]
pub(crate) mod scripted_idp;
mod sender;
mod servers;

use std::time::{Duration, Instant};

use revocation_sandbox::{OidcProvider, Port};
use sqlx::{PgPool, Row};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(crate) use broker::*;
pub(crate) use chance::Chance;
pub(crate) use crowd::{Dawdle, ask_once, closed};
pub(crate) use events::*;
pub(crate) use feed::{Feed, Seen};
pub(crate) use process::{Setup, Worker};
pub(crate) use proxy::{Loss, Proxy};
pub(crate) use raw_amqp::{PROPERTIES, RawMessage, long, publish_raw, raw_header};
pub(crate) use reporting::status;
pub(crate) use scanner::{Scanner, forms};
pub(crate) use sender::{Issuer, Signer, now_s};
pub(crate) use servers::Servers;
use servers::Surroundings;

/// How long anything may take before a test says that it did not happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `look` finds something; looks again every few milliseconds.
///
/// # Panics
/// With `what` if it does not happen within [`PATIENCE`].
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "within {PATIENCE:?} this did not happen: {what}");
        ticks.tick().await;
    }
}

/// A loopback port that is nobody else's until this is dropped.
pub(crate) fn free_port() -> Port {
    Port::free().unwrap_or_else(|error| panic!("{error}"))
}

/// Held shared by every test, and alone by one that measures time.
static MACHINE: RwLock<()> = RwLock::const_new(());

enum Hold {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

/// What ends with a test: its hold on the machine, and on servers that go on, what was made there for it.
struct Stay {
    hold: Option<Hold>,
    guest: Option<servers::Guest>,
}

impl Drop for Stay {
    /// Nobody waits for the clearing up but tests that measure time.
    fn drop(&mut self) {
        if let Some(guest) = self.guest.take() {
            let hold = self.hold.take();
            std::thread::spawn(move || {
                guest.leave();
                drop(hold);
            });
        }
    }
}

/// One test's surroundings. A test has one at a time: a second would wait for one that measures time, which
/// waits for the first.
pub(crate) struct Stage {
    _stay: Stay,
    /// The broker's URL with this test's virtual host.
    pub(crate) amqp_url: String,
    /// This test's database.
    pub(crate) database_url: String,
    /// A pool on it.
    pub(crate) db: PgPool,
    /// The broker's management interface.
    management: url::Url,
}

impl Stage {
    /// A fresh virtual host and a fresh, migrated database on the shared servers.
    pub(crate) async fn new() -> Self {
        let guard = MACHINE.read().await;
        Self::migrated_on_shared(Hold::Shared { _guard: guard }).await
    }

    /// The same for a test that measures time: no other test of this binary runs beside it.
    pub(crate) async fn alone() -> Self {
        let guard = MACHINE.write().await;
        Self::migrated_on_shared(Hold::Alone { _guard: guard }).await
    }

    /// The same with an empty database.
    pub(crate) async fn empty() -> Self {
        let guard = MACHINE.read().await;
        Self::made_on(servers::shared(), None, Hold::Shared { _guard: guard }).await
    }

    /// The same on servers of the test's own, which it may kill.
    pub(crate) async fn on(servers: &Servers) -> Self {
        let guard = MACHINE.read().await;
        let stage = Self::made_on(&servers.surroundings(), None, Hold::Shared { _guard: guard }).await;
        sqlx::migrate!().run(&stage.db).await.expect("migrate the fresh database");
        stage
    }

    async fn migrated_on_shared(hold: Hold) -> Self {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let servers = servers::shared();
        let template = TEMPLATE.get_or_init(|| servers.migrated()).await;
        Self::made_on(servers, Some(template), hold).await
    }

    async fn made_on(surroundings: &Surroundings, template: Option<&str>, hold: Hold) -> Self {
        let (amqp_url, database_url, guest) = surroundings.fresh(template).await;
        let db = PgPool::connect(&database_url).await.expect("connect to the fresh database");
        let (_stay, management) = (Stay { hold: Some(hold), guest }, surroundings.management().clone());
        Self { _stay, amqp_url, database_url, db, management }
    }

    /// The rows of a query that selects one JSON document a row.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<serde_json::Value> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::query(sql).fetch_all(&self.db).await.expect("query").iter().map(|row| row.get(0)).collect()
    }

    /// A worker that revokes at `revocation_endpoint`, not yet started.
    pub(crate) fn worker(&self, revocation_endpoint: &str) -> process::Setup {
        process::Setup::new(&self.amqp_url, &self.database_url)
            .set("REVOCATION__DEFAULT_PROVIDER", "main")
            .set("REVOCATION__PROVIDERS__MAIN__KIND", "rfc7009")
            .set("REVOCATION__PROVIDERS__MAIN__REVOCATION_ENDPOINT", revocation_endpoint)
            .set("REVOCATION__PROVIDERS__MAIN__CLIENT_ID", "shop")
            .set("REVOCATION__PROVIDERS__MAIN__CLIENT_SECRET", "shop-secret-canary")
    }

    /// A worker that revokes at a whole authorization server, as its client.
    pub(crate) fn worker_at(&self, oidc: &OidcProvider) -> process::Setup {
        self.worker(&oidc.revocation_endpoint())
            .set("REVOCATION__PROVIDERS__MAIN__CLIENT_ID", oidc.client_id())
            .set("REVOCATION__PROVIDERS__MAIN__CLIENT_SECRET", oidc.client_secret())
    }

    /// Runs a statement.
    pub(crate) async fn raw(&self, statement: &str) {
        sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
            .execute(&self.db)
            .await
            .unwrap_or_else(|e| panic!("{statement}: {e}"));
    }

    /// Counts the rows of a query such as `audit.revocations WHERE state = 'revoked'`.
    pub(crate) async fn count(&self, rows: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {rows}"));
        sqlx::query(sql).fetch_one(&self.db).await.expect("count").get(0)
    }

    /// Waits until so many rows are there.
    pub(crate) async fn wait_for_count(&self, wanted: i64, rows: &str) {
        let mut last = -1;
        let what = format!("{wanted} rows of {rows}");
        eventually(&what, async || {
            last = self.count(rows).await;
            (last == wanted).then_some(())
        })
        .await;
    }

    /// One text column of one row.
    pub(crate) async fn text(&self, sql: &str) -> Option<String> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::query(sql).fetch_one(&self.db).await.expect("query").get(0)
    }
}
