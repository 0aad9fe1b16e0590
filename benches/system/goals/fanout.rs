//! Many verifiers, beside as many readers of the stream that only receive such messages.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde_json::json;
use tokio::time::Instant;

use super::Options;
use super::line::Limit::AtMost;
use super::line::Line;
use crate::latency::{Spread, spread};
use crate::measure::{median, median_ratio, now_us};
use crate::report::number;
use crate::stage::{Servers, Stage};
use crate::verifiers::live;
use crate::{Result, load};

const STREAM: &str = "auth.invalidations.log";
/// Logouts a second.
const RATE: u32 = 200;
const PREFETCH: u16 = 300;
const ACK_EVERY: u64 = 50;
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(servers: &mut Servers, options: &Options) -> Result<Line> {
    servers.at_once().await?;
    let (mut verifiers, mut readers) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        readers.push(fan_out(servers, options.verifiers, options.seconds).await?.p99_ms);
        verifiers.push(live::run(servers, options.verifiers, RATE, options.seconds).await?.p99_ms);
        println!("round {round} of {} of {} verifiers done", options.rounds, options.verifiers);
    }
    let what = format!("refused at all of {} verifiers: p99, of the broker's own fan-out", options.verifiers);
    let from = format!("{} of {} ms", number(median(&verifiers)), number(median(&readers)));
    Ok(Line::plain(what, median_ratio(&verifiers, &readers), from).must(AtMost(3.0)).aim(AtMost(1.5)))
}

/// From publishing a denial to its receipt by the last of the readers. Each logout's denial is followed at
/// once by its confirmation, as a worker at a fast provider sends it.
async fn fan_out(servers: &mut Servers, readers: usize, seconds: u32) -> Result<Spread> {
    let stage = Stage::raise(servers).await?;
    let bound = stage.reader().await?;
    let logouts = RATE * (seconds + 1);
    let (mut connections, mut watches) = (Vec::new(), Vec::new());
    for _ in 0..readers {
        let connection = Connection::connect(&stage.amqp_url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let consumer = subscribe(&channel).await?;
        watches.push(tokio::spawn(watch(consumer, channel, logouts as usize)));
        connections.push(connection);
    }
    stage.calm().await?;
    let published = publish(&stage, logouts).await?;
    let mut received = vec![0; published.len()];
    for watch in watches {
        let seen =
            tokio::time::timeout(PATIENCE, watch).await.map_err(|_| "a reader misses a message")???;
        for (number, at_us) in seen {
            received[number] = at_us.max(received[number]);
        }
    }
    for connection in connections {
        connection.close(200, "done".into()).await?;
    }
    bound.stop().await?;
    stage.strike(servers).await?;
    Ok(spread(&published, &received, RATE as usize))
}

async fn subscribe(channel: &Channel) -> Result<Consumer> {
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), AMQPValue::LongString("next".into()));
    let options = BasicConsumeOptions::default();
    Ok(channel.basic_consume(STREAM.into(), "reader".into(), options, arguments).await?)
}

/// When each denial came, by its number, which is its message's id.
async fn watch(mut consumer: Consumer, channel: Channel, logouts: usize) -> Result<HashMap<usize, i64>> {
    let (mut seen, mut unacknowledged) = (HashMap::new(), 0);
    while seen.len() < logouts {
        let delivery = consumer.next().await.ok_or("the broker ended a reader")??;
        let id = delivery.properties.message_id().as_ref();
        if let Some(number) = id.and_then(|id| id.as_str().parse().ok()) {
            seen.insert(number, now_us());
        }
        unacknowledged += 1;
        if unacknowledged >= ACK_EVERY {
            unacknowledged = 0;
            channel.basic_ack(delivery.delivery_tag, BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(seen)
}

async fn publish(stage: &Stage, logouts: u32) -> Result<Vec<i64>> {
    let (mut published, mut open) = (Vec::new(), Vec::new());
    let start = Instant::now();
    for number in 0..logouts {
        tokio::time::sleep_until(start + Duration::from_secs(1) / RATE * number).await;
        let denial = BasicProperties::default().with_delivery_mode(2);
        let confirmation = denial.clone();
        published.push(now_us());
        for (phase, properties) in
            [("requested", denial.with_message_id(number.to_string().into())), ("confirmed", confirmation)]
        {
            let (exchange, key) = ("auth.invalidations".into(), "invalidation.main.token".into());
            let options = BasicPublishOptions { mandatory: true, ..Default::default() };
            let body = message(phase, number);
            let channel = &stage.producer.channel;
            open.push(channel.basic_publish(exchange, key, options, &body, properties).await?);
        }
    }
    for confirm in open {
        load::confirmed(confirm).await?;
    }
    Ok(published)
}

/// As long as the worker's own for an event of two tokens, one of them a JWT.
fn message(phase: &str, number: u32) -> Vec<u8> {
    let digest = || format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    let message = json!({
        "specversion": "1.0", "id": format!("{:032x}", rand::random::<u128>()), "source": "/fan-out",
        "type": "auth.invalidation.v1", "time": "2026-11-20T22:30:00.123456Z",
        "data": { "phase": phase, "provider": "main", "incident": null,
            "event": { "source": load::SOURCE, "id": number.to_string() },
            "targets": [
                { "kind": "token", "token_sha256": digest(), "token_type_hint": "refresh_token",
                  "expires_at": "2026-12-20T22:30:00.123456Z" },
                { "kind": "token", "token_sha256": digest(), "signed_sha256": digest(),
                  "token_type_hint": "access_token", "iss": "https://id.bench.example/realms/main",
                  "jti": digest(), "expires_at": "2096-10-02T07:06:40Z" } ] } });
    message.to_string().into_bytes()
}
