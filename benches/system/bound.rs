//! The queue of a service that consumes invalidations, bound to all of them, and its reader, which counts.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use serde::Serialize;

use crate::Result;
use crate::contender::Contender;
use crate::invalidation::{Message, Phase};
use crate::measure::now_us;

const QUEUE: &str = "bench.invalidations";
const EXCHANGE: &str = "auth.invalidations";
const PREFETCH: u16 = 300;
/// Messages of one acknowledgement; the rest is never acknowledged.
const ACK_EVERY: u64 = 50;

/// What is bound with `#` to `auth.invalidations`, beside the stream.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    /// A quorum queue.
    Quorum,
    /// A durable classic queue.
    Classic,
    /// Nothing; latencies are then seen at a transient queue.
    None,
}

impl Bound {
    fn queue_type(self) -> Option<&'static str> {
        match self {
            Self::Quorum => Some("quorum"),
            Self::Classic => Some("classic"),
            Self::None => None,
        }
    }

    /// Declares and binds it.
    pub(crate) async fn declare(self, channel: &Channel) -> Result {
        let Some(queue_type) = self.queue_type() else { return Ok(()) };
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(queue_type.into()));
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(QUEUE.into(), options, arguments).await?;
        bind(channel, QUEUE, "#").await
    }

    async fn consume(self, channel: &Channel) -> Result<Consumer> {
        let mut options = BasicConsumeOptions::default();
        let mut queue = QUEUE.to_owned();
        if self == Self::None {
            let transient = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
            queue =
                channel.queue_declare("".into(), transient, FieldTable::default()).await?.name().to_string();
            bind(channel, &queue, "invalidation.#").await?;
            options.no_ack = true;
        }
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        Ok(channel.basic_consume(queue.into(), "reader".into(), options, FieldTable::default()).await?)
    }
}

async fn bind(channel: &Channel, queue: &str, key: &str) -> Result {
    let options = QueueBindOptions::default();
    Ok(channel.queue_bind(queue.into(), EXCHANGE.into(), key.into(), options, FieldTable::default()).await?)
}

/// The reader of that queue.
pub(crate) struct Reader {
    connection: Connection,
    told: Arc<Mutex<Told>>,
}

impl Reader {
    pub(crate) async fn start(bound: Bound, amqp_url: &str) -> Result<Self> {
        let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let consumer = bound.consume(&channel).await?;
        let told: Arc<Mutex<Told>> = Arc::default();
        tokio::spawn(read(consumer, channel, bound != Bound::None, told.clone()));
        Ok(Self { connection, told })
    }

    /// What has been read so far.
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn stop(self) -> Result {
        Ok(self.connection.close(200, "done".into()).await?)
    }
}

async fn read(mut consumer: Consumer, channel: Channel, acks: bool, told: Arc<Mutex<Told>>) -> Result {
    let mut unacknowledged = 0;
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        told.lock().unwrap_or_else(PoisonError::into_inner).note(&delivery);
        unacknowledged += u64::from(acks);
        if unacknowledged >= ACK_EVERY {
            unacknowledged = 0;
            channel.basic_ack(delivery.delivery_tag, BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(())
}

/// What the reader was told.
#[derive(Default)]
pub(crate) struct Told {
    /// Invalidations of either phase, and the bytes of their bodies. Heartbeats do not count.
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Targets denied, of all events.
    pub(crate) denied: u64,
    /// When the latest of them came, in microseconds since 1970.
    pub(crate) latest_denial_us: i64,
    pub(crate) requested: ByEvent,
    pub(crate) confirmed: ByEvent,
    /// By event `id`, of events that have no number: when the latest of its targets was denied.
    others_us: HashMap<String, i64>,
}

impl Told {
    fn note(&mut self, delivery: &Delivery) {
        let at_us = now_us();
        let Some(message) = Message::read(&delivery.data) else { return };
        self.messages += 1;
        self.bytes += delivery.data.len() as u64;
        if message.phase() == Phase::Requested {
            self.denied += message.targets().count() as u64;
            self.latest_denial_us = at_us;
        }
        for (event, is_refresh) in message.targets() {
            match (event.parse(), message.phase()) {
                (Ok(number), Phase::Requested) => self.requested.note(number, is_refresh, at_us),
                (Ok(number), Phase::Confirmed) => self.confirmed.note(number, is_refresh, at_us),
                (Err(_), Phase::Requested) => drop(self.others_us.insert(event.to_owned(), at_us)),
                (Err(_), Phase::Confirmed) => (),
            }
        }
    }

    /// Whether verifiers know all that the contender tells them of so many events.
    pub(crate) fn is_complete(&self, contender: Contender, events: u32) -> bool {
        self.requested.complete >= events && (!contender.confirms() || self.confirmed.complete >= events)
    }

    /// When the latest target of an event that has no number was denied; fails for one that was not.
    pub(crate) fn other_us(&self, id: &str) -> Result<i64> {
        self.others_us.get(id).copied().ok_or_else(|| format!("event {id} was not denied").into())
    }
}

/// How often a phase has named each token of an event, and when it named the latest for the first time, in
/// microseconds since 1970; by event number.
#[derive(Default)]
pub(crate) struct ByEvent {
    events: Vec<([u8; 2], i64)>,
    complete: u32,
    repeated: u64,
}

impl ByEvent {
    fn note(&mut self, number: u32, is_refresh: bool, at_us: i64) {
        let number = number as usize;
        if self.events.len() <= number {
            self.events.resize(number + 1, ([0; 2], 0));
        }
        let (times, latest_us) = &mut self.events[number];
        let (own, other) = (usize::from(is_refresh), usize::from(!is_refresh));
        if times[own] == 0 {
            *latest_us = at_us;
            self.complete += u32::from(times[other] > 0);
        } else {
            self.repeated += 1;
        }
        times[own] = times[own].saturating_add(1);
    }

    /// Targets named again.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// When an event was named whole; `None`: it was not.
    pub(crate) fn at_us(&self, number: u32) -> Option<i64> {
        let (times, latest_us) = self.events.get(number as usize)?;
        times.iter().all(|times| *times > 0).then_some(*latest_us)
    }

    /// When each of these events was named whole; fails for one that was not.
    pub(crate) fn all_us(&self, numbers: Range<u32>) -> Result<Vec<i64>> {
        let at =
            |number| self.at_us(number).ok_or_else(|| format!("event {number} was not told whole").into());
        numbers.map(at).collect()
    }
}
