//! A service that listens to invalidations as they are published.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use revocation_worker::invalidation::{Entry, Envelope, Heartbeat, Invalidation, Phase};

use super::eventually;

/// An invalidation as it was seen.
#[derive(Clone)]
pub(crate) struct Seen {
    /// When it arrived.
    pub(crate) at: Instant,
    /// Its routing key.
    pub(crate) routing_key: String,
    /// Its payload.
    pub(crate) data: Invalidation,
    /// The message's raw body, for scans.
    pub(crate) body: String,
}

/// A live listener.
pub(crate) struct Feed {
    seen: Arc<Mutex<Vec<Seen>>>,
    heartbeats: Arc<Mutex<usize>>,
    last_heartbeat: Arc<Mutex<Option<String>>>,
    _connection: Connection,
}

impl Feed {
    /// Binds a queue of its own to the exchange, which a worker must have declared.
    pub(crate) async fn listen(amqp_url: &str) -> Self {
        let connection = Connection::connect(amqp_url, ConnectionProperties::default())
            .await
            .expect("connect to the broker");
        let channel = connection.create_channel().await.expect("open a channel");
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
        let queue =
            channel.queue_declare("".into(), options, FieldTable::default()).await.expect("declare a queue");
        let name = queue.name().clone();
        let bound = channel.queue_bind(
            name.clone(),
            "auth.invalidations".into(),
            "#".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.expect("bind the queue");
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let mut consumer = channel
            .basic_consume(name, "feed".into(), options, FieldTable::default())
            .await
            .expect("consume");
        let (seen, heartbeats) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let last = Arc::new(Mutex::new(None));
        let feed = Self {
            seen: seen.clone(),
            heartbeats: heartbeats.clone(),
            last_heartbeat: last.clone(),
            _connection: connection,
        };
        tokio::spawn(async move {
            while let Some(Ok(delivery)) = consumer.next().await {
                let at = Instant::now();
                if delivery.routing_key.as_str() == "heartbeat" {
                    *heartbeats.lock().expect("no panic") += 1;
                    let beat: Envelope<Heartbeat> =
                        serde_json::from_slice(&delivery.data).expect("a heartbeat");
                    *last.lock().expect("no panic") = Some(beat.data.instance);
                }
                if !delivery.routing_key.as_str().starts_with("invalidation.") {
                    continue;
                }
                let envelope: Envelope<Invalidation> =
                    serde_json::from_slice(&delivery.data).expect("an invalidation");
                let body = String::from_utf8(delivery.data).expect("UTF-8");
                seen.lock().expect("no panic").push(Seen {
                    at,
                    routing_key: delivery.routing_key.to_string(),
                    data: envelope.data,
                    body,
                });
            }
        });
        feed
    }

    /// Everything seen so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }

    /// Heartbeats so far.
    pub(crate) fn heartbeats(&self) -> usize {
        *self.heartbeats.lock().expect("no panic")
    }

    /// Which worker sent the last one.
    pub(crate) fn last_heartbeat(&self) -> Option<String> {
        self.last_heartbeat.lock().expect("no panic").clone()
    }

    /// Waits for the invalidation of an event in a phase.
    pub(crate) async fn wait_for(&self, phase: Phase, event_id: &str) -> Seen {
        eventually(&format!("{phase:?} of event {event_id} is published"), async || {
            self.seen().into_iter().find(|seen| seen.data.phase == phase && seen.data.event.id == event_id)
        })
        .await
    }

    /// The token digests denied or confirmed in a phase, sorted, without repetition.
    pub(crate) fn digests(&self, phase: Phase) -> Vec<String> {
        let mut digests: Vec<_> = self
            .seen()
            .into_iter()
            .filter(|seen| seen.data.phase == phase)
            .flat_map(|seen| seen.data.targets)
            .filter_map(|entry| match entry {
                Entry::Token { token_sha256, .. } => Some(token_sha256),
                _ => None,
            })
            .collect();
        digests.sort_unstable();
        digests.dedup();
        digests
    }
}
