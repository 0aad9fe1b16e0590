//! Publishing events as an application would: to `auth.events`, many outstanding at once, each confirmed.

use lapin::options::{BasicPublishOptions, ExchangeDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ExchangeKind, PublisherConfirm};
use revocation_verifier::amqp::close;

use super::confirm::{CONFIRM_TIMEOUT, verdict};
use super::connection::within;
use super::{Broker, BrokerError, EVENTS_EXCHANGE, PublishError};

/// The media type of events.
pub(super) const CLOUD_EVENT: &str = "application/cloudevents+json";

/// A connection that publishes events as the user of `amqp.url`.
pub struct EventPublisher {
    connection: Connection,
    channel: Channel,
    user: ShortString,
}

/// An event that was sent and is not confirmed yet.
pub struct Unconfirmed(PublisherConfirm);

impl EventPublisher {
    /// Connects and looks for the exchange; declares nothing.
    ///
    /// # Errors
    /// The broker cannot be reached, or has no exchange `auth.events`: a worker declares it.
    pub async fn open(broker: &Broker) -> Result<Self, BrokerError> {
        let user = ShortString::try_new(broker.user()).unwrap_or_default();
        let connection = broker.connect("submit").await?;
        let ready = async {
            look_for_exchange(&connection).await?;
            Broker::confirming_channel(&connection).await
        };
        match ready.await {
            Ok(channel) => Ok(Self { connection, channel, user }),
            Err(error) => {
                close(&connection).await;
                Err(error)
            }
        }
    }

    /// Sends one event: persistent and mandatory, with `user_id`, so that the broker vouches for who ordered
    /// it.
    ///
    /// # Errors
    /// The connection was lost, or `message_id` has more than AMQP's 255 bytes.
    pub async fn send(
        &self,
        routing_key: &'static str,
        message_id: &str,
        body: &[u8],
    ) -> Result<Unconfirmed, PublishError> {
        self.send_as(CLOUD_EVENT, routing_key, message_id, body).await
    }

    /// The same of a message of another media type.
    pub(super) async fn send_as(
        &self,
        media: &'static str,
        routing_key: &'static str,
        message_id: &str,
        body: &[u8],
    ) -> Result<Unconfirmed, PublishError> {
        let message_id = ShortString::try_new(message_id)
            .map_err(|_| PublishError::TooLong(EVENTS_EXCHANGE.to_owned(), "its id"))?;
        let properties = BasicProperties::default()
            .with_content_type(media.into())
            .with_delivery_mode(2)
            .with_message_id(message_id)
            .with_user_id(self.user.clone())
            .with_app_id("revocation-worker".into());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let sent = within(SUBMIT, async {
            self.channel
                .basic_publish(EVENTS_EXCHANGE.into(), routing_key.into(), options, body, properties)
                .await
                .map_err(lost)
        });
        Ok(Unconfirmed(sent.await?))
    }

    /// The connection itself.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Closes the connection.
    pub async fn close(self) {
        close(&self.connection).await;
    }
}

impl Unconfirmed {
    /// Waits until the broker has confirmed the event.
    ///
    /// # Errors
    /// No queue takes it, the broker refused it, or no confirm came: then it may have arrived or not.
    pub async fn confirmed(self) -> Result<(), PublishError> {
        match tokio::time::timeout(CONFIRM_TIMEOUT, self.0).await {
            Err(_) => Err(BrokerError::timeout(SUBMIT, CONFIRM_TIMEOUT).into()),
            Ok(Err(error)) => Err(lost(error).into()),
            Ok(Ok(confirmation)) => verdict(&confirmation, EVENTS_EXCHANGE),
        }
    }
}

const SUBMIT: &str = "publish to auth.events";

fn lost(error: lapin::Error) -> BrokerError {
    BrokerError::new(SUBMIT, error)
}

async fn look_for_exchange(connection: &Connection) -> Result<(), BrokerError> {
    let what = "look for exchange auth.events, which a running worker declares";
    within(what, async {
        let channel = connection.create_channel().await.map_err(|e| BrokerError::new(what, e))?;
        let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
        let found = channel
            .exchange_declare(EVENTS_EXCHANGE.into(), ExchangeKind::Topic, options, FieldTable::default())
            .await;
        found.map_err(|e| BrokerError::new(what, e))
    })
    .await
}
