//! Taking deliveries from one queue: one consumer after the other on the same channel, each asking for as
//! many deliveries as the window has room for.
//!
//! AMQP bounds what is outstanding by number alone, and fixes the number when a consumer begins. What a
//! consumer left unacknowledged stays outstanding when it is cancelled, so the next one can ask for more, or
//! for fewer of larger ones.

use std::sync::Arc;

use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    BasicRejectOptions,
};
use lapin::types::FieldTable;
use lapin::{Acker, BasicProperties, Channel, Connection, Consumer};
use revocation_verifier::amqp::{Faults, Unreadable};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::connection::within;
use super::window::{Outlook, Place, Share};
use super::{BrokerError, original};
use crate::event::Origin;

/// lapin grows a body by doubling: where that wastes so many bytes or more, they are given back.
const SLACK: usize = 64 * 1024;
/// Shorter bodies stay where they are.
const LONG: usize = 16 * 1024;

/// A message's body. It holds raw tokens: no `Debug`, wiped on drop.
#[derive(Default)]
pub struct Body(Vec<u8>);

impl Body {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Wipes at the speed of memory. The crate `zeroize` writes byte after byte, which takes a runtime thread some
/// 10 ms for a body of 16 MiB, and others wait for that thread.
impl Drop for Body {
    fn drop(&mut self) {
        self.0.fill(0);
        // The optimizer must believe that somebody reads the zeros.
        std::hint::black_box(&self.0);
    }
}

/// A delivery, not yet acknowledged. Dropping it leaves it to the broker, which delivers it again when the
/// session ends.
pub struct Received {
    /// The body as published.
    pub body: Body,
    /// Where it came from.
    pub origin: Origin,
    pub(super) properties: BasicProperties,
    /// How many of its headers did not fit into a frame with the broker's own.
    pub(super) left_out: usize,
    acker: Acker,
    place: Place,
    is_laid_down: bool,
}

impl Received {
    /// Tells the broker that the message is dealt with. Returns false if the session has ended: the broker
    /// will deliver it again.
    pub async fn ack(self) -> bool {
        let Self { acker, body, place, .. } = self;
        // First: what the broker sends in its place finds room.
        drop((body, place));
        acker.ack(BasicAckOptions::default()).await.unwrap_or(false)
    }

    /// Has the broker put the message into `revocation.dead` itself, unchanged; until it can, it keeps the
    /// message where nobody waits behind it.
    pub(super) async fn dead_letter(&self) -> bool {
        self.acker.reject(BasicRejectOptions { requeue: false }).await.unwrap_or(false)
    }

    /// Whether its session has ended: the broker delivers it again, and this one is of no more use.
    pub fn is_stale(&self) -> bool {
        !self.acker.usable()
    }

    /// Lets go of a long body that nothing can be done with for a while. Nobody else is delivered the message
    /// meanwhile.
    pub fn lay_down(&mut self) {
        if !self.is_laid_down && self.body.bytes().len() >= LONG {
            self.body = Body::default();
            self.place.lay_down();
            self.is_laid_down = true;
        }
    }

    /// Lets go of all that takes memory, for as long as others wait that came before it.
    pub fn set_aside(&mut self) {
        (self.body, self.properties, self.origin) =
            (Body::default(), BasicProperties::default(), Origin::default());
        self.place.set_aside();
        self.is_laid_down = true;
    }

    /// Whether the body is no longer here: the message has to be [handed back](Self::hand_back) and taken
    /// again.
    pub fn is_laid_down(&self) -> bool {
        self.is_laid_down
    }

    /// Gives the message back to the broker, which delivers it again.
    pub async fn hand_back(self) {
        let Self { acker, place, .. } = self;
        drop(place);
        // Where the session has ended, it is back already.
        drop(acker.nack(BasicNackOptions { requeue: true, multiple: false }).await);
    }

    /// The message turned out to be an event with so many targets, which take memory.
    pub fn weigh(&mut self, targets: usize) {
        self.place.weigh(targets);
    }
}

/// One queue of events, on a channel of its own.
pub(super) struct Queue<'a> {
    name: &'static str,
    label: Arc<str>,
    channel: Channel,
    share: &'a Arc<Share>,
    sink: &'a mpsc::UnboundedSender<Received>,
    unreadable: &'a Unreadable,
}

impl<'a> Queue<'a> {
    /// Opens its channel. Properties that were not readable are noted in `unreadable`.
    pub(super) async fn open(
        connection: &Connection,
        name: &'static str,
        share: &'a Arc<Share>,
        sink: &'a mpsc::UnboundedSender<Received>,
        unreadable: &'a Unreadable,
    ) -> Result<Self, BrokerError> {
        let channel =
            within(name, async { connection.create_channel().await.map_err(|e| failed(name, e)) }).await?;
        Ok(Self { name, label: Arc::from(name), channel, share, sink, unreadable })
    }

    /// Takes deliveries until stopped, and calls `subscribed` once it can. What was taken can be acknowledged
    /// as long as this queue lives.
    pub(super) async fn take(
        &self,
        stop: &CancellationToken,
        subscribed: impl Fn(),
    ) -> Result<(), BrokerError> {
        for number in 0_u64.. {
            let count = tokio::select! {
                count = self.share.room() => count,
                () = stop.cancelled() => return Ok(()),
            };
            self.share.begin(count);
            let mut consumer =
                consume(&self.channel, self.name, &format!("{} {number}", self.name), count).await?;
            if number == 0 {
                subscribed();
            }
            let mut returned = Vec::new();
            let is_stopped = tokio::select! {
                pumped = self.pump(&mut consumer, &mut returned) => pumped.map(|()| false)?,
                () = stop.cancelled() => true,
            };
            within(self.name, cancel(&self.channel, &consumer)).await?;
            if is_stopped {
                return Ok(());
            }
            within(self.name, self.settle(&mut consumer, returned)).await?;
        }
        Ok(())
    }

    /// Hands deliveries on until another consumer would do better.
    async fn pump(&self, consumer: &mut Consumer, returned: &mut Vec<Acker>) -> Result<(), BrokerError> {
        let mut outlook = Outlook::More;
        while outlook != Outlook::TooMuch && !(outlook == Outlook::Spent && self.share.could_double()) {
            let next = match outlook {
                Outlook::Spent => tokio::select! {
                    next = consumer.next() => next,
                    () = self.share.stalled() => return Ok(()),
                },
                _ => consumer.next().await,
            };
            let Some(delivery) = next else { return Err(BrokerError::ended(what(self.name))) };
            outlook = self.hand_on(delivery.map_err(|e| failed(self.name, e))?, returned);
        }
        Ok(())
    }

    /// What a cancelled consumer had been sent before is handed on, too, as far as there is room. The rest
    /// goes back to the head of the queue.
    async fn settle(&self, consumer: &mut Consumer, mut returned: Vec<Acker>) -> Result<(), BrokerError> {
        while let Some(delivery) = consumer.next().await {
            self.hand_on(delivery.map_err(|e| failed(self.name, e))?, &mut returned);
        }
        if !returned.is_empty() {
            tracing::warn!(
                queue = self.name,
                deliveries = returned.len(),
                "larger messages than there is room for; put back, to be taken a few at a time"
            );
        }
        for acker in returned {
            acker
                .nack(BasicNackOptions { requeue: true, multiple: false })
                .await
                .map_err(|e| failed(self.name, e))?;
        }
        Ok(())
    }

    fn hand_on(&self, delivery: Delivery, returned: &mut Vec<Acker>) -> Outlook {
        let (place, outlook) = self.share.place(delivery.data.len());
        match place {
            // Nobody listens any more: the worker is ending.
            Some(place) => drop(self.sink.send(self.received(delivery, place))),
            None => {
                self.unreadable.take(self.channel.id(), delivery.delivery_tag);
                drop(Body(delivery.data));
                returned.push(delivery.acker);
            }
        }
        outlook
    }

    fn received(&self, mut delivery: Delivery, place: Place) -> Received {
        let Faults { parts, left_out, lost, .. } =
            self.unreadable.take(self.channel.id(), delivery.delivery_tag);
        let origin = Origin {
            queue: self.label.clone(),
            routing_key: delivery.routing_key.to_string(),
            broker_user: delivery.properties.user_id().as_ref().map(ToString::to_string),
            content_type: delivery.properties.content_type().as_ref().map(ToString::to_string),
            unreadable: parts,
            original: original::read(delivery.properties.headers().as_ref(), &lost),
            ..Origin::default()
        };
        if delivery.data.capacity() - delivery.data.len() >= SLACK {
            delivery.data.shrink_to_fit();
        }
        let body = Body(delivery.data);
        Received {
            body,
            origin,
            properties: delivery.properties,
            left_out,
            acker: delivery.acker,
            place,
            is_laid_down: false,
        }
    }
}

/// Subscribes to `queue` on a channel of its own.
pub(super) async fn subscribe(
    connection: &Connection,
    queue: &'static str,
    prefetch: u16,
) -> Result<(Channel, Consumer), BrokerError> {
    let channel =
        within(queue, async { connection.create_channel().await.map_err(|e| failed(queue, e)) }).await?;
    let consumer = consume(&channel, queue, queue, prefetch).await?;
    Ok((channel, consumer))
}

async fn consume(
    channel: &Channel,
    queue: &'static str,
    tag: &str,
    prefetch: u16,
) -> Result<Consumer, BrokerError> {
    within(queue, async {
        channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(|e| failed(queue, e))?;
        let consumed = channel
            .basic_consume(queue.into(), tag.into(), BasicConsumeOptions::default(), FieldTable::default())
            .await;
        consumed.map_err(|e| failed(queue, e))
    })
    .await
}

async fn cancel(channel: &Channel, consumer: &Consumer) -> Result<(), BrokerError> {
    // A channel that is already gone needs no cancelling.
    drop(channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await);
    Ok(())
}

fn what(queue: &str) -> String {
    format!("consume from {queue}")
}

fn failed(queue: &str, error: lapin::Error) -> BrokerError {
    BrokerError::new(what(queue), error)
}
