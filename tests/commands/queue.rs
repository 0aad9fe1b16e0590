//! Looking into the broker, and preparing it.

use lapin::message::Delivery;
use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};

use crate::harness::Stage;

/// A channel of the test's own.
pub(crate) struct Broker {
    pub(crate) channel: Channel,
    _connection: Connection,
}

impl Broker {
    pub(crate) async fn connect(stage: &Stage) -> Self {
        let connection = Connection::connect(&stage.amqp_url, ConnectionProperties::default())
            .await
            .expect("connect to the broker");
        let channel = connection.create_channel().await.expect("open a channel");
        Self { channel, _connection: connection }
    }

    /// Messages that are ready.
    pub(crate) async fn length(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let found = self.channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        found.expect("the queue is there").message_count()
    }

    /// Takes every message for good.
    pub(crate) async fn drain(&self, queue: &str) -> Vec<Delivery> {
        let mut taken = Vec::new();
        while let Some(message) =
            self.channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.expect("get")
        {
            taken.push(message.delivery);
        }
        taken
    }
}

/// Exchanges and queues as a worker that came and went leaves them.
pub(crate) async fn declare(stage: &Stage) {
    let mut worker = stage.worker("https://127.0.0.1:1/revoke").start().await;
    assert!(worker.stop().await.success());
}
