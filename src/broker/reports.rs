//! Consuming the verifiers' reports: a supervised session on a connection of its own, so that no report,
//! however broken, disturbs the events.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use lapin::options::BasicAckOptions;
use lapin::{Acker, Connection};
use revocation_verifier::amqp::close;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::intake::broken;
use super::take::subscribe;
use super::{Broker, BrokerError, VERIFIERS_QUEUE};
use crate::again::Again;
use crate::retry::Schedule;

/// A report, not yet acknowledged.
pub struct Reported {
    /// The body as published.
    pub body: Vec<u8>,
    /// Its property `user_id`, which RabbitMQ has validated against the connection that published it. `None`:
    /// it has none.
    pub user: Option<String>,
    acker: Acker,
}

impl Reported {
    /// Tells the broker that this report, and every one before it, is dealt with. Where the session has ended
    /// there is nothing to tell.
    pub async fn ack_all(&self) {
        drop(self.acker.ack(BasicAckOptions { multiple: true }).await);
    }
}

/// The supervisor of the session.
pub struct Reports {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Delays between sessions.
    pub schedule: Schedule,
    /// Ends it.
    pub stop: CancellationToken,
}

impl Reports {
    /// Most reports that are delivered and not acknowledged.
    pub const PREFETCH: u16 = 100;

    /// Consumes until stopped. Nothing that goes wrong here ends the worker: without reports it does
    /// everything else.
    pub async fn run(self, sink: mpsc::Sender<Reported>) {
        let mut again = Again::by(&self.schedule, &self.stop);
        while !self.stop.is_cancelled() {
            match self.session(&sink, &mut || again.worked()).await {
                Some(Err(error)) => {
                    let failures = again.failed();
                    tracing::warn!(%error, failures, "session on the verifiers' reports failed; trying \
                        again, everything else goes on");
                }
                None => return,
            }
            again.rest().await;
        }
    }

    /// One connection's life; `None` once stopped. `began` is called when it consumes.
    async fn session(
        &self,
        sink: &mpsc::Sender<Reported>,
        began: &mut impl FnMut(),
    ) -> Option<Result<Infallible, BrokerError>> {
        let connection = tokio::select! {
            connected = self.broker.connect("reports") => match connected {
                Ok(connection) => connection,
                Err(error) => return Some(Err(error)),
            },
            () = self.stop.cancelled() => return None,
        };
        // It has a channel, which must outlive the connection: see `close`.
        let mut consuming = pin!(self.consume(&connection, sink, began));
        let ended = tokio::select! {
            error = broken(&connection) => Some(Err(error)),
            ended = &mut consuming => Some(ended),
            () = self.stop.cancelled() => None,
        };
        close(&connection).await;
        ended
    }

    async fn consume(
        &self,
        connection: &Connection,
        sink: &mpsc::Sender<Reported>,
        began: &mut impl FnMut(),
    ) -> Result<Infallible, BrokerError> {
        self.broker.ensure_reports(connection).await?;
        let (_channel, mut consumer) = subscribe(connection, VERIFIERS_QUEUE, Self::PREFETCH).await?;
        began();
        tracing::debug!("verifiers' reports are read");
        let what = || format!("consume from {VERIFIERS_QUEUE}");
        loop {
            let delivery = consumer
                .next()
                .await
                .ok_or_else(|| BrokerError::ended(what()))?
                .map_err(|e| BrokerError::new(what(), e))?;
            let user = delivery.properties.user_id().as_ref().map(ToString::to_string);
            let reported = Reported { body: delivery.data, user, acker: delivery.acker };
            if sink.send(reported).await.is_err() {
                return Err(BrokerError::ended(what()));
            }
        }
    }
}
