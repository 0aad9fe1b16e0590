//! Refused messages on their way into `revocation.dead`: on a connection of their own, so that no message,
//! whatever the broker does to it, takes a denial along; and a message that took others along goes on alone.

use std::sync::Arc;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use revocation_verifier::amqp::close;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use super::confirm::{CONFIRM_TIMEOUT, publish_once, verdict};
use super::fit::fitted;
use super::headers::{self, without, without_user};
use super::{Broker, BrokerError, DEAD, PublishError, Publisher, Purpose, Received, original};
use crate::clock::Clock;
use crate::event::Refusal;
use crate::retry::Schedule;

/// Most characters of the sentence in the headers; the record has all of it.
const LONGEST_DETAIL: usize = 1000;
/// How often a message is tried before the broker is left to put it away.
const TRIES: u32 = 5;
/// How many may be on their way at once.
const TOGETHER: usize = 256;
/// How long one waits to be on its way: where the queue is not there, and somebody else declares it, there is
/// no connection.
const CONNECTION_WITHIN: Duration = Duration::from_secs(10);

/// Why a refused message is not in `revocation.dead`.
pub enum Unplaced {
    /// It may be tried again after a while.
    NotYet(PublishError),
    /// It cannot be published; the broker, which has it still, puts it there without the reason in its
    /// headers.
    LeftToBroker(PublishError),
    /// There is no room; the broker, which has it still, puts it there once there is, without the reason in
    /// its headers.
    Full,
}

/// A handle to the connection for refused messages.
pub struct Refusals {
    broker: Arc<Broker>,
    publisher: Publisher,
    /// If their connection breaks, each of those on their way goes on alone.
    on_the_way: Semaphore,
    alone: Mutex<()>,
}

impl Refusals {
    /// Starts the supervisor of the connection. It ends when `stop` is cancelled.
    pub fn start(broker: Arc<Broker>, schedule: Schedule, clock: Clock, stop: CancellationToken) -> Self {
        let publisher = Publisher::start(broker.clone(), Purpose::Refuse, schedule, clock, stop);
        Self { publisher, broker, on_the_way: Semaphore::new(TOGETHER), alone: Mutex::new(()) }
    }

    /// Publishes a refused message to `revocation.dead`, its body unchanged, with the reason and as many of
    /// its properties as fit. `at` is RFC 3339. The first of its failures makes it go alone; after several of
    /// them, or where the broker refuses that very message, the broker is left with it.
    ///
    /// # Errors
    /// See [`Unplaced`].
    pub async fn put(
        &self,
        received: &Received,
        refusal: &Refusal,
        at: &str,
        failures: u32,
    ) -> Result<(), Unplaced> {
        let put = if failures == 0 {
            self.among_others(received, refusal, at).await
        } else {
            self.alone(received, refusal, at).await
        };
        let Err(error) = put else { return Ok(()) };
        // Another try would meet the same queue, and keep the message in hand meanwhile.
        let is_full = matches!(&error, PublishError::Nacked(_));
        let is_refused = failures > 0 && matches!(&error, PublishError::Lost(error) if error.is_refusal());
        // A queue that somebody else declares may have no dead-letter exchange: the broker would drop the
        // message.
        let is_left = self.broker.declare
            && (is_full || is_refused || failures + 1 >= TRIES)
            && received.dead_letter().await;
        Err(match is_left {
            true if is_full => Unplaced::Full,
            true => Unplaced::LeftToBroker(error),
            false => Unplaced::NotYet(error),
        })
    }

    /// How many messages wait in `revocation.dead`; `None` while that is not known.
    pub async fn waiting(&self) -> Option<u32> {
        if self.publisher.is_connected() { self.publisher.depth(DEAD).await.ok() } else { None }
    }

    async fn among_others(
        &self,
        received: &Received,
        refusal: &Refusal,
        at: &str,
    ) -> Result<(), PublishError> {
        let ready = async { (self.on_the_way.acquire().await, self.publisher.frame_max().await) };
        let ready = tokio::time::timeout(CONNECTION_WITHIN, ready).await;
        let (_on_the_way, frame_max) = ready.map_err(|_| {
            BrokerError::timeout("wait for a connection to revocation.dead", CONNECTION_WITHIN)
        })?;
        let properties = dressed(received, refusal, at, frame_max?);
        self.publisher.publish(DEAD, &received.origin.routing_key, received.body.bytes(), properties).await
    }

    /// On a connection that nothing else is on, one message at a time.
    async fn alone(&self, received: &Received, refusal: &Refusal, at: &str) -> Result<(), PublishError> {
        // While the broker is away, nobody's failure is counted.
        self.publisher.frame_max().await?;
        let _turn = self.alone.lock().await;
        let connection = self.broker.connect("refuse one").await?;
        let what = "publish to revocation.dead";
        // Out here, because the channel must outlive the connection: see `close`.
        let mut channel = None;
        let published = async {
            let channel = channel.insert(Broker::confirming_channel(&connection).await?);
            let properties = dressed(received, refusal, at, connection.configuration().frame_max());
            let confirm =
                publish_once(channel, DEAD, &received.origin.routing_key, received.body.bytes(), properties);
            match tokio::time::timeout(CONFIRM_TIMEOUT, confirm).await {
                Ok(confirmation) => confirmation.map_err(|error| BrokerError::new(what, error)),
                Err(_) => Err(BrokerError::timeout(what, CONFIRM_TIMEOUT)),
            }
        };
        let published = published.await;
        close(&connection).await;
        verdict(&published?, DEAD)
    }
}

/// The properties that fit, and the reason.
fn dressed(received: &Received, refusal: &Refusal, at: &str, frame_max: u32) -> BasicProperties {
    let origin = &received.origin;
    let detail: String = refusal.detail.chars().take(LONGEST_DETAIL).collect();
    let words = [
        (headers::CODE, refusal.code.as_str()),
        (headers::DETAIL, &detail),
        (headers::QUEUE, &origin.queue),
        (headers::KEY, &origin.routing_key),
        (headers::AT, at),
    ];
    let mut own = FieldTable::default();
    // The broker accepts a user_id only from that very user, so it moves into a header.
    for (name, value) in
        words.into_iter().chain(origin.broker_user.as_deref().map(|user| (headers::USER, user)))
    {
        own.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    let given = received.properties.headers().clone().unwrap_or_default();
    own.insert(original::HEADER.into(), original::of_refused(origin, &given));
    // One that its publisher made up must not stand where there is none.
    let foreign = without(given, |name| name == headers::USER);
    fitted(
        without_user(&received.properties).with_delivery_mode(2),
        own,
        foreign,
        frame_max,
        received.left_out,
    )
}
