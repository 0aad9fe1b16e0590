//! Reads the heartbeats beside the log. Where that is not possible, the log is read all the same: heartbeats
//! may lie in it, too.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use lapin::Connection;
use lapin::message::Delivery;
use time::OffsetDateTime;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::FeedError;
use super::stream::{Offset, Subscription};
use crate::message::BEATS_STREAM;

const PREFETCH: u16 = 100;
/// How far back they are read: every worker that lives sends one in 30 s, and what was named before a session
/// began is asked for, too.
const BACK: Duration = Duration::from_secs(60);
/// How long until it is tried again after the stream was lost, and how much longer after the broker refused
/// it: not there yet, or no permission.
const LOST: Duration = Duration::from_secs(1);
const REFUSED: Duration = Duration::from_secs(15);

/// The heartbeats of one session. Dropping it ends the subscription.
pub(super) struct Beats {
    deliveries: mpsc::Receiver<Delivery>,
    expected: Arc<Notify>,
    _task: JoinSet<()>,
}

impl Beats {
    pub(super) fn follow(connection: Arc<Connection>) -> Self {
        let (sink, deliveries) = mpsc::channel(usize::from(PREFETCH));
        let expected = Arc::new(Notify::new());
        let mut task = JoinSet::new();
        task.spawn(run(connection, sink, expected.clone()));
        Self { deliveries, expected, _task: task }
    }

    /// A worker that sends heartbeats is there, so their stream is, too: where it was missing, it is looked
    /// for again without delay.
    pub(super) fn expect(&self) {
        self.expected.notify_one();
    }

    /// The next one. Nothing is lost where this is given up before it has one.
    pub(super) async fn next(&mut self) -> Delivery {
        match self.deliveries.recv().await {
            Some(delivery) => delivery,
            // The task ends only with its receiver.
            None => std::future::pending().await,
        }
    }
}

async fn run(connection: Arc<Connection>, sink: mpsc::Sender<Delivery>, expected: Arc<Notify>) {
    let mut told = None;
    while connection.status().connected() {
        let error = match read(&connection, &sink).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        let code = error.code();
        if code.is_none() || std::mem::replace(&mut told, code) != code {
            tell(&error);
        }
        tokio::time::sleep(LOST).await;
        tokio::select! {
            () = tokio::time::sleep(REFUSED), if code.is_some() => {}
            () = expected.notified(), if code == Some(404) => {}
            else => {}
        }
    }
}

async fn read(connection: &Connection, sink: &mpsc::Sender<Delivery>) -> Result<Infallible, FeedError> {
    let from = Offset::Time(OffsetDateTime::now_utc() - BACK);
    let mut subscription = Subscription::start(connection, BEATS_STREAM, from, PREFETCH).await?;
    loop {
        let (_, delivery) = subscription.next().await?;
        let tag = delivery.delivery_tag;
        if sink.send(delivery).await.is_err() {
            return Err(FeedError::Ended);
        }
        subscription.acknowledge(tag).await?;
    }
}

fn tell(error: &FeedError) {
    match error.code() {
        Some(403) => tracing::error!(
            stream = BEATS_STREAM,
            "no permission to read the heartbeats: the denylist stays stale unless they are in the log, too \
                (invalidation.heartbeats_in_log of the workers)"
        ),
        Some(404) => tracing::warn!(
            stream = BEATS_STREAM,
            "there is no stream of heartbeats yet; until newer workers declare it, only those in the log \
                count"
        ),
        _ => tracing::warn!(stream = BEATS_STREAM, %error, "the heartbeats are lost; trying again"),
    }
}
