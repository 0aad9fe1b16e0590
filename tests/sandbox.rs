//! The private servers: they serve, survive crashes with their data, and leave nothing behind.
#![cfg(test)]
#![cfg(feature = "sandbox")]

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use lapin::{BasicProperties, Connection, ConnectionProperties, options::*, types::FieldTable};
use revocation_sandbox::{Postgres, RabbitMq, SandboxError};
use sqlx::{ConnectOptions, Connection as _, PgConnection, postgres::PgConnectOptions};

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

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
/// its own.
fn start<T>(server: fn() -> std::result::Result<T, SandboxError>) -> Result<Option<T>> {
    match server() {
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

/// Not a test of its own: what `servers_die_with_a_killed_parent` kills. It holds two servers and says where
/// they live.
#[test]
fn hold_servers() -> Result {
    if std::env::var_os("SANDBOX_HOLD").is_none() {
        return Ok(());
    }
    // From a thread that ends: the servers must outlive the thread that asked for them.
    let servers = std::thread::spawn(|| {
        Ok::<_, Box<dyn Error + Send + Sync>>((start(Postgres::start)?, start(RabbitMq::start)?))
    });
    let (Some(postgres), Some(rabbitmq)) = servers.join().map_err(|_| "the thread panicked")?? else {
        return Ok(());
    };
    let mut out = std::io::stdout();
    writeln!(
        out,
        "\nheld {}\nheld {}",
        place(&postgres.data_dir()).display(),
        place(&rabbitmq.data_dir()).display()
    )?;
    std::thread::park();
    Ok(())
}

#[test]
fn servers_die_with_a_killed_parent() -> Result {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "hold_servers", "--nocapture"]).env("SANDBOX_HOLD", "1").stdout(Stdio::piped());
    let mut parent = command.spawn()?;
    let output = parent.stdout.take().ok_or("no output")?;
    let held = BufReader::new(output).lines().map_while(std::result::Result::ok);
    let held = held.filter_map(|line| line.strip_prefix("held ").map(PathBuf::from));
    let places: Vec<PathBuf> = held.take(2).collect();
    if places.is_empty() && servers_are_elsewhere() {
        return Ok(());
    }
    assert_eq!(places.len(), 2, "the holder did not boot its servers");
    assert!(
        places.iter().all(|place| processes_in(place).len() > 1),
        "the servers went with the thread that started them"
    );

    parent.kill()?;
    parent.wait()?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while places.iter().any(|place| !processes_in(place).is_empty()) {
        assert!(
            Instant::now() < deadline,
            "left running: {:?}",
            places.iter().map(|place| processes_in(place)).collect::<Vec<_>>()
        );
        std::thread::yield_now();
    }
    // The next start sweeps the directories.
    drop(Postgres::start()?);
    assert!(places.iter().all(|place| !place.exists()));
    Ok(())
}
