//! Publishing: persistent, mandatory, confirmed. Published means that the broker said so and did not return
//! it.

mod supervisor;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::confirm::{CONFIRM_TIMEOUT, properties_of, short, verdict};
use super::connection::within;
use super::ledger::{Ledger, Numbered, Standing};
use super::{Broker, BrokerError, DEAD, PublishError};
use crate::again::Again;
use crate::clock::Clock;
use crate::invalidation::{EXCHANGE, Outgoing};
use crate::retry::Schedule;
pub use supervisor::Purpose;
use supervisor::Supervisor;

/// A channel and its place in the succession of channels: only the failures of the present one count against
/// it.
#[derive(Clone)]
struct Link {
    number: u64,
    channel: Channel,
    /// Largest frame, bytes.
    frame_max: u32,
}

/// A handle to the publishing connection. Clones share it.
#[derive(Clone)]
pub struct Publisher {
    link: watch::Receiver<Option<Link>>,
    suspect: Arc<watch::Sender<u64>>,
    losses: watch::Receiver<u64>,
    ledger: Arc<Ledger>,
    schedule: Schedule,
    stop: CancellationToken,
}

/// A message on its way.
struct Message<'a> {
    exchange: &'a str,
    key: ShortString,
    body: &'a [u8],
    properties: BasicProperties,
    /// Whether it lies in the log, where everything has a number.
    is_numbered: bool,
}

impl Publisher {
    /// Starts the supervisor of a publishing connection for `purpose`. It ends when `stop` is cancelled.
    pub fn start(
        broker: Arc<Broker>,
        purpose: Purpose,
        schedule: Schedule,
        clock: Clock,
        stop: CancellationToken,
    ) -> Self {
        let (link_tx, link) = watch::channel(None);
        let (losses_tx, losses) = watch::channel(0);
        let suspect = Arc::new(watch::Sender::new(0));
        let ledger = Arc::new(Ledger::new(clock));
        let publisher = Self {
            link,
            suspect: suspect.clone(),
            losses,
            ledger: ledger.clone(),
            schedule: schedule.clone(),
            stop: stop.clone(),
        };
        tokio::spawn(async move {
            Supervisor { broker, purpose, schedule, link: link_tx, losses: losses_tx, ledger, suspect, stop }
                .run()
                .await
        });
        publisher
    }

    /// The name of this run in the headers of what it publishes to the log.
    pub fn name(&self) -> &str {
        self.ledger.publisher()
    }

    /// What was published to the log so far.
    pub fn standing(&self) -> Standing {
        self.ledger.standing()
    }

    /// Waits until [`standing`](Self::standing) has changed; for one task.
    pub async fn moved(&self) {
        self.ledger.moved().await;
    }

    /// Whether the connection is up.
    pub fn is_connected(&self) -> bool {
        self.link.borrow().is_some()
    }

    /// Counts lost connections: a change means that the broker may have lost what it confirmed shortly
    /// before.
    pub fn losses(&self) -> watch::Receiver<u64> {
        self.losses.clone()
    }

    /// Publishes an invalidation, again and again until the broker has confirmed it.
    ///
    /// # Errors
    /// Only [`PublishError::Stopping`] and [`PublishError::TooLong`]; every other failure is logged and tried
    /// again.
    pub async fn deliver(&self, message: &Outgoing) -> Result<(), PublishError> {
        // Made at the first failure: each denial comes by here.
        let mut again = None;
        loop {
            match self.invalidate(message).await {
                Ok(()) => return Ok(()),
                Err(e @ (PublishError::Stopping(_) | PublishError::TooLong(..))) => return Err(e),
                Err(error) => {
                    let again = again.get_or_insert_with(|| Again::by(&self.schedule, &self.stop));
                    let failures = again.failed();
                    tracing::warn!(%error, failures, message_id = %message.id, "invalidation not confirmed; \
                        trying again");
                    let stopping = || PublishError::Stopping(EXCHANGE.to_owned());
                    again.rest().await.ok_or_else(stopping)?;
                }
            }
        }
    }

    /// Publishes a message to the log once.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn invalidate(&self, message: &Outgoing) -> Result<(), PublishError> {
        self.announce(message, true).await
    }

    /// Publishes a heartbeat once: beside the log, and without a number.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn beat(&self, message: &Outgoing) -> Result<(), PublishError> {
        self.announce(message, false).await
    }

    async fn announce(&self, message: &Outgoing, is_numbered: bool) -> Result<(), PublishError> {
        let key = short(EXCHANGE, &message.routing_key)?;
        self.confirmed(Message {
            exchange: EXCHANGE,
            key,
            body: &message.body,
            properties: properties_of(message),
            is_numbered,
        })
        .await
    }

    /// Publishes once: persistent, mandatory, confirmed within [`CONFIRM_TIMEOUT`].
    pub(super) async fn publish(
        &self,
        exchange: &str,
        key: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), PublishError> {
        self.confirmed(Message { exchange, key: short(exchange, key)?, body, properties, is_numbered: false })
            .await
    }

    /// The largest frame that the present connection takes, bytes; waits for one while the broker is away.
    pub(super) async fn frame_max(&self) -> Result<u32, PublishError> {
        Ok(self.link(DEAD).await?.frame_max)
    }

    /// Messages that are ready in a queue. Where it is gone, the next connection declares it.
    pub(super) async fn depth(&self, queue: &str) -> Result<u32, PublishError> {
        let link = self.link(queue).await?;
        let what = format!("look at queue {queue}");
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let found = within(&what, async {
            link.channel
                .queue_declare(queue.into(), options, FieldTable::default())
                .await
                .map_err(|e| BrokerError::new(what.as_str(), e))
        });
        let found = found.await;
        if found.is_err() {
            self.suspect(link.number);
        }
        Ok(found?.message_count())
    }

    fn suspect(&self, number: u64) {
        self.suspect.send_if_modified(|suspect| number > std::mem::replace(suspect, number.max(*suspect)));
    }

    async fn confirmed(&self, message: Message<'_>) -> Result<(), PublishError> {
        let exchange = message.exchange;
        let link = self.link(exchange).await?;
        let outcome = tokio::time::timeout(CONFIRM_TIMEOUT, self.send(&link, message)).await;
        // Also when it was returned: the next connection declares the topology again, which mends a missing
        // stream or binding.
        if !matches!(outcome, Ok(Ok((_, Confirmation::Ack(None) | Confirmation::Nack(None))))) {
            self.suspect(link.number);
        }
        let lost = || format!("publish to {exchange}");
        match outcome {
            Err(_) => Err(BrokerError::timeout(lost(), CONFIRM_TIMEOUT).into()),
            Ok(Err(Some(error))) => Err(BrokerError::new(lost(), error).into()),
            Ok(Err(None)) => Err(BrokerError::ended(lost()).into()),
            Ok(Ok((numbered, confirmation))) => {
                verdict(&confirmation, exchange)?;
                let is_lost = numbered.is_some_and(|numbered| !self.ledger.confirm(&numbered));
                if is_lost { Err(BrokerError::ended(lost()).into()) } else { Ok(()) }
            }
        }
    }

    /// Sends it and waits for its confirm; `None`: the connection has been given up.
    async fn send(
        &self,
        link: &Link,
        message: Message<'_>,
    ) -> Result<(Option<Numbered>, Confirmation), Option<lapin::Error>> {
        let Message { exchange, key, body, properties, is_numbered } = message;
        let (mut number, mut publish) = (None, None);
        // The client queues the frames when the call is polled for the first time: in one step with the
        // number, so that both have the same order.
        let hand_over = |context: &mut std::task::Context<'_>| {
            let polled = self.ledger.in_order(link.number, |entry| {
                let numbered = is_numbered.then(|| entry.number(properties.clone()));
                let (given, properties) = numbered.map_or_else(
                    || (None, properties.clone()),
                    |(number, properties)| (Some(number), properties),
                );
                number = given;
                let options = BasicPublishOptions { mandatory: true, ..Default::default() };
                let call = Box::pin(link.channel.basic_publish(
                    exchange.into(),
                    key.clone(),
                    options,
                    body,
                    properties,
                ));
                publish.insert(call).as_mut().poll(context)
            });
            polled.map_or(Poll::Ready(Err(None)), |polled| polled.map_err(Some))
        };
        let first = poll_once(hand_over).await;
        let confirm: PublisherConfirm = match (first, publish) {
            (Poll::Ready(handed_over), _) => handed_over?,
            (Poll::Pending, Some(call)) => call.await.map_err(Some)?,
            (Poll::Pending, None) => return Err(None),
        };
        Ok((number, confirm.await.map_err(Some)?))
    }

    /// The present channel; waits for one while the broker is away.
    async fn link(&self, exchange: &str) -> Result<Link, PublishError> {
        let mut link = self.link.clone();
        tokio::select! {
            found = link.wait_for(Option::is_some) => {
                let link = found.ok().and_then(|link| link.clone());
                link.ok_or_else(|| PublishError::Stopping(exchange.to_owned()))
            }
            () = self.stop.cancelled() => Err(PublishError::Stopping(exchange.to_owned())),
        }
    }
}

/// Polls once, with the context of the caller.
async fn poll_once<T>(poll: impl FnOnce(&mut std::task::Context<'_>) -> T) -> T {
    let mut poll = Some(poll);
    // `poll_fn` asks once, as it is answered at once.
    poll_fn(|context| poll.take().map_or(Poll::Pending, |poll| Poll::Ready(poll(context)))).await
}
