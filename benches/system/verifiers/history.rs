//! A start behind a long history: live entries behind what ten workers with their heartbeats in the log leave
//! in weeks, written here as fast as the machine takes it. First without a snapshot, as before; then a worker
//! folds the log, and a verifier starts again.

use std::time::{Duration, Instant};

use lapin::{Connection, ConnectionProperties};
use revocation_verifier::feed;
use serde_json::{Value, json};

use super::feed::Feed;
use super::process::Figures;
use crate::Result;
use crate::client::Client;
use crate::contender::Contender;
use crate::stage::Servers;

/// Live entries a message.
const A_MESSAGE: u32 = 2;

pub(crate) async fn run(servers: &mut Servers, messages: u32, live: u32) -> Result<Value> {
    let feed = Feed::raise(servers).await?;
    feed.past(messages).await?;
    feed.deny(live, A_MESSAGE).await?;
    let whole = Figures::measure(&feed).await?;
    Contender::Worker.prepare(feed.stage()).await?;
    let mut worker = Client::start(Contender::Worker, feed.stage(), &servers.provider.url)?;
    let start = Instant::now();
    while !is_folded(feed.amqp_url()).await {
        worker.check("a snapshot", start)?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let folded_s = start.elapsed().as_secs_f64();
    let folded = Figures::measure(&feed).await?;
    worker.stop().await?;
    feed.strike(servers).await?;
    Ok(json!({
        "history": messages, "live": live, "from_the_log": whole, "snapshot_after_s": folded_s,
        "from_the_snapshot": folded,
    }))
}

/// Whether there is a complete snapshot. Before the worker has declared the stream there is none.
async fn is_folded(amqp_url: &str) -> bool {
    let Ok(connection) = Connection::connect(amqp_url, ConnectionProperties::default()).await else {
        return false;
    };
    feed::latest(&connection).await.is_ok_and(|latest| latest.complete.is_some())
}
