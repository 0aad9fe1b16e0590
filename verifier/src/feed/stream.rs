//! What RabbitMQ does with streams over AMQP 0-9-1.

use std::time::Duration;

use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer};

use super::FeedError;
use super::begin::{Ends, From, Mark};
use super::incoming::Incoming;
use crate::amqp::DEADLINE;
use crate::message::STREAM;

/// Most messages that the broker sends ahead of their acknowledgement. One of a mass revocation has about 100 kB, and all may lie in memory.
const PREFETCH: u16 = 300;
/// One acknowledgement for so many messages.
const ACK_EVERY: u64 = 100;
/// How long the first message of a stream may take to come before the stream seems empty; what is read later tells whether it was.
const EMPTY_AFTER: Duration = Duration::from_secs(3);
/// A chunk, the unit in which a stream is stored and read, holds no more messages than this.
const CHUNK: u16 = u16::MAX;

/// A consumer of the stream.
pub(super) struct Subscription {
    channel: Channel,
    consumer: Consumer,
    unacknowledged: u64,
}

impl Subscription {
    async fn start(connection: &Connection, from: AMQPValue, prefetch: u16) -> Result<Self, FeedError> {
        let subscribed = async {
            let channel = connection.create_channel().await?;
            channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
            let mut arguments = FieldTable::default();
            arguments.insert("x-stream-offset".into(), from);
            let consumer = channel.basic_consume(STREAM.into(), "verifier".into(), BasicConsumeOptions::default(), arguments).await?;
            Ok(Self { channel, consumer, unacknowledged: 0 })
        };
        match tokio::time::timeout(DEADLINE, subscribed).await {
            Ok(subscribed) => subscribed.map_err(FeedError::Lapin),
            Err(_) => Err(FeedError::NoAnswer),
        }
    }

    pub(super) async fn from(connection: &Connection, from: From) -> Result<Self, FeedError> {
        let offset = match from {
            // Seconds: the earlier one is the safe one.
            From::Time(time) => AMQPValue::Timestamp(u64::try_from(time.unix_timestamp()).unwrap_or(0)),
            From::Again(mark) => AMQPValue::LongLongInt(i64::try_from(mark.offset).unwrap_or(i64::MAX)),
            From::First => named("first"),
        };
        Self::start(connection, offset, PREFETCH).await
    }

    /// The next message, with its offset.
    pub(super) async fn next(&mut self) -> Result<(u64, Delivery), FeedError> {
        let delivery = self.consumer.next().await.ok_or(FeedError::Ended)?.map_err(FeedError::Lapin)?;
        let offset = offset(&delivery).ok_or(FeedError::NoOffset)?;
        Ok((offset, delivery))
    }

    /// Lets the broker send more. Streams remember no acknowledgements.
    pub(super) async fn acknowledge(&mut self, delivery: &Delivery) -> Result<(), FeedError> {
        self.unacknowledged += 1;
        if self.unacknowledged >= ACK_EVERY {
            self.unacknowledged = 0;
            let all = BasicAckOptions { multiple: true };
            self.channel.basic_ack(delivery.delivery_tag, all).await.map_err(FeedError::Lapin)?;
        }
        Ok(())
    }

    async fn end(self) {
        drop(tokio::time::timeout(DEADLINE, self.channel.close(200, "done".into())).await);
    }
}

fn named(offset: &str) -> AMQPValue {
    AMQPValue::LongString(offset.into())
}

fn offset(delivery: &Delivery) -> Option<u64> {
    let headers = delivery.properties.headers().as_ref()?;
    match headers.inner().get("x-stream-offset")? {
        AMQPValue::LongLongInt(offset) => u64::try_from(*offset).ok(),
        AMQPValue::LongInt(offset) => u64::try_from(*offset).ok(),
        _ => None,
    }
}

fn mark(offset: u64, delivery: &Delivery) -> Mark {
    Mark::new(offset, Incoming::parse(&delivery.data).1, &delivery.data)
}

/// The stream's first and last message.
pub(super) async fn ends(connection: &Connection) -> Result<Ends, FeedError> {
    let (first, last) = tokio::try_join!(first(connection), last(connection))?;
    Ok(Ends { first, last })
}

async fn first(connection: &Connection) -> Result<Option<Mark>, FeedError> {
    let mut subscription = Subscription::start(connection, named("first"), 1).await?;
    let found = match tokio::time::timeout(EMPTY_AFTER, subscription.next()).await {
        Ok(next) => next.map(|(offset, delivery)| Some(mark(offset, &delivery))),
        Err(_) => Ok(None),
    };
    subscription.end().await;
    found
}

/// RabbitMQ begins at the last chunk, sends all of it in one go, and only then looks at the channel's next request: what arrived before that
/// request's answer is the chunk.
async fn last(connection: &Connection) -> Result<Option<Mark>, FeedError> {
    let mut subscription = Subscription::start(connection, named("last"), CHUNK).await?;
    let mut found = None;
    if let Ok(next) = tokio::time::timeout(EMPTY_AFTER, subscription.next()).await {
        let (offset, delivery) = next?;
        found = Some(mark(offset, &delivery));
        let answered = subscription.channel.basic_qos(CHUNK, BasicQosOptions::default());
        match tokio::time::timeout(DEADLINE, answered).await {
            Ok(answered) => answered.map_err(FeedError::Lapin)?,
            Err(_) => return Err(FeedError::NoAnswer),
        }
        while let Some(next) = futures::FutureExt::now_or_never(subscription.next()) {
            let (offset, delivery) = next?;
            found = Some(mark(offset, &delivery));
        }
    }
    subscription.end().await;
    Ok(found)
}
