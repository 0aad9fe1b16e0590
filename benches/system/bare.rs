//! The bare loop: what a good engineer writes when only the happy path counts. It consumes, posts twice,
//! inserts in batches, publishes once and acknowledges. It holds no durable state, seals nothing and keeps no
//! audit: a crash repeats, a failed call is tried again after a pause, and any other failure ends it.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use futures::StreamExt;
use futures::future::try_join_all;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgPool, PgPoolOptions};
use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::Result;

/// The worker's own default of `amqp.prefetch`.
const PREFETCH: u16 = 300;
/// Larger messages are dropped unread, bytes.
const LARGEST: usize = 1 << 20;
/// Before a failed call is tried again.
const PAUSE: Duration = Duration::from_millis(100);
/// Most events of one insert.
const BATCH: usize = 100;
/// 30 days, the default of `providers.<name>.token_ttl`.
const DENIAL: Duration = Duration::from_secs(30 * 86_400);

/// Its only table.
pub(crate) const SCHEMA: &str = "CREATE TABLE logouts (source text NOT NULL, id text NOT NULL, received_at \
    timestamptz NOT NULL, \
     digests bytea NOT NULL, PRIMARY KEY (source, id))";

#[derive(Deserialize)]
struct Event {
    id: String,
    source: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    token: String,
    token_type_hint: String,
}

/// An event whose tokens are revoked.
struct Revoked {
    event: Event,
    received_at: OffsetDateTime,
    delivery: Delivery,
}

/// The loop's process: runs until SIGTERM, then finishes what it took.
#[tokio::main]
pub(crate) async fn run() -> Result {
    let (amqp_url, database_url, revoke_url) =
        (env::var("AMQP_URL")?, env::var("DATABASE_URL")?, env::var("REVOKE_URL")?);
    let concurrency = env::var("CONCURRENCY")?.parse()?;
    let connection = Connection::connect(&amqp_url, ConnectionProperties::default()).await?;
    let (intake, output) = (connection.create_channel().await?, connection.create_channel().await?);
    output.confirm_select(ConfirmSelectOptions::default()).await?;
    let database = PgPoolOptions::new().max_connections(4).connect(&database_url).await?;
    let (revoked_tx, revoked_rx) = mpsc::unbounded_channel();
    let recorder = tokio::spawn(record(revoked_rx, database, output.clone()));
    consume(&intake, revoke_url.into(), concurrency, revoked_tx).await?;
    recorder.await??;
    Ok(connection.close(200, "done".into()).await?)
}

/// Takes events, and has each revoked in a task of its own.
async fn consume(
    channel: &Channel,
    revoke_url: Arc<str>,
    concurrency: usize,
    revoked: mpsc::UnboundedSender<Revoked>,
) -> Result {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut terminate = signal(SignalKind::terminate())?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel
        .basic_consume("revocation.logout".into(), "bare".into(), options, FieldTable::default())
        .await?;
    let (slots, mut tasks) = (Arc::new(Semaphore::new(concurrency)), JoinSet::new());
    loop {
        let delivery = tokio::select! {
            delivery = consumer.next() => delivery.ok_or("the broker ended the consumer")??,
            Some(done) = tasks.join_next() => { done??; continue }
            _ = terminate.recv() => break,
        };
        if delivery.data.len() > LARGEST {
            delivery.ack(BasicAckOptions::default()).await?;
            continue;
        }
        let received_at = OffsetDateTime::now_utc();
        let slot = slots.clone().acquire_owned().await?;
        let (http, revoke_url, revoked) = (http.clone(), revoke_url.clone(), revoked.clone());
        tasks.spawn(async move {
            let event: Event = serde_json::from_slice(&delivery.data)?;
            revoke(&http, &revoke_url, &event).await?;
            drop(slot);
            revoked.send(Revoked { event, received_at, delivery }).map_err(|_| "the recorder has ended")?;
            Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
        });
    }
    channel.basic_cancel("bare".into(), BasicCancelOptions::default()).await?;
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// The refresh token first, as the contract has it.
async fn revoke(http: &reqwest::Client, url: &str, event: &Event) -> Result {
    for target in event.data.targets.iter().rev() {
        let form = [("token", &target.token), ("token_type_hint", &target.token_type_hint)];
        loop {
            let response =
                http.post(url).basic_auth("bench", Some("bench-secret")).form(&form).send().await?;
            let accepted = response.status().is_success();
            response.bytes().await?;
            if accepted {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Inserts what is there, up to a batch; publishing and acknowledging go on beside the next insert.
async fn record(mut revoked: mpsc::UnboundedReceiver<Revoked>, database: PgPool, channel: Channel) -> Result {
    let (mut batch, mut published) = (Vec::new(), JoinSet::new());
    while revoked.recv_many(&mut batch, BATCH).await > 0 {
        insert(&database, &batch).await?;
        published.spawn(publish_and_ack(channel.clone(), std::mem::take(&mut batch)));
        while let Some(done) = published.try_join_next() {
            done??;
        }
    }
    while let Some(done) = published.join_next().await {
        done??;
    }
    Ok(())
}

async fn insert(database: &PgPool, batch: &[Revoked]) -> Result {
    let sources: Vec<&str> = batch.iter().map(|revoked| &*revoked.event.source).collect();
    let ids: Vec<&str> = batch.iter().map(|revoked| &*revoked.event.id).collect();
    let received_at: Vec<OffsetDateTime> = batch.iter().map(|revoked| revoked.received_at).collect();
    let digests: Vec<Vec<u8>> = batch.iter().map(|revoked| digests(&revoked.event)).collect();
    let statement = "INSERT INTO logouts SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], \
        $4::bytea[]) ON CONFLICT DO NOTHING";
    sqlx::query(statement)
        .bind(&sources)
        .bind(&ids)
        .bind(&received_at)
        .bind(&digests)
        .execute(database)
        .await?;
    Ok(())
}

fn digests(event: &Event) -> Vec<u8> {
    event
        .data
        .targets
        .iter()
        .flat_map(|target| digest(&SHA256, target.token.as_bytes()).as_ref().to_vec())
        .collect()
}

async fn publish_and_ack(channel: Channel, batch: Vec<Revoked>) -> Result {
    let mut confirms = Vec::with_capacity(batch.len());
    for revoked in &batch {
        confirms.push(publish(&channel, &revoked.event).await?);
    }
    for confirmation in try_join_all(confirms).await? {
        if !matches!(confirmation, Confirmation::Ack(None)) {
            return Err("the broker refused or returned an invalidation".into());
        }
    }
    for revoked in &batch {
        revoked.delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

/// An invalidation in the contract's form, less what the loop does not know.
#[derive(Serialize)]
struct Invalidation<'a> {
    specversion: &'a str,
    id: uuid::Uuid,
    source: &'a str,
    r#type: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    data: InvalidationData<'a>,
}

#[derive(Serialize)]
struct InvalidationData<'a> {
    phase: &'a str,
    provider: &'a str,
    event: EventRef<'a>,
    targets: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct EventRef<'a> {
    source: &'a str,
    id: &'a str,
}

#[derive(Serialize)]
struct Entry<'a> {
    kind: &'a str,
    token_sha256: String,
    token_type_hint: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

async fn publish(
    channel: &Channel,
    event: &Event,
) -> Result<impl Future<Output = lapin::Result<Confirmation>> + use<>> {
    let now = OffsetDateTime::now_utc();
    let entry = |target: &'_ Target| (hex(digest(&SHA256, target.token.as_bytes()).as_ref()), now + DENIAL);
    let targets = event.data.targets.iter().map(|target| {
        let (token_sha256, expires_at) = entry(target);
        Entry { kind: "token", token_sha256, token_type_hint: &target.token_type_hint, expires_at }
    });
    let reference = EventRef { source: &event.source, id: &event.id };
    let data = InvalidationData {
        phase: "requested",
        provider: "main",
        event: reference,
        targets: targets.collect(),
    };
    let id = uuid::Uuid::now_v7();
    let message = Invalidation {
        specversion: "1.0",
        id,
        source: "/bare",
        r#type: "auth.invalidation.v1",
        time: now,
        data,
    };
    let properties = BasicProperties::default()
        .with_content_type("application/cloudevents+json".into())
        .with_delivery_mode(2);
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let body = serde_json::to_vec(&message)?;
    Ok(channel
        .basic_publish(
            "auth.invalidations".into(),
            "invalidation.main.token".into(),
            options,
            &body,
            properties,
        )
        .await?)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}
