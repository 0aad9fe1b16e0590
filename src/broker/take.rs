//! Taking deliveries from one queue: one consumer after the other on the same channel, each asking for as
//! many deliveries as the window has room for.
//!
//! AMQP bounds what is outstanding by number alone, and fixes the number when a consumer begins. What a
//! consumer left unacknowledged stays outstanding when it is cancelled, so the next one can ask for more, or
//! for fewer of larger ones.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel, Connection, Consumer};
use revocation_verifier::amqp::{Faults, Unreadable};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::connection::within;
use super::window::{Outlook, Place, Share};
use super::{Body, BrokerError, Received, attributes, original, weight};
use crate::event::Origin;

/// lapin grows a body by doubling: where that wastes so many bytes or more, they are given back.
const SLACK: usize = 64 * 1024;

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
        while outlook != Outlook::TooMuch && !(outlook == Outlook::Spent && self.share.is_outdone()) {
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
        let beside = weight::of(&delivery.properties);
        let (place, outlook) = self.share.place(delivery.data.len(), beside);
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
            routing_key: delivery.routing_key.as_str().to_owned(),
            broker_user: delivery.properties.user_id().as_ref().map(|user| user.as_str().to_owned()),
            content_type: delivery.properties.content_type().as_ref().map(|media| media.as_str().to_owned()),
            unreadable: parts,
            attributes: attributes::read(delivery.properties.headers().as_ref()),
            original: original::read(delivery.properties.headers().as_ref(), &lost),
            trace: attributes::trace(delivery.properties.headers().as_ref()),
            ..Origin::default()
        };
        if delivery.data.capacity() - delivery.data.len() >= SLACK {
            delivery.data.shrink_to_fit();
        }
        let body = Body(delivery.data);
        Received {
            body,
            origin,
            came: Instant::now(),
            properties: delivery.properties,
            left_out,
            acker: delivery.acker,
            place,
            is_laid_down: false,
            span: None,
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
