//! What every run starts from: the same servers, and a virtual host and database of its own.

use lapin::options::{ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use revocation_sandbox::{Postgres, RabbitMq};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor};
use url::Url;

use crate::bound::{Bound, Reader};
use crate::load::Producer;
use crate::provider::Provider;
use crate::{Result, measure};

const INTAKE: &str = "revocation.logout";
/// Retention of the stream, in RabbitMQ's notation and in the worker's; 30 days.
const STREAM_MAX_AGE: &str = "30D";
const STREAM_MAX_LENGTH_BYTES: i64 = 5_000_000_000;
/// The worker's settings that make it declare the stream as it was declared here.
pub(crate) const STREAM_SETTINGS: [(&str, &str); 2] =
    [("INVALIDATION__STREAM_MAX_AGE", "30d"), ("INVALIDATION__STREAM_MAX_LENGTH_BYTES", "5000000000")];

/// The worker's own default of `providers.<name>.concurrency`.
pub(crate) const CONCURRENCY: u32 = 32;

/// The servers of all runs.
pub(crate) struct Servers {
    pub(crate) rabbitmq: RabbitMq,
    pub(crate) postgres: Postgres,
    pub(crate) provider: Provider,
    /// What is bound to the invalidations of each run.
    pub(crate) bound: Bound,
    /// Events (bare loop, Go) or calls (worker) at the provider at once; the worker's own default.
    pub(crate) concurrency: u32,
    stages: u32,
}

impl Servers {
    /// Boots them.
    pub(crate) async fn boot(provider_ms: u64) -> Result<Self> {
        Ok(Self {
            rabbitmq: RabbitMq::start()?,
            postgres: Postgres::start()?,
            provider: Provider::start(provider_ms).await?,
            bound: Bound::Quorum,
            concurrency: CONCURRENCY,
            stages: 0,
        })
    }

    /// From now on as the worker is shipped, at a provider that answers at once.
    pub(crate) async fn at_once(&mut self) -> Result {
        self.concurrency = CONCURRENCY;
        self.provider.behave(0, 0.0).await
    }
}

/// One run's virtual host, with the contract's topology, and its empty database.
pub(crate) struct Stage {
    name: String,
    pub(crate) amqp_url: String,
    pub(crate) database_url: String,
    pub(crate) database: PgPool,
    pub(crate) concurrency: u32,
    bound: Bound,
    /// An application with the worker's own user.
    pub(crate) producer: Producer,
    connections: Vec<Connection>,
}

impl Stage {
    /// Makes them.
    pub(crate) async fn raise(servers: &mut Servers) -> Result<Self> {
        servers.stages += 1;
        let name = format!("bench_{}", servers.stages);
        let admin = connect(&servers.postgres.url()).await?;
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await?;
        admin.close().await;
        let server = servers.postgres.url();
        let database_url =
            format!("{}/{name}", server.rsplit_once('/').map_or(&*server, |(server, _)| server));
        let database = connect(&database_url).await?;
        let amqp_url = servers.rabbitmq.vhost(&name)?;
        let (connection, producer) = produce(&amqp_url).await?;
        declare_topology(&producer.channel).await?;
        servers.bound.declare(&producer.channel).await?;
        let (concurrency, bound, connections) = (servers.concurrency, servers.bound, vec![connection]);
        Ok(Self { name, amqp_url, database_url, database, concurrency, bound, producer, connections })
    }

    /// Reads what verifiers are told.
    pub(crate) async fn reader(&self) -> Result<Reader> {
        Reader::start(self.bound, &self.amqp_url).await
    }

    /// Another application, with a broker user of its own.
    pub(crate) async fn another(&mut self, servers: &Servers, user: &str) -> Result<Producer> {
        servers.rabbitmq.add_user(user, user)?;
        servers.rabbitmq.grant(user, &self.name)?;
        let mut url: Url = self.amqp_url.parse()?;
        let named = url.set_username(user).and_then(|()| url.set_password(Some(user)));
        named.map_err(|()| "an AMQP URL without a host")?;
        let (connection, producer) = produce(url.as_str()).await?;
        self.connections.push(connection);
        Ok(producer)
    }

    /// Waits until nothing is left to do for broker and database.
    pub(crate) async fn calm(&self) -> Result {
        self.database.execute("CHECKPOINT").await?;
        measure::calm().await;
        Ok(())
    }

    /// What a statement counts.
    pub(crate) async fn count(&self, statement: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(statement).fetch_one(&self.database).await?)
    }

    /// Messages ready in the intake queue, and its consumers.
    pub(crate) async fn intake(&self) -> Result<(u32, u32)> {
        queue(&self.producer.channel, INTAKE).await
    }

    /// Removes them.
    pub(crate) async fn strike(self, servers: &Servers) -> Result {
        for connection in &self.connections {
            connection.close(200, "done".into()).await?;
        }
        self.database.close().await;
        servers.rabbitmq.ctl(&["delete_vhost", &self.name])?;
        let admin = connect(&servers.postgres.url()).await?;
        admin.execute(AssertSqlSafe(format!("DROP DATABASE {} WITH (FORCE)", self.name))).await?;
        admin.close().await;
        Ok(())
    }
}

async fn produce(amqp_url: &str) -> Result<(Connection, Producer)> {
    let user = amqp_url.parse::<Url>()?.username().into();
    let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok((connection, Producer { channel, user }))
}

/// Messages ready in a queue, and its consumers.
pub(crate) async fn queue(channel: &Channel, name: &str) -> Result<(u32, u32)> {
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    let queue = channel.queue_declare(name.into(), options, FieldTable::default()).await?;
    Ok((queue.message_count(), queue.consumer_count()))
}

async fn connect(url: &str) -> Result<PgPool> {
    Ok(PgPoolOptions::new().max_connections(1).connect(url).await?)
}

/// The part of docs/contract.md, section 5 that one lane touches; the worker declares the rest itself.
async fn declare_topology(channel: &Channel) -> Result {
    let exchanges = [
        ("auth.events", ExchangeKind::Topic),
        ("revocation.dead", ExchangeKind::Fanout),
        ("auth.invalidations", ExchangeKind::Topic),
    ];
    for (name, kind) in exchanges {
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await?;
    }
    let queues = [
        ("auth.events", "auth.logout.#", INTAKE, intake_arguments()),
        ("revocation.dead", "", "revocation.dead", dead_arguments()),
        ("auth.invalidations", "#", "auth.invalidations.log", log_arguments()),
    ];
    for (exchange, key, queue, arguments) in queues {
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(queue.into(), options, arguments).await?;
        channel
            .queue_bind(
                queue.into(),
                exchange.into(),
                key.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
    }
    Ok(())
}

fn intake_arguments() -> FieldTable {
    arguments([
        ("x-queue-type", text("quorum")),
        ("x-dead-letter-exchange", text("revocation.dead")),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
        ("x-delivery-limit", AMQPValue::LongLongInt(100)),
    ])
}

fn dead_arguments() -> FieldTable {
    arguments([("x-queue-type", text("quorum")), ("x-delivery-limit", AMQPValue::LongLongInt(1_000_000))])
}

fn log_arguments() -> FieldTable {
    let max_length_bytes = AMQPValue::LongLongInt(STREAM_MAX_LENGTH_BYTES);
    arguments([
        ("x-queue-type", text("stream")),
        ("x-max-age", text(STREAM_MAX_AGE)),
        ("x-max-length-bytes", max_length_bytes),
    ])
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn arguments<const N: usize>(pairs: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in pairs {
        table.insert(key.into(), value);
    }
    table
}
