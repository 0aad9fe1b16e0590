//! Broker and database: booted, or those that AMQP_URL and DATABASE_URL name.

use std::sync::{Mutex, OnceLock};

use revocation_worker::sandbox::{Postgres, RabbitMq};
use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

/// A broker and a database of one's own.
pub(crate) struct Servers {
    /// The broker.
    pub(crate) rabbitmq: Mutex<RabbitMq>,
    /// The database.
    pub(crate) postgres: Mutex<Postgres>,
}

/// The servers that all tests of a binary share.
pub(super) fn shared() -> &'static Servers {
    static SHARED: OnceLock<Servers> = OnceLock::new();
    SHARED.get_or_init(Servers::boot)
}

impl Servers {
    /// Boots both, side by side.
    pub(crate) fn boot() -> Self {
        let (rabbitmq, postgres) = std::thread::scope(|scope| {
            let rabbitmq = scope.spawn(|| RabbitMq::start().expect("start RabbitMQ"));
            let postgres = Postgres::start().expect("start PostgreSQL");
            (rabbitmq.join().expect("no panic"), postgres)
        });
        Self { rabbitmq: Mutex::new(rabbitmq), postgres: Mutex::new(postgres) }
    }

    /// URLs of a new virtual host and a new, empty database.
    pub(super) async fn fresh(&self) -> (String, String) {
        let name = format!("t{}", Uuid::now_v7().simple());
        let amqp = self.rabbitmq.lock().expect("no panic").vhost(&name).expect("create a virtual host");
        let admin = self.postgres.lock().expect("no panic").url();
        let mut connection = PgConnection::connect(&admin).await.expect("connect to PostgreSQL");
        connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.expect("create a database");
        let mut url: url::Url = admin.parse().expect("a URL");
        url.set_path(&name);
        (amqp, url.to_string())
    }
}
