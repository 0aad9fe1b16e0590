//! A connection to publish events on, one by one as they come, for as long as the process runs.

use std::sync::Arc;

use futures::FutureExt;
use revocation_verifier::amqp::close;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::events::CLOUD_EVENT;
use super::intake::broken;
use super::{Broker, BrokerError, EventPublisher, PublishError};
use crate::again::Again;

/// A handle to the connection, which a supervisor keeps up.
pub struct EventSource {
    link: watch::Receiver<Option<Arc<EventPublisher>>>,
    suspect: Arc<Notify>,
}

impl EventSource {
    /// Starts the supervisor. It ends when `stop` is cancelled.
    pub fn start(broker: Arc<Broker>, stop: CancellationToken) -> Self {
        let (link_tx, link) = watch::channel(None);
        let suspect = Arc::new(Notify::new());
        tokio::spawn(supervise(broker, link_tx, suspect.clone(), stop));
        Self { link, suspect }
    }

    /// Whether the connection is up.
    pub fn is_connected(&self) -> bool {
        self.link.borrow().is_some()
    }

    /// Publishes an event once; returns when the broker has confirmed that a queue has it. Where the
    /// connection is not up, it fails at once.
    ///
    /// # Errors
    /// See [`PublishError`]. After any of them the event may be published again: it is the same event.
    pub async fn publish(
        &self,
        routing_key: &'static str,
        id: &str,
        body: &[u8],
    ) -> Result<(), PublishError> {
        self.publish_as(CLOUD_EVENT, routing_key, id, body).await
    }

    /// The same of a message of another media type.
    ///
    /// # Errors
    /// See [`publish`](Self::publish).
    pub async fn publish_as(
        &self,
        media: &'static str,
        routing_key: &'static str,
        id: &str,
        body: &[u8],
    ) -> Result<(), PublishError> {
        let link = self.link.borrow().clone();
        let link = link.ok_or_else(|| BrokerError::ended("reach the broker"))?;
        let published = async { link.send_as(media, routing_key, id, body).await?.confirmed().await }.await;
        if matches!(published, Err(PublishError::Lost(_))) {
            self.suspect.notify_one();
        }
        published
    }
}

async fn supervise(
    broker: Arc<Broker>,
    link: watch::Sender<Option<Arc<EventPublisher>>>,
    suspect: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut again = Again::until(&stop);
    while !stop.is_cancelled() {
        match EventPublisher::open(&broker).await {
            Ok(publisher) => {
                again.worked();
                // What was suspected was the connection before.
                let _before = suspect.notified().now_or_never();
                let publisher = Arc::new(publisher);
                link.send_replace(Some(publisher.clone()));
                tracing::info!("connected to the broker: events can be published");
                tokio::select! {
                    error = broken(publisher.connection()) => tracing::warn!(%error, "connection lost"),
                    () = suspect.notified() => {
                        tracing::warn!("connection given up: an event was not confirmed");
                    }
                    () = stop.cancelled() => {}
                }
                link.send_replace(None);
                // Its channel must outlive the connection: see `close`.
                close(publisher.connection()).await;
            }
            Err(error) => {
                let failures = again.failed();
                tracing::warn!(%error, failures, "no connection to publish events on; trying again");
            }
        }
        again.rest_between_sessions().await;
    }
}
