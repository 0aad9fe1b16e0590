//! The tries: each on a channel of its own, and none of them changes anything.

use std::time::Duration;

use lapin::options::{
    BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, Error, ErrorKind, ExchangeKind};

use super::{CONFIGURE, Examined, PUBLISHED, READ_IT, WRITE};
use crate::broker::topology::{self, BINDINGS, EXCHANGES, REPORTS_BINDING};
use crate::broker::{BrokerError, NO_LEADER};
use crate::invalidation::{EXCHANGE, HEARTBEAT_KEY, MARK_KEY, routing_key};
use crate::target::Kind;

/// How the broker says that a right is to some routing keys alone.
const OF_A_TOPIC: &str = "access to topic ";
/// Longest that one try may take: of a queue without a leader, the broker may say nothing at all.
const TRY_WITHIN: Duration = Duration::from_secs(3);

/// Tries something on a channel of its own: what is refused ends a channel. That a thing is not there is told
/// apart, and no failure here.
pub(super) async fn tried(
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
    match tokio::time::timeout(TRY_WITHIN, attempt).await {
        Ok(Err(error)) if !is_missing(&error) => Err(BrokerError::new(what, error)),
        Ok(_) => Ok(()),
        Err(_) => Err(BrokerError::timeout(what, TRY_WITHIN)),
    }
}

/// Takes a message only of an empty queue: from one that has messages its leader has just told how many.
pub(super) async fn get(channel: &Channel, queue: &str) -> Result<(), Error> {
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
pub(super) async fn consume(channel: &Channel, stream: &str) -> Result<(), Error> {
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), AMQPValue::LongString("next".into()));
    channel.basic_consume(stream.into(), "check".into(), BasicConsumeOptions::default(), arguments).await?;
    channel.basic_cancel("check".into(), BasicCancelOptions::default()).await
}

/// Declares with arguments that no queue and no exchange can have, and takes away bindings that nobody has
/// made.
pub(super) async fn declare(connection: &Connection, examined: &mut Examined) {
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
    // A right may be to some routing keys alone: it is tried with the real one.
    let nobodys = || {
        let mut arguments = FieldTable::default();
        arguments.insert("check".into(), AMQPValue::LongString(uuid::Uuid::now_v7().to_string().into()));
        arguments
    };
    for (exchange, key, queue) in BINDINGS.into_iter().chain([REPORTS_BINDING]) {
        let unbound =
            tried(connection, format!("bind queue {queue} to exchange {exchange}"), async |channel| {
                channel.queue_unbind(queue.into(), exchange.into(), key.into(), nobodys()).await
            });
        let unbound = unbound.await;
        // It takes the right to write to the queue, and the right to read from the exchange, by this key.
        let says = |words| unbound.as_ref().is_err_and(|error| error.to_string().contains(words));
        let (right, thing) = match () {
            () if says(OF_A_TOPIC) => (READ_IT, by_key(exchange, key)),
            () if says("to exchange '") => (READ_IT, format!("exchange {exchange}")),
            () => (WRITE, format!("queue {queue}")),
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

/// Publishes messages that no broker takes, by each routing key: their time to live is no number. An alarm
/// stops the connection at the first of them.
pub(super) async fn publish(connection: &Connection, providers: &[&str], examined: &mut Examined) {
    let denials = providers.iter().flat_map(|provider| Kind::ALL.map(|kind| routing_key(provider, kind)));
    let keys = denials.chain([HEARTBEAT_KEY, MARK_KEY].map(str::to_owned)).map(|key| (EXCHANGE, key));
    for (exchange, key) in keys.chain(PUBLISHED.map(|exchange| (exchange, String::new()))) {
        let sent = tried(connection, format!("publish to exchange {exchange}"), async |channel| {
            expect(publish_nothing(channel, exchange, &key).await)
        })
        .await;
        if connection.status().blocked() {
            let alarm = "the broker takes no messages: an alarm is on, its memory or its disk is used up \
                (rabbitmq-diagnostics alarms tells which)";
            examined.problems.push(alarm.to_owned());
            return;
        }
        let is_by_key = sent.as_ref().is_err_and(|error| error.to_string().contains(OF_A_TOPIC));
        let thing = if is_by_key { by_key(exchange, &key) } else { format!("exchange {exchange}") };
        examined.note(sent, WRITE, &thing);
    }
}

fn by_key(exchange: &str, key: &str) -> String {
    format!("exchange {exchange} by routing key {key}")
}

async fn publish_nothing(channel: &Channel, exchange: &str, key: &str) -> Result<(), Error> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let properties = BasicProperties::default().with_expiration("check".into());
    channel
        .basic_publish(exchange.into(), key.into(), BasicPublishOptions::default(), b"", properties)
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
