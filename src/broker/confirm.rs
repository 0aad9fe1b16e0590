//! What counts as published: the broker has confirmed it and has not returned it.

use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};

use super::BrokerError;
use crate::invalidation::Outgoing;

/// How long a confirm may take before the connection counts as lost.
pub(super) const CONFIRM_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a message does not count as published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A routing key or property does not fit AMQP's 255 bytes.
    #[error("publish to {0}: {1} is longer than 255 bytes")]
    TooLong(String, &'static str),
    /// No queue is bound for it.
    #[error("publish to {0}: no queue takes it (is one bound there?)")]
    Returned(String),
    /// The broker refused it.
    #[error("publish to {0}: the broker refused it (queue full or unavailable)")]
    Nacked(String),
    /// The connection was lost; whether the message arrived is not known.
    #[error("{0}")]
    Lost(#[from] BrokerError),
    /// The process is ending.
    #[error("publish to {0}: given up, the worker is stopping")]
    Stopping(String),
}

/// What the broker's answer to a mandatory message means.
pub(super) fn verdict(confirmation: &Confirmation, exchange: &str) -> Result<(), PublishError> {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
            Err(PublishError::Returned(exchange.to_owned()))
        }
        Confirmation::Nack(None) | Confirmation::NotRequested => {
            Err(PublishError::Nacked(exchange.to_owned()))
        }
    }
}

/// Publishes on a channel that nothing else is on, and waits for the confirm.
pub(super) async fn publish_once(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &[u8],
    properties: BasicProperties,
) -> Result<Confirmation, lapin::Error> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    channel.basic_publish(exchange.into(), key.into(), options, body, properties).await?.await
}

pub(super) fn short(exchange: &str, key: &str) -> Result<ShortString, PublishError> {
    ShortString::try_new(key).map_err(|_| PublishError::TooLong(exchange.to_owned(), "its routing key"))
}

/// The properties of a message for verifiers.
pub(super) fn properties_of(message: &Outgoing) -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/cloudevents+json".into())
        .with_delivery_mode(2)
        .with_message_id(message.id.to_string().into())
        .with_type(message.kind.into())
        .with_app_id("revocation-worker".into())
}
