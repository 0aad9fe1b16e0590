//! Consuming: a supervised session on the queues of events. Whatever ends it (error, server-side cancel,
//! silence), everything is torn down and built anew.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use lapin::{Connection, Event};
use revocation_verifier::amqp::{Unreadable, close};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::take::Queue;
use super::{Broker, BrokerError, QUEUES, Received, Window, original};
use crate::again::Again;
use crate::retry::Schedule;

/// How long a failed session waits to learn the cause from its connection.
const CAUSE_PATIENCE: Duration = Duration::from_millis(100);
/// So often in a row the deliveries go back to the broker and are taken again while Postgres stays away. Then
/// they stay with the broker until it answers: each return counts towards the delivery limit.
const MOST_RETURNS: u32 = 40;
/// Connects that neither succeed nor fail leave a thread behind each: after this many in a row the process
/// had better start afresh.
const MAX_MUTE_CONNECTS: u32 = 10;

/// Where the deliveries of each of [`QUEUES`] go.
pub type Sinks = [mpsc::UnboundedSender<Received>; QUEUES.len()];

/// The consuming side's supervisor.
pub struct Intake {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Delays between sessions.
    pub schedule: Schedule,
    /// Where the deliveries of each of [`QUEUES`] go, so that none waits behind those of another. The window
    /// bounds them.
    pub sinks: Sinks,
    /// What is in hand.
    pub window: Arc<Window>,
    /// How often in a row what is in hand was to go back to the broker, because Postgres stayed away; 0 once
    /// it answers.
    pub returns: watch::Receiver<u32>,
    /// Whether a session is consuming.
    pub connected: watch::Sender<bool>,
    /// Stop taking: consumers are cancelled, the session stays for outstanding acknowledgements.
    pub stop: CancellationToken,
    /// Everything is acknowledged: close.
    pub drained: CancellationToken,
}

enum Ended {
    Stopped,
    Closed,
}

impl Intake {
    /// Consumes until stopped and drained.
    ///
    /// # Errors
    /// At start: the topology differs, or credentials are refused. Later: only a broker that accepts
    /// connections and never answers.
    pub async fn run(self) -> Result<(), BrokerError> {
        let (mut again, mut mute, mut was_up) = (Again::by(&self.schedule, &self.stop), 0, false);
        loop {
            let ended = tokio::select! {
                ended = self.session() => ended,
                () = self.drained.cancelled() => return Ok(()),
            };
            was_up |= *self.connected.borrow();
            self.connected.send_replace(false);
            match ended {
                Ok(Ended::Stopped) => return Ok(()),
                Ok(Ended::Closed) => again.worked(),
                Err(error) if error.is_refusal() && !was_up => return Err(error),
                Err(error) => {
                    let failures = again.failed();
                    mute = if error.is_mute() { mute + 1 } else { 0 };
                    if mute >= MAX_MUTE_CONNECTS {
                        return Err(error);
                    }
                    tracing::warn!(%error, failures, "consuming session failed; trying again");
                }
            }
            again.rest_between_sessions().await;
        }
    }

    async fn session(&self) -> Result<Ended, BrokerError> {
        let mut returns = self.returns.clone();
        tokio::select! {
            few = returns.wait_for(|returns| *returns < MOST_RETURNS) => {
                if few.is_err() {
                    return Ok(Ended::Stopped);
                }
            }
            () = self.stop.cancelled() => return Ok(Ended::Stopped),
        }
        let unreadable = Unreadable::keeping(&original::SAY_WHO);
        let connection = self.broker.connect_noting("consume", &unreadable).await?;
        let mut broken = pin!(broken(&connection));
        let mut queues = Vec::with_capacity(QUEUES.len());
        let ended = tokio::select! {
            error = &mut broken => Err(error),
            ended = self.consume(&connection, &unreadable, &mut queues) => match ended {
                // What the connection says of its end is the cause; what a step of ours saw of it may be a
                // mere consequence.
                Err(seen) => Err(tokio::time::timeout(CAUSE_PATIENCE, &mut broken).await.unwrap_or(seen)),
                ended => ended,
            },
        };
        close(&connection).await;
        ended
    }

    /// Leaves the `queues` to its caller: their channels must outlive the connection (see `close`).
    async fn consume<'a>(
        &'a self,
        connection: &Connection,
        unreadable: &'a Unreadable,
        queues: &mut Vec<Queue<'a>>,
    ) -> Result<Ended, BrokerError> {
        self.broker.ensure_topology(connection).await?;
        for ((name, sink), share) in QUEUES.into_iter().zip(&self.sinks).zip(self.window.shares()) {
            queues.push(Queue::open(connection, name, share, sink, unreadable).await?);
        }
        let waiting = AtomicUsize::new(queues.len());
        let subscribed = || {
            if waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
                self.connected.send_replace(true);
            }
        };
        let taking =
            futures::future::try_join_all(queues.iter().map(|queue| queue.take(&self.stop, subscribed)));
        tokio::select! {
            taken = taking => drop(taken?),
            () = self.handed_back() => return Ok(Ended::Closed),
        };
        // Cancelled, not closed: the deliveries in hand are acknowledged on these channels.
        self.drained.cancelled().await;
        Ok(Ended::Stopped)
    }

    /// Returns when what is in hand is to go back to the broker.
    async fn handed_back(&self) {
        let mut returns = self.returns.clone();
        let mut before = *returns.borrow_and_update();
        // It ends with the worker, as the session does.
        drop(returns.wait_for(|returns| *returns > std::mem::replace(&mut before, *returns)).await);
    }
}

/// Waits for the connection's own error: a request under way when the connection breaks is never answered.
pub(super) async fn broken(connection: &Connection) -> BrokerError {
    let mut events = connection.events_listener();
    while let Some(event) = events.next().await {
        if let Event::Error(error) = event {
            return BrokerError::new("consume", error);
        }
    }
    BrokerError::ended("consume")
}
