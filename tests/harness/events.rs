//! Making and publishing events.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde_json::{Value, json};
use uuid::Uuid;

/// A logout of one access and one refresh token.
pub(crate) fn logout(id: &str, access: &str, refresh: &str) -> Value {
    logout_of(
        id,
        json!([
            { "token": access, "token_type_hint": "access_token" },
            { "token": refresh, "token_type_hint": "refresh_token" },
        ]),
    )
}

/// A logout of these targets.
pub(crate) fn logout_of(id: &str, targets: Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/apps/shop", "type": "auth.logout.v1", "time": "2026-11-20T22:30:00.123Z",
        "data": { "reason": "user_logout", "actor": "user-1", "targets": targets },
    })
}

/// A token that no log, row or message may show: every one carries the marker.
pub(crate) fn canary_token() -> String {
    format!("{CANARY}{}", Uuid::now_v7().simple())
}

/// The marker of [`canary_token`].
pub(crate) const CANARY: &str = "c4n4ryT0k3n";

/// Publishes as an application does.
pub(crate) struct App {
    channel: Channel,
    _connection: Connection,
}

impl App {
    /// Connects to the broker.
    pub(crate) async fn connect(amqp_url: &str) -> Self {
        let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await.expect("connect to the broker");
        let channel = connection.create_channel().await.expect("open a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("ask for confirms");
        Self { channel, _connection: connection }
    }

    /// Publishes an event; returns when the broker has confirmed it.
    pub(crate) async fn publish(&self, event: &Value) {
        self.publish_raw(
            "auth.logout",
            event.to_string().as_bytes(),
            BasicProperties::default().with_content_type("application/json".into()),
        )
        .await;
    }

    /// Publishes any bytes with any properties.
    pub(crate) async fn publish_raw(&self, routing_key: &str, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let properties = properties.with_delivery_mode(2);
        let sent = self.channel.basic_publish("auth.events".into(), routing_key.into(), options, body, properties).await.expect("publish");
        let confirmation = sent.await.expect("a confirm");
        assert!(confirmation.is_ack(), "the broker took it");
        assert!(confirmation.take_message().is_none(), "a queue takes {routing_key}");
    }
}
