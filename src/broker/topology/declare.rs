//! Declares the topology, or checks that it is there.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ExchangeKind};

use super::{
    BINDINGS, DEAD, EXCHANGES, LIMITS, Limit, OLD_LOG_KEY, QueueSpec, REPORTS_BINDING, dead_queue, queues,
    reports_queue, without_limits,
};
use crate::broker::BrokerError;
use crate::config::InvalidationConfig;
use crate::invalidation;

/// Declares everything but what verifiers' reports take, or checks that it is there. A dead-letter queue
/// without a limit has been compared before.
///
/// # Errors
/// What is missing, or which argument of an existing queue differs, in the broker's words. The channel is
/// spent after an error.
pub(in crate::broker) async fn ensure(
    connection: &Connection,
    stream: &InvalidationConfig,
    declare: bool,
    limit: Limit,
) -> Result<(), BrokerError> {
    let channel = connection.create_channel().await.map_err(|e| BrokerError::new("open a channel", e))?;
    for (name, kind) in EXCHANGES.into_iter().filter(|(name, _)| *name != REPORTS_BINDING.0) {
        ensure_exchange(&channel, name, kind, declare).await?;
    }
    for queue in queues(stream) {
        let is_as_it_was = queue.name == DEAD && limit == Limit::Unset;
        ensure_queue(&channel, &queue, declare && !is_as_it_was).await?;
    }
    if declare {
        for binding in BINDINGS {
            bind(&channel, binding).await?;
        }
        bind_heartbeats(&channel, stream.heartbeats_in_log).await?;
    }
    channel.close(200, "done".into()).await.map_err(|e| BrokerError::new("close a channel", e))
}

/// Declares the dead-letter queue, with a limit or as older releases did.
///
/// # Errors
/// As [`ensure`]. The channel is spent, and with it, for whoever watches it, the connection.
pub(in crate::broker) async fn declare_dead(
    connection: &Connection,
    limit: Limit,
) -> Result<(), BrokerError> {
    let channel = connection.create_channel().await.map_err(|e| BrokerError::new("open a channel", e))?;
    ensure_queue(
        &channel,
        &if limit == Limit::Set { dead_queue() } else { without_limits(&dead_queue()) },
        true,
    )
    .await?;
    channel.close(200, "done".into()).await.map_err(|e| BrokerError::new("close a channel", e))
}

/// Whether the dead-letter queue is there, but without a limit.
pub(in crate::broker) fn lacks_limit(error: &BrokerError) -> bool {
    LIMITS.iter().any(|argument| error.lacks(argument))
}

/// Declares what reading the verifiers' reports takes, or checks that it is there.
///
/// # Errors
/// As [`ensure`]; besides, the node that has the queue may be away.
pub(in crate::broker) async fn ensure_reports(
    connection: &Connection,
    declare: bool,
) -> Result<(), BrokerError> {
    let channel = connection.create_channel().await.map_err(|e| BrokerError::new("open a channel", e))?;
    let exchange = EXCHANGES.into_iter().filter(|(name, _)| *name == REPORTS_BINDING.0);
    for (name, kind) in exchange {
        ensure_exchange(&channel, name, kind, declare).await?;
    }
    ensure_queue(&channel, &reports_queue(), declare).await?;
    if declare {
        bind(&channel, REPORTS_BINDING).await?;
    }
    channel.close(200, "done".into()).await.map_err(|e| BrokerError::new("close a channel", e))
}

pub(super) async fn ensure_exchange(
    channel: &Channel,
    name: &str,
    kind: ExchangeKind,
    declare: bool,
) -> Result<(), BrokerError> {
    let options = ExchangeDeclareOptions { passive: !declare, durable: true, ..Default::default() };
    let declared = channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await;
    declared.map_err(|e| BrokerError::new(format!("declare exchange {name}"), e))
}

pub(super) async fn ensure_queue(
    channel: &Channel,
    queue: &QueueSpec,
    declare: bool,
) -> Result<(), BrokerError> {
    let options = QueueDeclareOptions { passive: !declare, durable: true, ..Default::default() };
    let declared = channel.queue_declare(queue.name.into(), options, queue.arguments.clone()).await;
    declared.map(drop).map_err(|e| BrokerError::new(format!("declare queue {}", queue.name), e))
}

async fn bind(channel: &Channel, (exchange, key, queue): (&str, &str, &str)) -> Result<(), BrokerError> {
    let bound = channel.queue_bind(
        queue.into(),
        exchange.into(),
        key.into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.map_err(|e| BrokerError::new(format!("bind queue {queue} to exchange {exchange}"), e))
}

/// Puts heartbeats into the log, too, or keeps them out. What older releases bound goes last, so that there
/// is no gap.
async fn bind_heartbeats(channel: &Channel, in_log: bool) -> Result<(), BrokerError> {
    let (exchange, stream, key) = (invalidation::EXCHANGE, invalidation::STREAM, invalidation::HEARTBEAT_KEY);
    if in_log {
        bind(channel, (exchange, key, stream)).await?;
    }
    for key in [Some(OLD_LOG_KEY), (!in_log).then_some(key)].into_iter().flatten() {
        let unbound =
            channel.queue_unbind(stream.into(), exchange.into(), key.into(), FieldTable::default()).await;
        unbound
            .map_err(|e| BrokerError::new(format!("unbind queue {stream} from exchange {exchange}"), e))?;
    }
    Ok(())
}
