//! Broker and database: booted, or those that AMQP_URL and DATABASE_URL name.

use std::sync::{Mutex, OnceLock};

use aws_lc_rs::digest::{Context, SHA256};
use revocation_sandbox::{Postgres, RabbitMq};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use url::Url;
use uuid::Uuid;

/// Servers of one's own.
pub(crate) struct Servers {
    /// The broker; `None`: the shared one.
    rabbitmq: Option<Mutex<RabbitMq>>,
    /// The database.
    pub(crate) postgres: Mutex<Postgres>,
}

/// Where a test finds broker and database; the URLs hold the credentials.
#[derive(Clone)]
pub(crate) struct Surroundings {
    amqp: Url,
    management: Url,
    database: Url,
    /// Whether they go on when this process ends.
    outlive_us: bool,
}

/// A virtual host and a database on servers that go on. They must not stay: a broker gets slower by each.
pub(super) struct Guest {
    name: String,
    management: Url,
    database: Url,
}

/// What all tests of a binary share: the servers that AMQP_URL and DATABASE_URL name (and
/// RABBITMQ_MANAGEMENT_URL, by default port 15672 of the broker's host), or booted ones.
pub(super) fn shared() -> &'static Surroundings {
    static SHARED: OnceLock<(Surroundings, Option<Servers>)> = OnceLock::new();
    let (surroundings, _) = SHARED.get_or_init(|| match Surroundings::given() {
        Some(given) => (given, None),
        None => {
            let servers = Servers::boot();
            (servers.surroundings(), Some(servers))
        }
    });
    surroundings
}

impl Surroundings {
    fn given() -> Option<Self> {
        let read = |name| {
            std::env::var(name)
                .ok()
                .map(|url| url.parse::<Url>().unwrap_or_else(|_| panic!("{name} is no URL")))
        };
        let (amqp, database) = (read("AMQP_URL")?, read("DATABASE_URL")?);
        let management = match read("RABBITMQ_MANAGEMENT_URL") {
            Some(url) if !url.username().is_empty() => url,
            Some(url) => with_credentials(url.as_str(), &amqp, false),
            None => with_credentials("http://127.0.0.1:15672", &amqp, true),
        };
        Some(Self { amqp, management, database, outlive_us: true })
    }

    /// The management interface.
    pub(crate) fn management(&self) -> &Url {
        &self.management
    }

    /// Creates or changes something through the management interface.
    pub(crate) async fn put(&self, path: &str, body: serde_json::Value) {
        put(&self.management, path, body).await;
    }

    /// URLs of a new virtual host and a new database, empty or a copy of `template`, and what removes them.
    pub(super) async fn fresh(&self, template: Option<&str>) -> (String, String, Option<Guest>) {
        let name = format!("t{}", Uuid::now_v7().simple());
        self.put(&format!("vhosts/{name}"), json!({})).await;
        self.put(
            &format!("permissions/{name}/{}", self.amqp.username()),
            json!({ "configure": ".*", "write": ".*", "read": ".*" }),
        )
        .await;
        let template = template.unwrap_or("template1");
        self.administer(format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        let (mut amqp, mut database) = (self.amqp.clone(), self.database.clone());
        amqp.set_path(&name);
        database.set_path(&name);
        let guest = Guest { name, management: self.management.clone(), database: self.database.clone() };
        (amqp.to_string(), database.to_string(), self.outlive_us.then_some(guest))
    }

    /// The name of a migrated database, from which each test's is copied: migrating takes as long as many a
    /// test. It stays on the server until the migrations change.
    pub(super) async fn migrated(&self) -> String {
        const NAMES: &str = "revocation_worker_tests_";
        let migrator = sqlx::migrate!();
        let mut digest = Context::new(&SHA256);
        migrator.iter().for_each(|migration| digest.update(&migration.checksum));
        let digest: String = digest.finish().as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{NAMES}{digest}");
        let mut admin = self.admin().await;
        let ours = "SELECT pg_advisory_lock(hashtext('revocation_worker_tests'))";
        admin.execute(ours).await.expect("wait for other binaries");
        let others = "SELECT datname FROM pg_database WHERE starts_with(datname, $1)";
        let there: Vec<String> =
            sqlx::query_scalar(others).bind(NAMES).fetch_all(&mut admin).await.expect("look for databases");
        if !there.contains(&name) {
            for old in there {
                drop(admin.execute(sqlx::AssertSqlSafe(format!("DROP DATABASE {old}"))).await);
            }
            let new = format!("new_{}", Uuid::now_v7().simple());
            self.administer(format!("CREATE DATABASE {new}")).await;
            let mut url = self.database.clone();
            url.set_path(&new);
            let mut connection =
                PgConnection::connect(url.as_str()).await.expect("connect to the new database");
            migrator.run(&mut connection).await.expect("migrate a database");
            connection.close().await.expect("leave it");
            self.administer(format!("ALTER DATABASE {new} RENAME TO {name}")).await;
        }
        name
    }

    async fn admin(&self) -> PgConnection {
        PgConnection::connect(self.database.as_str()).await.expect("connect to PostgreSQL")
    }

    async fn administer(&self, statement: String) {
        let done = self.admin().await.execute(sqlx::AssertSqlSafe(statement.as_str())).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

impl Guest {
    /// Removes both, as far as the servers let it; blocks.
    pub(super) fn leave(self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let url = format!("{}api/vhosts/{}", self.management.as_str(), self.name);
            drop(client().delete(url).send().await);
            if let Ok(mut connection) = PgConnection::connect(self.database.as_str()).await {
                let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
                drop(connection.execute(sqlx::AssertSqlSafe(statement)).await);
            }
        });
    }
}

/// `PUT /api/<path>` at a management interface.
pub(super) async fn put(management: &Url, path: &str, body: serde_json::Value) {
    let url = format!("{}api/{path}", management.as_str());
    let answer = client().put(url).json(&body).send().await.expect("ask the management interface");
    answer.error_for_status().expect("the management interface does it");
}

/// Without the machine's certificates, which take long to read and which nobody asks for.
fn client() -> reqwest::Client {
    reqwest::Client::builder().tls_certs_only([]).build().expect("a client")
}

/// `url` with the user, the password and, where asked, the host of another.
fn with_credentials(url: &str, from: &Url, host: bool) -> Url {
    let mut url: Url = url.parse().expect("a URL");
    if host {
        url.set_host(from.host_str()).expect("a host");
    }
    url.set_username(from.username()).and(url.set_password(from.password())).expect("credentials");
    url
}

impl Servers {
    /// Servers of the test's own.
    pub(crate) async fn private() -> Self {
        tokio::task::spawn_blocking(Self::boot).await.expect("no panic")
    }

    /// A database of the test's own beside the shared broker, which takes several times as long to boot.
    pub(crate) async fn own_database() -> Self {
        let booted = tokio::task::spawn_blocking(Postgres::start).await.expect("no panic");
        Self { rabbitmq: None, postgres: Mutex::new(booted.expect("start PostgreSQL")) }
    }

    /// Does something to the broker.
    pub(crate) fn broker<T>(&self, act: impl FnOnce(&mut RabbitMq) -> T) -> T {
        let rabbitmq = self.rabbitmq.as_ref().expect("a broker of the test's own");
        tokio::task::block_in_place(|| act(&mut rabbitmq.lock().expect("no panic")))
    }

    /// Does something to the database.
    pub(crate) fn database<T>(&self, act: impl FnOnce(&mut Postgres) -> T) -> T {
        tokio::task::block_in_place(|| act(&mut self.postgres.lock().expect("no panic")))
    }

    /// Makes streams that were just declared survive a kill. RabbitMQ 3.10 writes down that it has streams at
    /// all only minutes after the first one, or at an orderly end (Ra's names.dets, saved by dets every 180
    /// s). Killed before that, it can never open the stream again.
    pub(crate) fn settle_streams(&self) {
        self.broker(|broker| broker.restart().expect("restart the broker in order"));
    }

    /// Boots both, side by side.
    pub(crate) fn boot() -> Self {
        let (rabbitmq, postgres) = std::thread::scope(|scope| {
            let rabbitmq = scope.spawn(|| RabbitMq::start().expect("start RabbitMQ"));
            let postgres = Postgres::start().expect("start PostgreSQL");
            (rabbitmq.join().expect("no panic"), postgres)
        });
        Self { rabbitmq: Some(Mutex::new(rabbitmq)), postgres: Mutex::new(postgres) }
    }

    /// Where they are.
    pub(super) fn surroundings(&self) -> Surroundings {
        let database: Url = self.postgres.lock().expect("no panic").url().parse().expect("a URL");
        let Some(rabbitmq) = &self.rabbitmq else { return Surroundings { database, ..shared().clone() } };
        let rabbitmq = rabbitmq.lock().expect("no panic");
        let amqp: Url = rabbitmq.url().parse().expect("a URL");
        let management = with_credentials(&rabbitmq.management_url(), &amqp, false);
        Surroundings { amqp, management, database, outlive_us: false }
    }
}
