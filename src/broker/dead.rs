//! The queue of refused messages: looked at, put back or thrown away by operators.

mod message;

use std::collections::BTreeSet;

use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection};
use revocation_verifier::amqp::{Unreadable, close};

use super::confirm::verdict;
use super::connection::within;
use super::fit::fitted;
use super::headers::without_user;
use super::{Broker, BrokerError, DEAD, EVENTS_EXCHANGE, PublishError, original};
use crate::event::CUTOFF_ROUTING_KEY;
use message::strip;

pub use message::DeadMessage;

/// The dead-letter queue, open on a connection of its own. What is taken and not settled returns, in order,
/// when it is closed.
pub struct DeadQueue {
    connection: Connection,
    channel: Channel,
    unreadable: Unreadable,
    user: ShortString,
    taken: usize,
    held: BTreeSet<u64>,
    /// Whether the message taken last had been handed back before.
    was_back: bool,
    /// What was put back and comes to two queues: by the digest of its body, and who sent it.
    doubled: Vec<([u8; 32], AMQPValue)>,
}

impl DeadQueue {
    /// Opens the queue.
    ///
    /// # Errors
    /// The broker cannot be reached or has no such queue.
    pub async fn open(broker: &Broker) -> Result<Self, BrokerError> {
        let user = ShortString::try_new(broker.user()).unwrap_or_default();
        let unreadable = Unreadable::keeping(&original::SAY_WHO);
        let connection = broker.connect_noting("dead letters", &unreadable).await?;
        let channel = Broker::confirming_channel(&connection).await?;
        Ok(Self {
            connection,
            channel,
            unreadable,
            user,
            taken: 0,
            held: BTreeSet::new(),
            was_back: false,
            doubled: Vec::new(),
        })
    }

    /// How many messages are in the queue that nobody holds.
    ///
    /// # Errors
    /// The broker has no such queue (a worker declares it), or the connection was lost.
    pub async fn waiting(&self) -> Result<usize, BrokerError> {
        let what = "look for queue revocation.dead, which a running worker declares";
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = within(what, async {
            self.channel
                .queue_declare(DEAD.into(), options, FieldTable::default())
                .await
                .map_err(|e| BrokerError::new(what, e))
        });
        Ok(usize::try_from(declared.await?.message_count()).unwrap_or(usize::MAX))
    }

    /// Takes the next message, oldest first; `None` at the end of the queue.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn take(&mut self) -> Result<Option<DeadMessage>, BrokerError> {
        let place = self.taken + 1;
        let what = format!("read message {place} of revocation.dead");
        let got = within(&what, async {
            let options = BasicGetOptions { no_ack: false };
            self.channel.basic_get(DEAD.into(), options).await.map_err(|e| BrokerError::new(what.as_str(), e))
        });
        let Some(message) = got.await? else { return Ok(None) };
        let Delivery { delivery_tag, routing_key, redelivered, properties, data, .. } = message.delivery;
        (self.taken, self.was_back) = (place, redelivered);
        self.held.insert(delivery_tag);
        let faults = self.unreadable.take(self.channel.id(), delivery_tag);
        Ok(Some(DeadMessage::new(place, routing_key.as_str(), properties, data, delivery_tag, &faults)))
    }

    /// Publishes a message to `auth.events` again, as this connection's user, and removes it from the queue.
    /// A header says who sent it first.
    ///
    /// A cutoff comes to two queues, and was refused from each: once is enough, or there would be twice as
    /// many after each requeue.
    ///
    /// # Errors
    /// The broker did not confirm it, or no queue takes it; it then stays.
    pub async fn requeue(&mut self, message: &DeadMessage) -> Result<(), PublishError> {
        let what = format!("requeue message {}", message.place);
        let twin = (message.routing_key == CUTOFF_ROUTING_KEY).then(|| message.twin());
        if twin.as_ref().is_some_and(|twin| self.doubled.contains(twin)) {
            return Ok(self.discard(message).await?);
        }
        let key = ShortString::try_new(message.routing_key.as_str());
        let key = key.map_err(|_| PublishError::TooLong(EVENTS_EXCHANGE.to_owned(), "its routing key"))?;
        let mut own = FieldTable::default();
        own.insert(original::HEADER.into(), original::of_dead(&message.properties, message.may_hide_sender));
        let headers = strip(message.properties.headers().clone().unwrap_or_default());
        let properties =
            without_user(&message.properties).with_delivery_mode(2).with_user_id(self.user.clone());
        let properties = fitted(properties, own, headers, self.connection.configuration().frame_max(), 0);
        let confirmed = within(&what, async {
            let options = BasicPublishOptions { mandatory: true, ..Default::default() };
            let sent = self
                .channel
                .basic_publish(EVENTS_EXCHANGE.into(), key, options, &message.body, properties)
                .await;
            sent.map_err(|e| BrokerError::new(what.as_str(), e))?
                .await
                .map_err(|e| BrokerError::new(what.as_str(), e))
        });
        verdict(&confirmed.await?, EVENTS_EXCHANGE)?;
        self.doubled.extend(twin);
        Ok(self.discard(message).await?)
    }

    /// Removes a message from the queue for good.
    ///
    /// # Errors
    /// The connection was lost; the message then stays.
    pub async fn discard(&mut self, message: &DeadMessage) -> Result<(), BrokerError> {
        let acked = self.channel.basic_ack(message.tag, BasicAckOptions::default()).await;
        acked.map_err(|e| BrokerError::new(format!("remove message {}", message.place), e))?;
        self.held.remove(&message.tag);
        Ok(())
    }

    /// Hands back what was taken and not settled, makes sure that the broker knows of it all, and closes the
    /// connection.
    ///
    /// # Errors
    /// The connection was lost: what was removed last may be in the queue again.
    pub async fn close(mut self) -> Result<(), BrokerError> {
        let settled = self.hand_back().await;
        close(&self.connection).await;
        settled
    }

    /// A quorum queue keeps messages that were handed back in a line of their own, ahead of the others: what
    /// is handed back goes to the end of that line, so all of that line is taken first. One by one, as the
    /// broker, handing back by itself, keeps no order among single gets.
    async fn hand_back(&mut self) -> Result<(), BrokerError> {
        while self.was_back && !self.held.is_empty() {
            if self.take().await?.is_none() {
                break;
            }
        }
        let what = "hand messages back to revocation.dead";
        for tag in &self.held {
            let options = BasicNackOptions { multiple: false, requeue: true };
            self.channel.basic_nack(*tag, options).await.map_err(|e| BrokerError::new(what, e))?;
        }
        // A question after them: its answer says that they were read, which neither ack nor nack does.
        self.waiting().await.map(drop)
    }
}
