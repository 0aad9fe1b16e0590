//! The application that users log out of: it publishes their logouts as any application does.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use revocation_verifier::amqp::Address;

use super::SandboxError;

/// Its connection to the broker, which ends when it is dropped.
pub(super) struct Application {
    channel: Channel,
    user: String,
    _connection: Connection,
}

impl Application {
    pub(super) async fn connect(amqp_url: &str) -> Result<Self, SandboxError> {
        let address = Address::parse(amqp_url, None).ok_or_else(|| failed(&"not an AMQP URL"))?;
        let connection =
            address.connect("sandbox application".to_owned()).await.map_err(|error| failed(&error))?;
        let channel = async {
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, lapin::Error>(channel)
        };
        let channel = channel.await.map_err(|error| failed(&error))?;
        Ok(Self { channel, user: address.uri().authority.userinfo.username.clone(), _connection: connection })
    }

    /// Publishes a logout event; returns when a queue has it.
    pub(super) async fn publish_logout(&self, id: &str, event: &str) -> Result<(), SandboxError> {
        let properties = BasicProperties::default()
            .with_content_type("application/cloudevents+json".into())
            .with_delivery_mode(2)
            .with_message_id(id.into())
            .with_user_id(self.user.as_str().into());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let confirmed = async {
            let (exchange, key) = ("auth.events".into(), "auth.logout".into());
            self.channel.basic_publish(exchange, key, options, event.as_bytes(), properties).await?.await
        };
        match confirmed.await {
            Ok(Confirmation::Ack(None)) => Ok(()),
            Ok(_) => Err(failed(&"no queue took a logout")),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn failed(error: &dyn std::fmt::Display) -> SandboxError {
    SandboxError::Failed { program: "the application's publisher".to_owned(), detail: error.to_string() }
}
