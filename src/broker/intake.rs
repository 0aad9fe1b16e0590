//! Consuming: a supervised session on the queues of events. Whatever ends it (error, server-side cancel, silence), everything is torn down and built anew.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Acker, BasicProperties, Channel, Connection, Consumer, Event};
use revocation_verifier::amqp::{Faults, Unreadable, close};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::connection::within;
use super::{Broker, BrokerError, CUTOFF_QUEUE, LOGOUT_QUEUE, MASS_QUEUE};
use crate::event::Origin;
use crate::retry::Schedule;

/// How long a failed session waits to learn the cause from its connection.
const CAUSE_PATIENCE: Duration = Duration::from_millis(100);
/// A mass revocation is up to a thousand targets and a mebibyte; its queue gets this fraction of the prefetch, so that memory stays bounded.
const MASS_SHARE: u16 = 16;
/// Connects that neither succeed nor fail leave a thread behind each: after this many in a row the process had better start afresh.
const MAX_MUTE_CONNECTS: u32 = 10;

/// A message's body. It holds raw tokens: no `Debug`, wiped on drop.
pub struct Body(Zeroizing<Vec<u8>>);

impl Body {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A delivery, not yet acknowledged. Dropping it leaves it to the broker, which delivers it again when the session ends.
pub struct Received {
    /// The body as published.
    pub body: Body,
    /// Where it came from.
    pub origin: Origin,
    pub(super) properties: BasicProperties,
    /// How many of its headers did not fit into a frame with the broker's own.
    pub(super) left_out: usize,
    acker: Acker,
}

impl Received {
    fn new(delivery: Delivery, queue: Arc<str>, unreadable: &Unreadable, channel: u16) -> Self {
        let (properties, Faults { parts, left_out }) = (delivery.properties, unreadable.take(channel, delivery.delivery_tag));
        let origin = Origin {
            queue,
            routing_key: delivery.routing_key.to_string(),
            broker_user: properties.user_id().as_ref().map(ToString::to_string),
            content_type: properties.content_type().as_ref().map(ToString::to_string),
            unreadable: parts,
        };
        Self { left_out, body: Body(Zeroizing::new(delivery.data)), origin, properties, acker: delivery.acker }
    }

    /// Tells the broker that the message is dealt with. Returns false if the session has ended: the broker will deliver it again.
    pub async fn ack(&self) -> bool {
        self.acker.ack(BasicAckOptions::default()).await.unwrap_or(false)
    }

    /// Has the broker put the message into `revocation.dead` itself, unchanged; until it can, it keeps the message where nobody waits behind it.
    pub(super) async fn dead_letter(&self) -> bool {
        self.acker.reject(BasicRejectOptions { requeue: false }).await.unwrap_or(false)
    }
}

/// The queues of events.
pub const QUEUES: [&str; 3] = [LOGOUT_QUEUE, CUTOFF_QUEUE, MASS_QUEUE];

/// Where the deliveries of each of [`QUEUES`] go.
pub type Sinks = [mpsc::UnboundedSender<Received>; QUEUES.len()];

/// The consuming side's supervisor.
pub struct Intake {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Delays between sessions.
    pub schedule: Schedule,
    /// Where the deliveries of each of [`QUEUES`] go, so that none waits behind those of another. The prefetch bounds them.
    pub sinks: Sinks,
    /// Whether deliveries may be taken: false hands the window back and waits.
    pub open: watch::Receiver<bool>,
    /// Whether a session is consuming.
    pub connected: watch::Sender<bool>,
    /// Stop taking: consumers are cancelled, the session stays for outstanding acknowledgements.
    pub stop: CancellationToken,
    /// Everything is acknowledged: close.
    pub drained: CancellationToken,
}

enum Ended {
    Stopped,
    Closed,
}

impl Intake {
    /// Consumes until stopped and drained.
    ///
    /// # Errors
    /// At start: the topology differs, or credentials are refused. Later: only a broker that accepts connections and never answers.
    pub async fn run(self) -> Result<(), BrokerError> {
        let (mut failures, mut mute, mut was_up) = (0, 0, false);
        loop {
            let ended = tokio::select! {
                ended = self.session() => ended,
                () = self.drained.cancelled() => return Ok(()),
            };
            was_up |= *self.connected.borrow();
            self.connected.send_replace(false);
            match ended {
                Ok(Ended::Stopped) => return Ok(()),
                Ok(Ended::Closed) => failures = 0,
                Err(error) if error.is_refusal() && !was_up => return Err(error),
                Err(error) => {
                    failures += 1;
                    mute = if error.is_mute() { mute + 1 } else { 0 };
                    if mute >= MAX_MUTE_CONNECTS {
                        return Err(error);
                    }
                    tracing::warn!(%error, failures, "consuming session failed; trying again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.schedule.delay(failures + 1, None)) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    async fn session(&self) -> Result<Ended, BrokerError> {
        let mut open = self.open.clone();
        tokio::select! {
            open = open.wait_for(|open| *open) => { if open.is_err() { return Ok(Ended::Stopped) } }
            () = self.stop.cancelled() => return Ok(Ended::Stopped),
        }
        let unreadable = Unreadable::default();
        let connection = self.broker.connect_noting("consume", &unreadable).await?;
        let mut broken = pin!(broken(&connection));
        let ended = tokio::select! {
            error = &mut broken => Err(error),
            ended = self.consume(&connection, &unreadable) => match ended {
                // What the connection says of its end is the cause; what a step of ours saw of it may be a mere consequence.
                Err(seen) => Err(tokio::time::timeout(CAUSE_PATIENCE, &mut broken).await.unwrap_or(seen)),
                ended => ended,
            },
        };
        close(&connection).await;
        ended
    }

    async fn consume(&self, connection: &Connection, unreadable: &Unreadable) -> Result<Ended, BrokerError> {
        self.broker.ensure_topology(connection).await?;
        let prefetch = self.broker.prefetch;
        let mut consumers = Vec::with_capacity(QUEUES.len());
        for (queue, sink) in QUEUES.into_iter().zip(&self.sinks) {
            let prefetch = if queue == LOGOUT_QUEUE { prefetch } else { (prefetch / MASS_SHARE).max(1) };
            let (channel, consumer) = subscribe(connection, queue, prefetch).await?;
            consumers.push((channel, consumer, Arc::<str>::from(queue), sink));
        }
        self.connected.send_replace(true);
        let mut open = self.open.clone();
        let pumps = consumers.iter_mut().map(|(channel, consumer, queue, sink)| {
            let read = |message: Delivery| Received::new(message, queue.clone(), unreadable, channel.id());
            pump(consumer, queue, read, sink).boxed()
        });
        let pumps = futures::future::select_all(pumps);
        let ended = tokio::select! {
            (ended, ..) = pumps => return ended,
            _ = open.wait_for(|open| !open) => return Ok(Ended::Closed),
            () = self.stop.cancelled() => Ok(Ended::Stopped),
        };
        // Cancelled, not closed: the deliveries in hand are acknowledged on these channels.
        for (channel, consumer, ..) in &consumers {
            cancel(channel, consumer).await;
        }
        self.drained.cancelled().await;
        ended
    }
}

/// Waits for the connection's own error: a request under way when the connection breaks is never answered.
pub(super) async fn broken(connection: &Connection) -> BrokerError {
    let mut events = connection.events_listener();
    while let Some(event) = events.next().await {
        if let Event::Error(error) = event {
            return BrokerError::new("consume", error);
        }
    }
    BrokerError::ended("consume")
}

pub(super) async fn subscribe(connection: &Connection, queue: &'static str, prefetch: u16) -> Result<(Channel, Consumer), BrokerError> {
    let failed = |e| BrokerError::new(format!("consume from {queue}"), e);
    within(queue, async {
        let channel = connection.create_channel().await.map_err(failed)?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(failed)?;
        let tag = ShortString::from(queue);
        let consumer =
            channel.basic_consume(queue.into(), tag, BasicConsumeOptions::default(), FieldTable::default()).await.map_err(failed)?;
        Ok((channel, consumer))
    })
    .await
}

async fn cancel(channel: &Channel, consumer: &Consumer) {
    // A channel that is already gone needs no cancelling.
    drop(channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await);
}

async fn pump(
    consumer: &mut Consumer,
    queue: &str,
    read: impl Fn(Delivery) -> Received,
    sink: &mpsc::UnboundedSender<Received>,
) -> Result<Ended, BrokerError> {
    loop {
        match consumer.next().await {
            Some(Ok(delivery)) => {
                if sink.send(read(delivery)).is_err() {
                    return Ok(Ended::Stopped);
                }
            }
            Some(Err(error)) => return Err(BrokerError::new(format!("consume from {queue}"), error)),
            None => return Err(BrokerError::ended(format!("consume from {queue}"))),
        }
    }
}
