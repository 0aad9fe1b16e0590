//! Hearing the fleet's heartbeats, one's own among them: a supervised session on a connection of its own,
//! which cannot hold up publishing.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use lapin::Connection;
use revocation_verifier::amqp::close;
use revocation_verifier::feed::{FeedError, Offset, Subscription};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::intake::broken;
use super::{Broker, BrokerError};
use crate::again::Again;
use crate::invalidation::BEATS_STREAM;
use crate::retry::Schedule;

const HEAR: &str = "listen to the heartbeats";

/// What is heard.
pub enum Heard {
    /// From now on, every heartbeat is.
    Listening,
    /// Nothing is, until the next [`Heard::Listening`].
    Deaf,
    /// A heartbeat's body.
    Beat(Vec<u8>),
}

/// The supervisor of the session.
pub struct Beats {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Delays between sessions.
    pub schedule: Schedule,
    /// Ends it.
    pub stop: CancellationToken,
}

impl Beats {
    /// Most heartbeats that wait to be looked at.
    pub const PREFETCH: u16 = 100;

    /// Listens until stopped. Nothing that goes wrong here ends the worker: one that hears nobody sends every
    /// heartbeat itself.
    pub async fn run(self, sink: mpsc::Sender<Heard>) {
        let mut again = Again::by(&self.schedule, &self.stop);
        while !self.stop.is_cancelled() {
            let ended = self.session(&sink, &mut || again.worked()).await;
            if self.stop.is_cancelled() || sink.send(Heard::Deaf).await.is_err() {
                return;
            }
            match ended {
                Ok(never) => match never {},
                Err(error) => {
                    let failures = again.failed();
                    tracing::warn!(%error, failures, "session on the heartbeats failed; trying again")
                }
            }
            again.rest().await;
        }
    }

    /// One connection's life. `began` is called when it listens.
    async fn session(
        &self,
        sink: &mpsc::Sender<Heard>,
        began: &mut impl FnMut(),
    ) -> Result<Infallible, BrokerError> {
        let connection = tokio::select! {
            connected = self.broker.connect("heartbeats") => connected?,
            () = self.stop.cancelled() => return Err(BrokerError::ended(HEAR)),
        };
        // It has a channel, which must outlive the connection: see `close`.
        let mut listening = pin!(self.listen(&connection, sink, began));
        let ended = tokio::select! {
            error = broken(&connection) => Err(error),
            ended = &mut listening => ended,
            () = self.stop.cancelled() => Err(BrokerError::ended(HEAR)),
        };
        close(&connection).await;
        ended
    }

    async fn listen(
        &self,
        connection: &Connection,
        sink: &mpsc::Sender<Heard>,
        began: &mut impl FnMut(),
    ) -> Result<Infallible, BrokerError> {
        self.broker.ensure_topology(connection).await?;
        let mut subscription = Subscription::start(connection, BEATS_STREAM, Offset::Next, Self::PREFETCH)
            .await
            .map_err(failed)?;
        began();
        let mut heard = Heard::Listening;
        loop {
            if sink.send(heard).await.is_err() {
                return Err(BrokerError::ended(HEAR));
            }
            let (_, delivery) = subscription.next().await.map_err(failed)?;
            subscription.acknowledge(delivery.delivery_tag).await.map_err(failed)?;
            heard = Heard::Beat(delivery.data);
        }
    }
}

fn failed(error: FeedError) -> BrokerError {
    BrokerError::feed(HEAR, error)
}
