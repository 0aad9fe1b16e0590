//! What `run` would meet at the broker, tried without a change: for `check`. Each try is an order that the
//! broker refuses, or that changes nothing, only after it has looked whether this user may give such an order
//! at all.

use std::fmt;
use std::time::Duration;

use lapin::options::{
    BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, Error, ErrorKind, ExchangeKind};
use revocation_verifier::amqp::{DEADLINE, close};

use super::topology::{self, BINDINGS, EXCHANGES, Limit, REPORTS_BINDING};
use super::{Broker, BrokerError, CUTOFF_QUEUE, DEAD, LOGOUT_QUEUE, MASS_QUEUE, NO_LEADER, VERIFIERS_QUEUE};
use crate::invalidation::{BEATS_STREAM, EXCHANGE, SNAPSHOTS_STREAM, STREAM};

/// Longest that one try may take: of a queue without a leader, the broker may say nothing at all.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a user may be permitted to do with a thing.
pub(super) const CONFIGURE: &str = "configure";
const WRITE: &str = "write to";
const READ_IT: &str = "read from";

/// What a worker publishes to.
const PUBLISHED: [&str; 3] = [EXCHANGE, DEAD, SNAPSHOTS_STREAM];
/// Queues that it reads.
const READ: [&str; 4] = [LOGOUT_QUEUE, CUTOFF_QUEUE, MASS_QUEUE, VERIFIERS_QUEUE];
/// Streams that it reads.
const FOLLOWED: [&str; 3] = [STREAM, BEATS_STREAM, SNAPSHOTS_STREAM];

/// What was found.
#[derive(Default)]
pub struct Examined {
    /// What is not there yet.
    pub missing: Vec<&'static str>,
    /// What keeps a worker from its work, each a sentence.
    pub problems: Vec<String>,
    /// What it can work without.
    pub notes: Vec<String>,
    /// Rights that its user has not: which, and to what.
    denied: Vec<(&'static str, String)>,
}

impl Broker {
    /// Connects, tries what a worker does without changing anything, and closes.
    ///
    /// # Errors
    /// The broker cannot be reached, or refuses the login.
    pub async fn examine(&self) -> Result<Examined, BrokerError> {
        let connection = self.connect("check").await?;
        let mut examined = Examined::default();
        let look = topology::look(&connection, &self.stream, self.declare, &mut examined);
        if tokio::time::timeout(DEADLINE, look).await.is_err() {
            examined.note(Err(BrokerError::timeout("look for the topology", DEADLINE)), CONFIGURE, "");
        }
        if connection.status().connected() {
            self.read(&connection, &mut examined).await;
        }
        if self.declare && connection.status().connected() {
            declare(&connection, &mut examined).await;
        }
        close(&connection).await;
        // On a connection of its own, which an alarm in the broker would block.
        let connection = self.connect("check").await?;
        publish(&connection, &mut examined).await;
        close(&connection).await;
        if !self.declare && examined.missing.contains(&VERIFIERS_QUEUE) {
            examined.missing.retain(|name| *name != VERIFIERS_QUEUE);
            examined.note_reports(&format_args!("amqp.declare is false and {VERIFIERS_QUEUE} is not there"));
        }
        if self.declare && !examined.missing.contains(&DEAD) {
            self.compare_dead(&mut examined).await;
        }
        examined.tell_denied(self.user());
        Ok(examined)
    }

    /// What is there is not changed by its declaration.
    async fn compare_dead(&self, examined: &mut Examined) {
        let found = self.limit_dead().await;
        if matches!(found, Ok(Limit::Unset)) {
            examined.notes.push(self.how_to_limit());
        }
        examined.note(found.map(drop), CONFIGURE, &format!("queue {DEAD}"));
    }

    async fn read(&self, connection: &Connection, examined: &mut Examined) {
        for queue in READ {
            let read =
                tried(connection, format!("read queue {queue}"), async |channel| get(channel, queue).await)
                    .await;
            examined.note(read, READ_IT, &format!("queue {queue}"));
        }
        for stream in FOLLOWED {
            let read = tried(connection, format!("read stream {stream}"), async |channel| {
                consume(channel, stream).await
            })
            .await;
            examined.note(read, READ_IT, &format!("queue {stream}"));
        }
    }
}

impl Examined {
    /// Notes what went wrong with a thing, once, and a right that it takes and the user has not. Reports of
    /// verifiers are no condition of the work.
    pub(super) fn note(&mut self, tried: Result<(), BrokerError>, right: &'static str, thing: &str) {
        let Err(error) = tried else { return };
        if thing.ends_with(VERIFIERS_QUEUE) {
            return self.note_reports(&error);
        }
        if error.is_denied() && !thing.is_empty() {
            let denied = (right, thing.to_owned());
            if !self.denied.contains(&denied) {
                self.denied.push(denied);
            }
        } else if !self.problems.contains(&error.to_string()) {
            self.problems.push(error.to_string());
        }
    }

    /// Once: one fault of their queue shows in more than one try.
    pub(super) fn note_reports(&mut self, why: &impl fmt::Display) {
        if self.notes.is_empty() {
            self.notes.push(format!(
                "verifiers' reports cannot be read: {why}; everything else goes on without them"
            ));
        }
    }

    /// One sentence for all rights: an administrator grants them together.
    fn tell_denied(&mut self, user: &str) {
        let of = |right| {
            let things: Vec<_> = self
                .denied
                .iter()
                .filter(|(denied, _)| *denied == right)
                .map(|(_, thing)| thing.as_str())
                .collect();
            (!things.is_empty()).then(|| format!("{right} {}", things.join(", ")))
        };
        let rights: Vec<_> = [CONFIGURE, WRITE, READ_IT].into_iter().filter_map(of).collect();
        if !rights.is_empty() {
            self.problems.push(format!(
                "the broker does not permit user {user:?} to {}: extend the user's permissions",
                rights.join("; to ")
            ));
        }
    }
}

/// Tries something on a channel of its own: what is refused ends a channel. That a thing is not there is told
/// apart, and no failure here.
async fn tried(
    connection: &Connection,
    what: String,
    work: impl AsyncFn(&Channel) -> Result<(), Error>,
) -> Result<(), BrokerError> {
    let attempt = async {
        let channel = connection.create_channel().await?;
        let done = work(&channel).await;
        drop(channel.close(200, "done".into()).await);
        done
    };
    match tokio::time::timeout(PATIENCE, attempt).await {
        Ok(Err(error)) if !is_missing(&error) => Err(BrokerError::new(what, error)),
        Ok(_) => Ok(()),
        Err(_) => Err(BrokerError::timeout(what, PATIENCE)),
    }
}

/// Takes a message only of an empty queue: from one that has messages its leader has just told how many.
async fn get(channel: &Channel, queue: &str) -> Result<(), Error> {
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let found = channel.queue_declare(queue.into(), passive, FieldTable::default()).await?;
    if found.message_count() == 0 {
        return channel.basic_get(queue.into(), BasicGetOptions { no_ack: false }).await.map(drop);
    }
    // The right to read is left to try: with a priority that is no number.
    let mut arguments = FieldTable::default();
    arguments.insert("x-priority".into(), AMQPValue::LongString("check".into()));
    expect(
        channel
            .basic_consume(queue.into(), "check".into(), BasicConsumeOptions::default(), arguments)
            .await
            .map(drop),
    )
}

/// Follows a stream from its end on for a moment.
async fn consume(channel: &Channel, stream: &str) -> Result<(), Error> {
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), AMQPValue::LongString("next".into()));
    channel.basic_consume(stream.into(), "check".into(), BasicConsumeOptions::default(), arguments).await?;
    channel.basic_cancel("check".into(), BasicCancelOptions::default()).await
}

/// Declares with arguments that no queue and no exchange can have, and takes away bindings that nobody has
/// made.
async fn declare(connection: &Connection, examined: &mut Examined) {
    for name in EXCHANGES
        .map(|(name, _)| name)
        .into_iter()
        .filter(|name| examined.missing.contains(name))
        .collect::<Vec<_>>()
    {
        let declared = tried(connection, format!("declare exchange {name}"), async |channel| {
            expect(declare_exchange(channel, name).await)
        })
        .await;
        examined.note(declared, CONFIGURE, &format!("exchange {name}"));
    }
    for name in examined.missing.clone().into_iter().filter(|name| topology::is_queue(name)) {
        let declared = tried(connection, format!("declare queue {name}"), async |channel| {
            expect(declare_queue(channel, name).await)
        })
        .await;
        examined.note(declared, CONFIGURE, &format!("queue {name}"));
    }
    let nobodys: ShortString = format!("check-{}", uuid::Uuid::now_v7()).into();
    for (exchange, _, queue) in BINDINGS.into_iter().chain([REPORTS_BINDING]) {
        let unbound =
            tried(connection, format!("bind queue {queue} to exchange {exchange}"), async |channel| {
                channel
                    .queue_unbind(queue.into(), exchange.into(), nobodys.clone(), FieldTable::default())
                    .await
            });
        let unbound = unbound.await;
        // It takes the right to write to the queue, and the right to read from the exchange.
        let is_exchange = unbound.as_ref().is_err_and(|error| error.to_string().contains("to exchange '"));
        let (right, thing) = if is_exchange {
            (READ_IT, format!("exchange {exchange}"))
        } else {
            (WRITE, format!("queue {queue}"))
        };
        examined.note(unbound, right, &thing);
    }
}

async fn declare_exchange(channel: &Channel, name: &str) -> Result<(), Error> {
    let mut arguments = FieldTable::default();
    arguments.insert("alternate-exchange".into(), AMQPValue::Boolean(true));
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel.exchange_declare(name.into(), ExchangeKind::Topic, options, arguments).await
}

async fn declare_queue(channel: &Channel, name: &str) -> Result<(), Error> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-expires".into(), AMQPValue::LongLongInt(0));
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(name.into(), options, arguments).await.map(drop)
}

/// Publishes messages that no broker takes: their time to live is no number. An alarm stops the connection at
/// the first of them.
async fn publish(connection: &Connection, examined: &mut Examined) {
    for exchange in PUBLISHED {
        let sent = tried(connection, format!("publish to exchange {exchange}"), async |channel| {
            expect(publish_nothing(channel, exchange).await)
        })
        .await;
        if connection.status().blocked() {
            let alarm = "the broker takes no messages: an alarm is on, its memory or its disk is used up \
                (rabbitmq-diagnostics alarms tells which)";
            examined.problems.push(alarm.to_owned());
            return;
        }
        examined.note(sent, WRITE, &format!("exchange {exchange}"));
    }
}

async fn publish_nothing(channel: &Channel, exchange: &str) -> Result<(), Error> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let properties = BasicProperties::default().with_expiration("check".into());
    let key = ShortString::from("check");
    channel
        .basic_publish(exchange.into(), key, BasicPublishOptions::default(), b"", properties)
        .await?
        .await
        .map(drop)
}

/// The refusal that was asked for, by which the right is proven.
fn expect(done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Err(error) if code(&error) == Some(406) => Ok(()),
        done => done,
    }
}

fn is_missing(error: &Error) -> bool {
    code(error) == Some(404) && !error.to_string().contains(NO_LEADER)
}

fn code(error: &Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(amqp) => Some(amqp.get_id()),
        _ => None,
    }
}
