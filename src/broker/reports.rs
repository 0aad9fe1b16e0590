//! Taking verifiers' reports: a connection of its own, and nothing that matters hangs on it.

use std::sync::Arc;

use futures::StreamExt;
use lapin::Connection;
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use revocation_verifier::amqp::close;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::topology::VERIFIERS_QUEUE;
use super::{Broker, BrokerError};
use crate::retry::Schedule;

/// Takes reports off the queue and hands their bodies on, for as long as somebody takes them.
pub async fn run(broker: Arc<Broker>, sink: mpsc::Sender<Vec<u8>>, stop: CancellationToken) {
    let (schedule, mut failures) = (Schedule::reconnecting(), 0);
    while !stop.is_cancelled() {
        let ended = tokio::select! {
            ended = session(&broker, &sink, &mut failures) => ended,
            () = stop.cancelled() => return,
        };
        let Err(error) = ended else { return };
        failures += 1;
        tracing::debug!(%error, failures, "verifiers' reports are not taken; trying again");
        tokio::select! {
            () = tokio::time::sleep(schedule.delay(failures, None)) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn session(broker: &Broker, sink: &mpsc::Sender<Vec<u8>>, failures: &mut u32) -> Result<(), BrokerError> {
    let connection = broker.connect("verifiers").await?;
    let ended = consume(&connection, sink, failures).await;
    close(&connection).await;
    ended
}

/// Not acknowledged: a report that is lost is followed by the next. One that nobody has room for is dropped.
async fn consume(connection: &Connection, sink: &mpsc::Sender<Vec<u8>>, failures: &mut u32) -> Result<(), BrokerError> {
    let what = "consume from revocation.verifiers";
    let channel = connection.create_channel().await.map_err(|e| BrokerError::new(what, e))?;
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let consumer = channel.basic_consume(VERIFIERS_QUEUE.into(), "reports".into(), options, FieldTable::default()).await;
    let mut consumer = consumer.map_err(|e| BrokerError::new(what, e))?;
    *failures = 0;
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery.map_err(|e| BrokerError::new(what, e))?;
        if let Err(mpsc::error::TrySendError::Closed(_)) = sink.try_send(delivery.data) {
            return Ok(());
        }
    }
    Err(BrokerError::ended(what))
}
