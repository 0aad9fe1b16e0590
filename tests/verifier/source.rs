//! The workers' end of the feed, played by the test where it wants to choose every message.

use std::time::Duration;

use futures::future::join_all;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use revocation_verifier::message::{PUBLISHER_HEADER, SEQUENCE_HEADER};
use revocation_verifier::{Denylist, Options, StalenessPolicy};
use revocation_worker::invalidation::{
    BEATS_STREAM, Composer, EXCHANGE, Entry, Envelope, EventOf, EventRef, HEARTBEAT_KEY, HEARTBEAT_TYPE,
    Heartbeat, MARK_KEY, Outgoing, Phase, Progress, SNAPSHOTS_STREAM, STREAM, TokenIssuer,
};
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
    /// Declares exchange, stream and binding as a worker does, but for retention: segments of this size, of
    /// which two are kept.
    pub(crate) async fn declare(amqp_url: &str, segment_bytes: Option<i32>) -> Self {
        let source = Self::attach(amqp_url).await;
        source.declare_stream(segment_bytes).await;
        source
    }

    /// The same with heartbeats beside the log, and the stream of snapshots.
    pub(crate) async fn declare_apart(amqp_url: &str) -> Self {
        let source = Self::attach(amqp_url).await;
        for name in [STREAM, BEATS_STREAM, SNAPSHOTS_STREAM] {
            source.declare_queue(name, FieldTable::default()).await;
        }
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let declared = source.channel.exchange_declare(
            SNAPSHOTS_STREAM.into(),
            ExchangeKind::Fanout,
            durable,
            FieldTable::default(),
        );
        declared.await.expect("declare the exchange of the snapshots");
        for (queue, exchange, key) in [
            (STREAM, EXCHANGE, "invalidation.#"),
            (STREAM, EXCHANGE, MARK_KEY),
            (BEATS_STREAM, EXCHANGE, HEARTBEAT_KEY),
            (SNAPSHOTS_STREAM, SNAPSHOTS_STREAM, ""),
        ] {
            source.bind(queue, exchange, key).await;
        }
        source
    }

    /// Where a worker has declared everything.
    pub(crate) async fn attach(amqp_url: &str) -> Self {
        let connection = Connection::connect(amqp_url, ConnectionProperties::default())
            .await
            .expect("connect to the broker");
        let channel = connection.create_channel().await.expect("open a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("ask for confirms");
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let declared =
            channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default());
        declared.await.expect("declare the exchange");
        Self { channel, composer: Composer::new("test"), _connection: connection }
    }

    async fn declare_queue(&self, name: &str, mut arguments: FieldTable) {
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        self.channel.queue_declare(name.into(), durable, arguments).await.expect("declare the stream");
    }

    pub(crate) async fn bind(&self, queue: &str, exchange: &str, key: &str) {
        let bound = self.channel.queue_bind(
            queue.into(),
            exchange.into(),
            key.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.expect("bind the stream");
    }

    pub(crate) async fn unbind(&self, queue: &str, exchange: &str, key: &str) {
        self.channel
            .queue_unbind(queue.into(), exchange.into(), key.into(), FieldTable::default())
            .await
            .expect("unbind the stream");
    }

    pub(crate) async fn declare_stream(&self, segment_bytes: Option<i32>) {
        let mut arguments = FieldTable::default();
        if let Some(bytes) = segment_bytes {
            arguments.insert("x-stream-max-segment-size-bytes".into(), AMQPValue::LongInt(bytes));
            arguments.insert("x-max-length-bytes".into(), AMQPValue::LongInt(2 * bytes));
        }
        self.declare_queue(STREAM, arguments).await;
        self.bind(STREAM, EXCHANGE, "#").await;
    }

    /// Declares log and heartbeats as a worker does where nothing is set.
    pub(crate) async fn declare_by_default(&self) {
        let (bytes, segment_bytes) = ("x-max-length-bytes", "x-stream-max-segment-size-bytes");
        let log = [
            ("x-max-age", AMQPValue::LongString("30D".into())),
            (bytes, AMQPValue::LongLongInt(5_000_000_000)),
        ];
        let beats =
            [(bytes, AMQPValue::LongLongInt(2_000_000)), (segment_bytes, AMQPValue::LongLongInt(500_000))];
        for (stream, key, pairs) in [(STREAM, "invalidation.#", log), (BEATS_STREAM, HEARTBEAT_KEY, beats)] {
            let mut arguments = FieldTable::default();
            for (name, value) in pairs {
                arguments.insert(name.into(), value);
            }
            self.declare_queue(stream, arguments).await;
            self.bind(stream, EXCHANGE, key).await;
        }
    }

    pub(crate) async fn delete_stream(&self) {
        self.delete(STREAM).await;
    }

    pub(crate) async fn delete(&self, stream: &str) {
        self.channel
            .queue_delete(stream.into(), QueueDeleteOptions::default())
            .await
            .expect("delete the stream");
    }

    fn denial(&self, entry: Entry) -> Vec<Outgoing> {
        let event = EventRef { source: "/test".to_owned(), id: "1".to_owned() };
        let said = (EventOf { event, incident: None, traceparent: None }, vec![("main".into(), entry)]);
        self.composer.invalidations(Phase::Requested, [said])
    }

    /// Publishes one message an entry; returns when the broker has confirmed all.
    pub(crate) async fn deny(&self, entries: Vec<Entry>) {
        let messages: Vec<_> = entries.into_iter().flat_map(|entry| self.denial(entry)).collect();
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

    /// Publishes a denial with a publisher's number.
    pub(crate) async fn deny_as(&self, publisher: &str, sequence: i64, entry: Entry) {
        let message = self.denial(entry).remove(0);
        let mut headers = FieldTable::default();
        headers.insert(PUBLISHER_HEADER.into(), AMQPValue::LongString(publisher.into()));
        headers.insert(SEQUENCE_HEADER.into(), AMQPValue::LongLongInt(sequence));
        self.publish_with(
            EXCHANGE,
            &message.routing_key,
            &message.body,
            BasicProperties::default().with_headers(headers),
        )
        .await;
    }

    /// Sends a heartbeat beside the log that names what a publisher has published at that time.
    pub(crate) async fn name(&self, publisher: &str, sequence: u64, published_at: OffsetDateTime) {
        let published_at = Some(published_at);
        let progress = Progress {
            publisher: publisher.to_owned(),
            sequence,
            attempted: sequence,
            published_at,
            mark_age_ms: None,
        };
        self.publish(&self.composer.beat(Some(progress))).await;
    }

    /// The same from a worker whose clock is ahead.
    async fn name_ahead(&self, publisher: &str, sequence: u64, ahead: Duration) {
        let now = OffsetDateTime::now_utc() + ahead;
        let progress = Progress {
            publisher: publisher.to_owned(),
            sequence,
            attempted: sequence,
            published_at: Some(now),
            mark_age_ms: None,
        };
        let mut beat = Envelope::new(
            "/test",
            HEARTBEAT_TYPE,
            Heartbeat { instance: "ahead".to_owned(), progress: Some(progress) },
        );
        beat.time = now;
        self.publish_bytes(HEARTBEAT_KEY, &beat.to_json()).await;
    }

    /// Does so again and again for as long as `work` takes.
    pub(crate) async fn naming<T>(
        &self,
        publisher: &str,
        sequence: u64,
        published_at: OffsetDateTime,
        work: impl Future<Output = T>,
    ) -> T {
        again_and_again(async || self.name(publisher, sequence, published_at).await, work).await
    }

    /// The same from a worker whose clock is ahead.
    pub(crate) async fn naming_ahead<T>(
        &self,
        publisher: &str,
        sequence: u64,
        ahead: Duration,
        work: impl Future<Output = T>,
    ) -> T {
        again_and_again(async || self.name_ahead(publisher, sequence, ahead).await, work).await
    }

    /// Publishes to the stream of snapshots.
    pub(crate) async fn publish_snapshot(&self, body: &[u8]) {
        self.publish_with(SNAPSHOTS_STREAM, "", body, BasicProperties::default()).await;
    }

    pub(crate) async fn publish(&self, message: &Outgoing) {
        self.publish_bytes(&message.routing_key, &message.body).await;
    }

    pub(crate) async fn publish_bytes(&self, routing_key: &str, body: &[u8]) {
        self.publish_with(EXCHANGE, routing_key, body, BasicProperties::default()).await;
    }

    async fn publish_with(
        &self,
        exchange: &str,
        routing_key: &str,
        body: &[u8],
        properties: BasicProperties,
    ) {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let properties = properties.with_delivery_mode(2);
        let published =
            self.channel.basic_publish(exchange.into(), routing_key.into(), options, body, properties).await;
        assert!(published.expect("publish").await.expect("a confirm").is_ack(), "confirmed");
    }
}

/// Acts twice a second for as long as `work` takes.
pub(crate) async fn again_and_again<T>(act: impl AsyncFn(), work: impl Future<Output = T>) -> T {
    let acts = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        loop {
            ticks.tick().await;
            act().await;
        }
    };
    tokio::select! {
        done = work => done,
        () = acts => unreachable!("acts for ever"),
    }
}

/// Denies this token for an hour.
pub(crate) fn denial(token: &str) -> Entry {
    let token_sha256 = Token::new(token.to_owned()).fingerprint().to_string();
    let expires_at = OffsetDateTime::now_utc() + Duration::from_secs(3600);
    Entry::Token {
        token_sha256,
        token_type_hint: None,
        signed_sha256: None,
        jti: None,
        iss: TokenIssuer::NotSaid,
        expires_at,
    }
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
