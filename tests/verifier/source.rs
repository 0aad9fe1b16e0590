//! The workers' end of the feed, played by the test where it wants to choose every message.

use std::time::Duration;

use futures::future::join_all;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use revocation_verifier::{Denylist, Options, StalenessPolicy};
use revocation_worker::invalidation::{Composer, EXCHANGE, Entry, EventRef, Outgoing, Phase, STREAM, TokenIssuer};
use revocation_worker::target::Token;
use time::OffsetDateTime;

use crate::harness::eventually;

/// Publishes to `auth.invalidations`.
pub(crate) struct Source {
    channel: Channel,
    composer: Composer,
    _connection: Connection,
}

impl Source {
    /// Declares exchange, stream and binding as a worker does, but for retention: segments of this size, of which two are kept.
    pub(crate) async fn declare(amqp_url: &str, segment_bytes: Option<i32>) -> Self {
        let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await.expect("connect to the broker");
        let channel = connection.create_channel().await.expect("open a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("ask for confirms");
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let declared = channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default());
        declared.await.expect("declare the exchange");
        let source = Self { channel, composer: Composer::new("test"), _connection: connection };
        source.declare_stream(segment_bytes).await;
        source
    }

    pub(crate) async fn declare_stream(&self, segment_bytes: Option<i32>) {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
        if let Some(bytes) = segment_bytes {
            arguments.insert("x-stream-max-segment-size-bytes".into(), AMQPValue::LongInt(bytes));
            arguments.insert("x-max-length-bytes".into(), AMQPValue::LongInt(2 * bytes));
        }
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        self.channel.queue_declare(STREAM.into(), durable, arguments).await.expect("declare the stream");
        let bound = self.channel.queue_bind(STREAM.into(), EXCHANGE.into(), "#".into(), QueueBindOptions::default(), FieldTable::default());
        bound.await.expect("bind the stream");
    }

    pub(crate) async fn delete_stream(&self) {
        self.channel.queue_delete(STREAM.into(), QueueDeleteOptions::default()).await.expect("delete the stream");
    }

    /// Publishes one message an entry; returns when the broker has confirmed all.
    pub(crate) async fn deny(&self, entries: Vec<Entry>) {
        let event = EventRef { source: "/test".to_owned(), id: "1".to_owned() };
        let message = |entry| self.composer.invalidations(Phase::Requested, &event, None, vec![("main".to_owned(), entry)]);
        let messages: Vec<_> = entries.into_iter().flat_map(message).collect();
        for some in messages.chunks(2000) {
            join_all(some.iter().map(|message| self.publish(message))).await;
        }
    }

    /// Publishes a heartbeat.
    pub(crate) async fn beat(&self) {
        self.publish(&self.composer.heartbeat()).await;
    }

    /// Publishes a heartbeat every second for as long as `work` takes.
    pub(crate) async fn beating<T>(&self, work: impl Future<Output = T>) -> T {
        let beats = async {
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            loop {
                ticks.tick().await;
                self.beat().await;
            }
        };
        tokio::select! {
            done = work => done,
            () = beats => unreachable!("beats for ever"),
        }
    }

    pub(crate) async fn publish(&self, message: &Outgoing) {
        self.publish_bytes(&message.routing_key, &message.body).await;
    }

    pub(crate) async fn publish_bytes(&self, routing_key: &str, body: &[u8]) {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let properties = BasicProperties::default().with_delivery_mode(2);
        let published = self.channel.basic_publish(EXCHANGE.into(), routing_key.into(), options, body, properties).await;
        assert!(published.expect("publish").await.expect("a confirm").is_ack(), "confirmed");
    }
}

/// Denies this token for an hour.
pub(crate) fn denial(token: &str) -> Entry {
    let token_sha256 = Token::new(token.to_owned()).fingerprint().to_string();
    let expires_at = OffsetDateTime::now_utc() + Duration::from_secs(3600);
    Entry::Token { token_sha256, token_type_hint: None, signed_sha256: None, jti: None, iss: TokenIssuer::NotSaid, expires_at }
}

/// So many tokens.
pub(crate) fn tokens(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{name}-{number}")).collect()
}

/// Denials of all of them.
pub(crate) fn denials(tokens: &[String]) -> Vec<Entry> {
    tokens.iter().map(|token| denial(token)).collect()
}

/// A verifier of tokens that live for an hour.
pub(crate) fn verifier(amqp_url: &str, policy: StalenessPolicy) -> Denylist {
    let options = Options::new(amqp_url, "shop-api", policy).max_token_lifetime(Duration::from_secs(3600));
    Denylist::connect(options).expect("usable options")
}

/// Waits until the denylist holds so many entries.
pub(crate) async fn holds(denylist: &Denylist, entries: usize) {
    let mut held = 0;
    let what = format!("the denylist holds {entries} entries");
    eventually(&what, async || {
        held = denylist.figures().entries;
        (held >= entries as u64).then_some(())
    })
    .await;
    assert_eq!(held, entries as u64);
}
