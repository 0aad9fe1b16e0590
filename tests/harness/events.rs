//! Making and publishing events.

use std::time::{Duration, Instant};

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use revocation_worker::target::Token;
use serde_json::{Value, json};
use uuid::Uuid;

use super::PATIENCE;

/// One user's logout: an access and a refresh token.
#[derive(Clone)]
pub(crate) struct Logout {
    /// The event's id.
    pub(crate) id: String,
    /// Both tokens, the access token first.
    pub(crate) tokens: [String; 2],
}

impl Logout {
    /// So many logouts with ids from `1` on.
    pub(crate) fn many(count: usize) -> Vec<Self> {
        (1..=count)
            .map(|number| Self { id: number.to_string(), tokens: [canary_token(), canary_token()] })
            .collect()
    }

    /// The event.
    pub(crate) fn event(&self) -> Value {
        logout(&self.id, &self.tokens[0], &self.tokens[1])
    }

    /// The digests of all these logouts' tokens, sorted.
    pub(crate) fn digests(logouts: &[Self]) -> Vec<String> {
        let digest = |token: &String| Token::new(token.clone()).fingerprint().to_string();
        let mut digests: Vec<_> = logouts.iter().flat_map(|logout| &logout.tokens).map(digest).collect();
        digests.sort_unstable();
        digests
    }
}

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
        "specversion": "1.0", "id": id, "source": "/apps/shop", "type": "auth.logout.v1",
        "time": "2026-11-20T22:30:00.123Z",
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
    user: String,
    channel: Channel,
    connection: Connection,
}

impl App {
    /// Connects to the broker.
    pub(crate) async fn connect(amqp_url: &str) -> Self {
        Self::open(amqp_url).await.expect("connect to the broker")
    }

    /// Connects to the broker as soon as it is there.
    pub(crate) async fn connect_patiently(amqp_url: &str) -> Self {
        let deadline = Instant::now() + PATIENCE;
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            if let Ok(app) = Self::open(amqp_url).await {
                return app;
            }
            assert!(Instant::now() < deadline, "an application reaches the broker");
        }
    }

    async fn open(amqp_url: &str) -> Result<Self, lapin::Error> {
        let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let url: url::Url = amqp_url.parse().expect("a URL");
        Ok(Self { user: url.username().to_owned(), channel, connection })
    }

    /// Another channel of its connection.
    pub(super) async fn channel_of_its_own(&self) -> Channel {
        self.connection.create_channel().await.expect("open a channel")
    }

    /// The broker user that it connects as.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Publishes an event once; returns whether the broker confirmed that a queue has it.
    pub(crate) async fn offer(&self, event: &Value) -> bool {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let properties =
            BasicProperties::default().with_content_type("application/json".into()).with_delivery_mode(2);
        let body = event.to_string();
        match self
            .channel
            .basic_publish("auth.events".into(), "auth.logout".into(), options, body.as_bytes(), properties)
            .await
        {
            Ok(sent) => sent
                .await
                .is_ok_and(|confirmation| confirmation.is_ack() && confirmation.take_message().is_none()),
            Err(_) => false,
        }
    }

    /// Messages ready in a queue, and its consumers.
    pub(crate) async fn depth(&self, queue: &str) -> (u32, u32) {
        self.try_depth(queue).await.expect("look at the queue")
    }

    /// The same of a queue that may not be there; where it is not, the broker closes this channel.
    pub(crate) async fn try_depth(&self, queue: &str) -> Option<(u32, u32)> {
        let options = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
        let queue = self.channel.queue_declare(queue.into(), options, FieldTable::default()).await.ok()?;
        Some((queue.message_count(), queue.consumer_count()))
    }

    /// Deletes a queue with all it holds.
    pub(crate) async fn delete_queue(&self, queue: &str) {
        self.channel
            .queue_delete(queue.into(), QueueDeleteOptions::default())
            .await
            .expect("delete the queue");
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

    /// Publishes a token as a message of its own.
    pub(crate) async fn publish_signed(&self, media: &str, token: &str) {
        let properties = BasicProperties::default().with_content_type(media.into());
        self.publish_raw("auth.logout.signed", token.as_bytes(), properties).await;
    }

    /// Publishes any bytes with any properties.
    pub(crate) async fn publish_raw(&self, routing_key: &str, body: &[u8], properties: BasicProperties) {
        self.publish_to("auth.events", routing_key, body, properties).await;
    }

    /// Publishes any bytes to any exchange.
    pub(crate) async fn publish_to(
        &self,
        exchange: &str,
        routing_key: &str,
        body: &[u8],
        properties: BasicProperties,
    ) {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let properties = properties.with_delivery_mode(2);
        let sent = self
            .channel
            .basic_publish(exchange.into(), routing_key.into(), options, body, properties)
            .await
            .expect("publish");
        let confirmation = sent.await.expect("a confirm");
        assert!(confirmation.is_ack(), "the broker took it");
        assert!(confirmation.take_message().is_none(), "a queue takes {routing_key}");
    }
}

/// Publishes these logouts one after the other; what is not confirmed is published again, on a new
/// connection, until it is.
pub(crate) async fn publish_stubbornly(amqp_url: &str, logouts: &[Logout]) {
    let mut app = App::connect_patiently(amqp_url).await;
    for logout in logouts {
        while !app.offer(&logout.event()).await {
            app = App::connect_patiently(amqp_url).await;
        }
    }
}
