//! Compares the topology that is there with the table, and changes nothing.

use lapin::{Channel, Connection};

use super::declare::{ensure_exchange, ensure_queue};
use super::{DEAD, EXCHANGES, queues, reports_queue};
use crate::broker::examine::CONFIGURE;
use crate::broker::{BrokerError, Examined};
use crate::config::InvalidationConfig;

/// Finds out what is not there, and where the worker declares (`declare`) which argument of something that is
/// there differs, in the broker's words. Changes nothing.
pub(in crate::broker) async fn look(
    connection: &Connection,
    stream: &InvalidationConfig,
    declare: bool,
    examined: &mut Examined,
) {
    for (name, kind) in EXCHANGES {
        let ensure = async |channel: &Channel, passive: bool| {
            ensure_exchange(channel, name, kind.clone(), !passive).await
        };
        let found = find(connection, name, ensure, declare, examined).await;
        examined.note(found, CONFIGURE, &format!("exchange {name}"));
    }
    for queue in queues(stream).into_iter().chain([reports_queue()]) {
        let ensure = async |channel: &Channel, passive: bool| ensure_queue(channel, &queue, !passive).await;
        // That one is compared on a connection of its own.
        let found = find(connection, queue.name, ensure, declare && queue.name != DEAD, examined).await;
        examined.note(found, CONFIGURE, &format!("queue {}", queue.name));
    }
}

async fn find(
    connection: &Connection,
    name: &'static str,
    ensure: impl AsyncFn(&Channel, bool) -> Result<(), BrokerError>,
    declare: bool,
    examined: &mut Examined,
) -> Result<(), BrokerError> {
    if !is_there(connection, name, ensure, declare).await? && !examined.missing.contains(&name) {
        examined.missing.push(name);
    }
    Ok(())
}

/// Looks first; only what is there is then declared, which compares its arguments and creates nothing.
async fn is_there(
    connection: &Connection,
    name: &str,
    ensure: impl AsyncFn(&Channel, bool) -> Result<(), BrokerError>,
    compare: bool,
) -> Result<bool, BrokerError> {
    // A channel of its own: the broker closes it where something is not there.
    let channel = connection
        .create_channel()
        .await
        .map_err(|e| BrokerError::new(format!("open a channel for {name}"), e))?;
    match ensure(&channel, true).await {
        Err(error) if error.is_missing() => return Ok(false),
        found => found?,
    }
    if compare {
        ensure(&channel, false).await?;
    }
    channel.close(200, "done".into()).await.map_err(|e| BrokerError::new("close a channel", e))?;
    Ok(true)
}
