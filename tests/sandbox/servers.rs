//! The private servers: they serve, survive crashes with their data, and leave nothing behind.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use lapin::{BasicProperties, Connection, ConnectionProperties, options::*, types::FieldTable};
use revocation_sandbox::{Postgres, RabbitMq, SandboxError};
use sqlx::{ConnectOptions, Connection as _, PgConnection, postgres::PgConnectOptions};

use crate::Result;
use crate::running::{Running, sandbox};

async fn sql(postgres: &Postgres, statement: &'static str) -> Result<i64> {
    let mut connection: PgConnection = postgres.url().parse::<PgConnectOptions>()?.connect().await?;
    let value = sqlx::query_scalar(statement).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(value)
}

async fn channel(url: &str) -> Result<(Connection, lapin::Channel)> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

async fn publish(url: &str, queue: &str) -> Result {
    let (connection, channel) = channel(url).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), lapin::types::AMQPValue::LongString("quorum".into()));
    let declare = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.into(), declare, arguments).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let confirm = channel
        .basic_publish("".into(), queue.into(), options, b"kept", BasicProperties::default())
        .await?
        .await?;
    assert!(confirm.is_ack());
    connection.close(200, "done".into()).await?;
    Ok(())
}

async fn get(url: &str, queue: &str) -> Result<Vec<u8>> {
    let (connection, channel) = channel(url).await?;
    let message = channel
        .basic_get(queue.into(), BasicGetOptions { no_ack: true })
        .await?
        .ok_or("the queue is empty")?;
    connection.close(200, "done".into()).await?;
    Ok(message.delivery.data)
}

/// A private server, or none on a machine whose tests use servers from elsewhere and that has no programs for
/// its own. It is started from a thread that ends, which must not take the server along.
fn start<T: Send + 'static>(server: fn() -> std::result::Result<T, SandboxError>) -> Result<Option<T>> {
    match std::thread::spawn(server).join().map_err(|_| "the thread panicked")? {
        Err(SandboxError::Missing { .. }) if servers_are_elsewhere() => Ok(None),
        started => Ok(Some(started?)),
    }
}

fn servers_are_elsewhere() -> bool {
    ["AMQP_URL", "DATABASE_URL"].iter().all(|name| std::env::var_os(name).is_some())
}

/// The living processes that work in a directory, removed or not.
fn processes_in(place: &Path) -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let inside = entries
        .filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(place)));
    inside.map(|entry| fs::read_to_string(entry.path().join("comm")).unwrap_or_default()).collect()
}

fn place(inner: &Path) -> PathBuf {
    inner.parent().map(Path::to_path_buf).unwrap_or_default()
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok().and_then(Result::ok)
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_data_through_a_crash_and_leaves_nothing() -> Result {
    let (Some(mut postgres), Some(beside)) = (start(Postgres::start)?, start(Postgres::start)?) else {
        return Ok(());
    };
    sql(&postgres, "with made as (select 1) select count(*) from made").await?;
    let mut connection = PgConnection::connect(&postgres.url()).await?;
    sqlx::raw_sql("create table kept (value bigint); insert into kept values (42)")
        .execute(&mut connection)
        .await?;
    assert!(sql(&beside, "select count(*) from kept").await.is_err(), "two servers share their data");

    postgres.kill();
    assert_eq!(processes_in(&postgres.data_dir()), [""; 0], "left after a kill");
    assert!(sqlx::query("select 1").execute(&mut connection).await.is_err());
    postgres.restart()?;
    assert_eq!(sql(&postgres, "select value from kept").await?, 42);

    postgres.pause()?;
    assert!(in_time(Duration::from_millis(200), sql(&postgres, "select value from kept")).await.is_none());
    postgres.resume()?;
    assert_eq!(sql(&postgres, "select value from kept").await?, 42);

    let place = place(&postgres.data_dir());
    assert!(processes_in(&place).len() > 1, "the test does not see the server's processes");
    drop(postgres);
    assert_eq!(processes_in(&place), [""; 0]);
    assert!(!place.exists());
    assert_eq!(sql(&beside, "select 7::bigint").await?, 7, "the neighbour went with it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_keeps_messages_through_a_crash_and_leaves_nothing() -> Result {
    let Some(mut rabbitmq) = start(RabbitMq::start)? else { return Ok(()) };
    let url = rabbitmq.vhost("a fresh/host")?;
    publish(&url, "kept").await?;
    publish(&rabbitmq.url(), "elsewhere").await?;
    assert!(get(&url, "elsewhere").await.is_err(), "virtual hosts share their queues");

    rabbitmq.kill();
    assert_eq!(processes_in(&place(&rabbitmq.data_dir())), ["epmd\n"], "left after a kill");
    rabbitmq.restart()?;
    assert_eq!(get(&url, "kept").await?, b"kept");

    rabbitmq.pause()?;
    assert!(in_time(Duration::from_millis(500), publish(&url, "kept")).await.is_none());
    rabbitmq.resume()?;
    publish(&url, "kept").await?;

    rabbitmq.add_user("auditor", "secret")?;
    let guest = url.replace("guest:guest", "auditor:secret");
    assert!(publish(&guest, "kept").await.is_err(), "a new user may do something already");
    rabbitmq.grant("auditor", "a fresh/host")?;
    publish(&guest, "kept").await?;
    assert!(rabbitmq.ctl(&["list_users"])?.contains("auditor"));
    assert!(rabbitmq.ctl(&["no_such_command"]).is_err());

    let place = place(&rabbitmq.data_dir());
    assert!(processes_in(&place).len() > 1, "the test does not see the server's processes");
    drop(rabbitmq);
    assert_eq!(processes_in(&place), [""; 0]);
    assert!(!place.exists());
    Ok(())
}

#[test]
fn servers_die_with_a_killed_parent() -> Result {
    let mut parent = Running::start(sandbox(&["--servers"]))?;
    let output = BufReader::new(parent.child.stdout.take().ok_or("no output")?).lines();
    let addresses = output.map_while(std::result::Result::ok);
    if addresses.take(3).count() < 3 && servers_are_elsewhere() {
        return Ok(());
    }
    let places = parent.places()?;
    assert_eq!(places.len(), 2, "it did not boot its servers");
    assert!(places.iter().all(|place| processes_in(place).len() > 1), "the test does not see them");

    parent.child.kill()?;
    parent.child.wait()?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while !parent.working()?.is_empty() {
        assert!(Instant::now() < deadline, "left running: {:?}", parent.working()?);
        std::thread::yield_now();
    }
    // The next start sweeps the directories.
    drop(Postgres::start()?);
    assert!(places.iter().all(|place| !place.exists()));
    Ok(())
}
