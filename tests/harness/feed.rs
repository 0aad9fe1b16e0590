//! A service that listens to invalidations as they are published.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use revocation_worker::invalidation::{Entry, Envelope, EventOf, EventRef, Heartbeat, Invalidation, Phase};

use super::eventually;

/// What an invalidation says of one event.
#[derive(Clone)]
pub(crate) struct Said {
    pub(crate) phase: Phase,
    pub(crate) event: EventRef,
    pub(crate) incident: Option<String>,
    pub(crate) targets: Vec<Entry>,
}

/// An invalidation as it was seen, as far as it is about one event.
#[derive(Clone)]
pub(crate) struct Seen {
    /// When it arrived.
    pub(crate) at: Instant,
    /// Its routing key.
    pub(crate) routing_key: String,
    /// Of its payload, what is about the event.
    pub(crate) data: Said,
    /// The message's raw body, for scans.
    pub(crate) body: Arc<str>,
}

/// What a message says of each of its events. The first of them is named twice, and each target names one.
fn said(message: Invalidation) -> impl Iterator<Item = Said> {
    let Invalidation { phase, event, incident, events, targets, .. } = message;
    let first = events.first().map(|first| (&first.event, &first.incident));
    assert_eq!(first, Some((&event, &incident)));
    assert!(targets.iter().all(|target| target.event < events.len()), "a target of no event");
    events.into_iter().enumerate().map(move |(place, EventOf { event, incident, .. })| {
        let its = targets.iter().filter(|target| target.event == place);
        let targets: Vec<_> = its.map(|target| target.entry.clone()).collect();
        assert!(!targets.is_empty(), "an event without a target");
        Said { phase, event, incident, targets }
    })
}

/// A live listener.
pub(crate) struct Feed {
    seen: Arc<Mutex<Vec<Seen>>>,
    messages: Arc<Mutex<usize>>,
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
        let (messages, heartbeats) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let last = Arc::new(Mutex::new(None));
        let feed = Self {
            seen: seen.clone(),
            messages: messages.clone(),
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
                let body: Arc<str> = String::from_utf8(delivery.data).expect("UTF-8").into();
                let routing_key = delivery.routing_key.as_str();
                let of_events = said(envelope.data);
                let of_events = of_events.map(|data| Seen {
                    at,
                    routing_key: routing_key.to_owned(),
                    data,
                    body: body.clone(),
                });
                seen.lock().expect("no panic").extend(of_events);
                *messages.lock().expect("no panic") += 1;
            }
        });
        feed
    }

    /// Everything seen so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }

    /// Messages so far, which tell of one event or more.
    pub(crate) fn messages(&self) -> usize {
        *self.messages.lock().expect("no panic")
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
