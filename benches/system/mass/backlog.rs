//! A backlog in the queue of mass revocations that lasts as long as it is looked at: what the worker takes is
//! replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::try_join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::task::JoinHandle;

use crate::client::USER;
use crate::load::{confirmed, refresh_token};
use crate::measure::now_us;
use crate::stage::queue;
use crate::{Result, load};

pub(super) const MASS_QUEUE: &str = "revocation.mass";
/// As many as `incident open` puts into an event.
const TARGETS: u32 = 200;
/// Messages that wait for their confirm at once.
const WINDOW: u32 = 50;
const LOOK: Duration = Duration::from_millis(20);

/// It ends when this is dropped.
pub(super) struct Backlog {
    connection: Connection,
    /// Dropped after its connection is closed: the other way round, that fails.
    _channel: Channel,
    /// Fewest messages that were seen ready in the queue since it was full.
    least: Arc<AtomicU32>,
    task: JoinHandle<Result>,
}

impl Backlog {
    /// Returns when so many targets' messages are ready in the queue.
    pub(super) async fn raise(amqp_url: &str, targets: u32) -> Result<Self> {
        let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let (wanted, least) = (targets.div_ceil(TARGETS).max(WINDOW), Arc::new(AtomicU32::new(u32::MAX)));
        let mut published = 0;
        while queue(&channel, MASS_QUEUE).await?.0 < wanted {
            published = publish(&channel, published, WINDOW).await?;
        }
        let task = tokio::spawn(keep(channel.clone(), wanted, published, least.clone()));
        Ok(Self { connection, _channel: channel, least, task })
    }

    /// Fewest messages that were ready in the queue since it was full.
    pub(super) async fn end(self) -> Result<u32> {
        if self.task.is_finished() {
            self.task.await??;
            return Err("the backlog was not kept up".into());
        }
        self.task.abort();
        self.connection.close(200, "done".into()).await?;
        Ok(self.least.load(Ordering::Relaxed))
    }
}

async fn keep(channel: Channel, wanted: u32, mut published: u32, least: Arc<AtomicU32>) -> Result {
    loop {
        let (ready, _) = queue(&channel, MASS_QUEUE).await?;
        least.fetch_min(ready, Ordering::Relaxed);
        match wanted.saturating_sub(ready) {
            0 => tokio::time::sleep(LOOK).await,
            missing => published = publish(&channel, published, missing.min(WINDOW)).await?,
        }
    }
}

/// Publishes `count` messages of the incident; returns how many there are now.
async fn publish(channel: &Channel, published: u32, count: u32) -> Result<u32> {
    let mut open = Vec::new();
    for number in published..published + count {
        let properties = BasicProperties::default()
            .with_content_type("application/cloudevents+json".into())
            .with_delivery_mode(2);
        let (properties, options) = (
            properties.with_user_id(USER.into()),
            BasicPublishOptions { mandatory: true, ..Default::default() },
        );
        let (exchange, key, body) = ("auth.events".into(), "auth.mass_revocation".into(), message(number));
        open.push(confirmed(channel.basic_publish(exchange, key, options, &body, properties).await?));
    }
    try_join_all(open).await?;
    Ok(published + count)
}

/// A message of an incident of that many new tokens.
fn message(number: u32) -> Vec<u8> {
    let token = |place| {
        serde_json::json!({
            "token": refresh_token(number * TARGETS + place), "token_type_hint": "refresh_token",
        })
    };
    let event = serde_json::json!({
        "specversion": "1.0", "id": format!("backlog-{number}-{}", now_us()), "source": load::SOURCE,
        "type": "auth.mass_revocation.v1",
        "data": { "provider": "main", "incident": "backlog", "reason": "token_theft", "actor": "bench",
            "targets": (0..TARGETS).map(token).collect::<Vec<_>>() } });
    event.to_string().into_bytes()
}
