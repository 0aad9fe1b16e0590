//! Listens, as a verifier does, and notes when each event was denied.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use lapin::{Connection, ConnectionProperties, Consumer};

use crate::Result;
use crate::latency::{Message, subscribe};
use crate::measure::now_us;

/// By event id: how many of its targets are denied, and since when the latest, in microseconds since 1970.
type Denied = HashMap<String, (usize, i64)>;

pub(super) struct Observer {
    connection: Connection,
    denied: Arc<Mutex<Denied>>,
}

impl Observer {
    pub(super) async fn start(amqp_url: &str) -> Result<Self> {
        let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await?;
        let consumer = subscribe(&connection.create_channel().await?).await?;
        let denied = Arc::default();
        tokio::spawn(note_all(consumer, Arc::clone(&denied)));
        Ok(Self { connection, denied })
    }

    fn denied(&self) -> MutexGuard<'_, Denied> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Targets denied, of all events.
    pub(super) fn targets(&self) -> usize {
        self.denied().values().map(|(targets, _)| targets).sum()
    }

    /// When each of these events was denied whole; an error for one that was not.
    pub(super) fn denied_us<S: AsRef<str>>(&self, events: impl IntoIterator<Item = S>) -> Result<Vec<i64>> {
        let denied = self.denied();
        let at = |id: &str| {
            denied.get(id).map(|(_, at)| *at).ok_or_else(|| format!("event {id} was not denied").into())
        };
        events.into_iter().map(|id| at(id.as_ref())).collect()
    }

    pub(super) async fn stop(self) -> Result {
        Ok(self.connection.close(200, "done".into()).await?)
    }
}

async fn note_all(mut consumer: Consumer, denied: Arc<Mutex<Denied>>) {
    while let Some(Ok(delivery)) = consumer.next().await {
        let at = now_us();
        // A heartbeat has no phase.
        let Ok(Message { data }) = serde_json::from_slice(&delivery.data) else { continue };
        if data.phase == "requested" {
            let mut denied = denied.lock().unwrap_or_else(PoisonError::into_inner);
            for target in &data.targets {
                let Some(event) = data.events.get(target.event) else { continue };
                let (targets, latest) = denied.entry(event.id.clone()).or_default();
                (*targets, *latest) = (*targets + 1, at);
            }
        }
    }
}
