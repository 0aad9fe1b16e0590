//! What RabbitMQ does with streams over AMQP 0-9-1.

use std::time::Duration;

use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer};
use time::OffsetDateTime;

use super::FeedError;
use super::begin::{Ends, From, Mark};
use super::incoming::Incoming;
use crate::amqp::DEADLINE;
use crate::message::STREAM;

/// One acknowledgement for so many messages, or for a third of what may come ahead of it.
const ACK_EVERY: u64 = 100;
/// How long the first message of a stream may take to come before the stream seems empty; what is read later
/// tells whether it was.
const EMPTY_AFTER: Duration = Duration::from_secs(3);
/// A chunk, the unit in which a stream is stored and read, holds no more messages than this.
const CHUNK: u16 = u16::MAX;

/// Where in a stream to begin.
#[derive(Clone, Copy, Debug)]
pub enum Offset {
    /// Its oldest message.
    First,
    /// Its last chunk.
    Last,
    /// What is written from now on.
    Next,
    /// This message.
    At(u64),
    /// What was written at or after this moment; some older messages come too.
    Time(OffsetDateTime),
}

impl Offset {
    fn argument(self) -> AMQPValue {
        let named = |offset: &str| AMQPValue::LongString(offset.into());
        match self {
            Self::First => named("first"),
            Self::Last => named("last"),
            Self::Next => named("next"),
            Self::At(offset) => AMQPValue::LongLongInt(i64::try_from(offset).unwrap_or(i64::MAX)),
            // Seconds: the earlier one is the safe one.
            Self::Time(time) => AMQPValue::Timestamp(u64::try_from(time.unix_timestamp()).unwrap_or(0)),
        }
    }
}

impl std::convert::From<From> for Offset {
    fn from(from: From) -> Self {
        match from {
            From::Time(time) => Self::Time(time),
            From::Again(mark) => Self::At(mark.offset),
            From::First => Self::First,
        }
    }
}

/// A consumer of a stream.
pub struct Subscription {
    channel: Channel,
    consumer: Consumer,
    unacknowledged: u64,
    ack_every: u64,
}

impl Subscription {
    /// Subscribes; the broker sends at most `prefetch` messages ahead of their acknowledgement.
    ///
    /// # Errors
    /// The broker refuses, or does not answer.
    pub async fn start(
        connection: &Connection,
        stream: &'static str,
        from: Offset,
        prefetch: u16,
    ) -> Result<Self, FeedError> {
        let subscribed = async {
            let channel = connection.create_channel().await?;
            channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
            let mut arguments = FieldTable::default();
            arguments.insert("x-stream-offset".into(), from.argument());
            let consumer = channel
                .basic_consume(stream.into(), "verifier".into(), BasicConsumeOptions::default(), arguments)
                .await?;
            Ok(Self {
                channel,
                consumer,
                unacknowledged: 0,
                ack_every: ACK_EVERY.min(u64::from(prefetch / 3)).max(1),
            })
        };
        match tokio::time::timeout(DEADLINE, subscribed).await {
            Ok(subscribed) => subscribed.map_err(FeedError::Lapin),
            Err(_) => Err(FeedError::NoAnswer),
        }
    }

    /// The next message, with its offset. Nothing is lost where this is given up before it has one.
    ///
    /// # Errors
    /// The subscription has ended.
    pub async fn next(&mut self) -> Result<(u64, Delivery), FeedError> {
        let delivery = self.consumer.next().await.ok_or(FeedError::Ended)?.map_err(FeedError::Lapin)?;
        let offset = offset(&delivery).ok_or(FeedError::NoOffset)?;
        Ok((offset, delivery))
    }

    /// Lets the broker send more. Streams remember no acknowledgements.
    ///
    /// # Errors
    /// The subscription has ended.
    pub async fn acknowledge(&mut self, delivery_tag: u64) -> Result<(), FeedError> {
        self.unacknowledged += 1;
        if self.unacknowledged >= self.ack_every {
            self.unacknowledged = 0;
            let all = BasicAckOptions { multiple: true };
            self.channel.basic_ack(delivery_tag, all).await.map_err(FeedError::Lapin)?;
        }
        Ok(())
    }

    /// Unsubscribes.
    pub async fn end(self) {
        drop(tokio::time::timeout(DEADLINE, self.channel.close(200, "done".into())).await);
    }
}

fn offset(delivery: &Delivery) -> Option<u64> {
    let headers = delivery.properties.headers().as_ref()?;
    match headers.inner().get("x-stream-offset")? {
        AMQPValue::LongLongInt(offset) => u64::try_from(*offset).ok(),
        AMQPValue::LongInt(offset) => u64::try_from(*offset).ok(),
        _ => None,
    }
}

fn mark(offset: u64, body: &[u8]) -> Mark {
    Mark::new(offset, Incoming::parse(body).1, body)
}

/// The log's first and last message.
///
/// # Errors
/// The log cannot be read.
pub async fn ends(connection: &Connection) -> Result<Ends, FeedError> {
    let mut last = None;
    let (first, ()) = tokio::try_join!(
        first(connection),
        last_chunk(connection, STREAM, |offset, body| last = Some((offset, body)))
    )?;
    Ok(Ends { first, last: last.map(|(offset, body)| mark(offset, &body)) })
}

async fn first(connection: &Connection) -> Result<Option<Mark>, FeedError> {
    let mut subscription = Subscription::start(connection, STREAM, Offset::First, 1).await?;
    let found = match tokio::time::timeout(EMPTY_AFTER, subscription.next()).await {
        Ok(next) => next.map(|(offset, delivery)| Some(mark(offset, &delivery.data))),
        Err(_) => Ok(None),
    };
    subscription.end().await;
    found
}

/// RabbitMQ begins at the last chunk, sends all of it in one go, and only then looks at the channel's next
/// request: what arrived before that request's answer is the chunk.
pub(super) async fn last_chunk(
    connection: &Connection,
    stream: &'static str,
    mut each: impl FnMut(u64, Vec<u8>),
) -> Result<(), FeedError> {
    let mut subscription = Subscription::start(connection, stream, Offset::Last, CHUNK).await?;
    if let Ok(next) = tokio::time::timeout(EMPTY_AFTER, subscription.next()).await {
        let (offset, delivery) = next?;
        each(offset, delivery.data);
        let answered = subscription.channel.basic_qos(CHUNK, BasicQosOptions::default());
        match tokio::time::timeout(DEADLINE, answered).await {
            Ok(answered) => answered.map_err(FeedError::Lapin)?,
            Err(_) => return Err(FeedError::NoAnswer),
        }
        while let Some(next) = futures::FutureExt::now_or_never(subscription.next()) {
            let (offset, delivery) = next?;
            each(offset, delivery.data);
        }
    }
    subscription.end().await;
    Ok(())
}
