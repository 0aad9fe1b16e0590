//! One latency run: a steady rate, and what an observer sees of each event, all by the machine's own clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use serde::{Deserialize, Serialize};

use crate::client::{Client, Contender};
use crate::load::Producer;
use crate::measure::{memory_mib, now_us, percentile};
use crate::stage::{Servers, Stage};
use crate::{Result, load};

/// Median, 99th percentile and maximum in milliseconds.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

/// What a latency run came to.
#[derive(Clone, Serialize)]
pub(crate) struct Latency {
    pub(crate) contender: Contender,
    /// Resident memory two seconds after the start, before the first event.
    pub(crate) idle_mib: f64,
    /// From publishing to the invalidation of phase `requested`; the bare loop's only one.
    pub(crate) denied: Spread,
    /// From publishing to the provider's receipt of the second token.
    pub(crate) revoked: Spread,
    /// From publishing to the invalidation of phase `confirmed`.
    pub(crate) confirmed: Option<Spread>,
}

/// By event number: how many of its tokens a phase has named, and when it named the latest, in microseconds
/// since 1970.
struct Phase(Vec<(usize, i64)>);

impl Phase {
    fn note(&mut self, event: usize, targets: usize) {
        if let Some((named, latest_us)) = self.0.get_mut(event) {
            (*named, *latest_us) = (*named + targets, now_us());
        }
    }

    fn is_complete(&self) -> bool {
        self.0.iter().all(|(named, _)| *named >= 2)
    }

    fn latest_us(&self) -> Vec<i64> {
        self.0.iter().map(|(_, latest_us)| *latest_us).collect()
    }
}

struct Seen {
    requested: Phase,
    confirmed: Phase,
}

/// What somebody else publishes beside the logouts.
pub(crate) trait Beside {
    /// Publishes it, from the first second that counts on.
    async fn publish(&self, producer: &Producer) -> Result;
    /// Waits until it is dealt with, and checks what became of it.
    async fn settle(&self, stage: &Stage, client: &mut Client) -> Result;
}

struct Nothing;

impl Beside for Nothing {
    async fn publish(&self, _: &Producer) -> Result {
        Ok(())
    }

    async fn settle(&self, _: &Stage, _: &mut Client) -> Result {
        Ok(())
    }
}

/// The broker user of whoever publishes beside.
const OTHER_USER: &str = "other";

/// Measures logouts alone and beside what is made anew for each round, in turns.
pub(crate) async fn in_turns<B: Beside>(
    servers: &mut Servers,
    rounds: u32,
    (contender, rate, seconds): (Contender, u32, u32),
    beside: impl Fn() -> B,
) -> Result<[Vec<Latency>; 2]> {
    let mut measured = [Vec::new(), Vec::new()];
    for round in 1..=rounds {
        measured[0].push(run(servers, contender, rate, seconds).await?);
        measured[1].push(run_beside(servers, contender, rate, seconds, &beside()).await?);
        println!("round {round} of {rounds} done");
    }
    Ok(measured)
}

/// Publishes at `rate` for `seconds`, after one second that does not count.
pub(crate) async fn run(
    servers: &mut Servers,
    contender: Contender,
    rate: u32,
    seconds: u32,
) -> Result<Latency> {
    run_beside(servers, contender, rate, seconds, &Nothing).await
}

/// The same beside what another user publishes; ends when all of it is dealt with, too.
async fn run_beside(
    servers: &mut Servers,
    contender: Contender,
    rate: u32,
    seconds: u32,
    beside: &impl Beside,
) -> Result<Latency> {
    let events = rate * (seconds + 1);
    let mut stage = Stage::raise(servers).await?;
    let other = stage.another(servers, OTHER_USER).await?;
    contender.prepare(&stage).await?;
    let (connection, seen) = observe(&stage.amqp_url, events as usize).await?;
    stage.calm().await?;
    servers.provider.reset().await?;

    let mut client = Client::start(contender, &stage, &servers.provider.url)?;
    let idle_mib = idle(&mut client, &stage).await?;
    let bodies = load::events(events);
    let publish_beside = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        beside.publish(&other).await
    };
    let (published, ()) = tokio::try_join!(load::at_rate(&stage.producer, &bodies, rate), publish_beside)?;
    wait_for_the_end(servers, &mut client, contender, &seen, events).await?;
    beside.settle(&stage, &mut client).await?;

    let revoked = servers.provider.latest_us().await?;
    client.stop().await?;
    connection.close(200, "done".into()).await?;
    stage.strike(servers).await?;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let spread = |until: &[i64]| spread(&published, until, rate as usize);
    let confirmed = (contender == Contender::Worker).then(|| spread(&seen.confirmed.latest_us()));
    Ok(Latency {
        contender,
        idle_mib,
        denied: spread(&seen.requested.latest_us()),
        revoked: spread(&revoked),
        confirmed,
    })
}

/// Waits until the contender consumes, then for what it does at its start to be over.
pub(crate) async fn idle(client: &mut Client, stage: &Stage) -> Result<f64> {
    let start = Instant::now();
    while stage.intake().await?.1 == 0 {
        client.check("a consumer", start)?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(memory_mib(client.pid, "VmRSS"))
}

async fn wait_for_the_end(
    servers: &mut Servers,
    client: &mut Client,
    contender: Contender,
    seen: &Mutex<Seen>,
    events: u32,
) -> Result {
    let all_seen = || {
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.requested.is_complete() && (contender == Contender::Bare || seen.confirmed.is_complete())
    };
    let start = Instant::now();
    while servers.provider.posts().await? < 2 * u64::from(events) || !all_seen() {
        client.check("the end of a latency run", start)?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

pub(crate) fn spread(from: &[i64], until: &[i64], warm_up: usize) -> Spread {
    let took: Vec<f64> =
        from.iter().zip(until).skip(warm_up).map(|(from, until)| (until - from) as f64 / 1e3).collect();
    Spread { p50_ms: percentile(&took, 0.5), p99_ms: percentile(&took, 0.99), max_ms: percentile(&took, 1.0) }
}

/// Listens, as a verifier does, on a queue of its own that is bound to all invalidations.
async fn observe(amqp_url: &str, events: usize) -> Result<(Connection, Arc<Mutex<Seen>>)> {
    let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await?;
    let consumer = subscribe(&connection.create_channel().await?).await?;
    let seen = Arc::new(Mutex::new(Seen {
        requested: Phase(vec![(0, 0); events]),
        confirmed: Phase(vec![(0, 0); events]),
    }));
    tokio::spawn(note_all(consumer, seen.clone()));
    Ok((connection, seen))
}

pub(crate) async fn subscribe(channel: &Channel) -> Result<Consumer> {
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?.name().clone();
    let (key, options) = ("invalidation.#", QueueBindOptions::default());
    channel
        .queue_bind(queue.clone(), "auth.invalidations".into(), key.into(), options, FieldTable::default())
        .await?;
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    Ok(channel.basic_consume(queue, "observer".into(), options, FieldTable::default()).await?)
}

/// An invalidation, as far as it is counted.
#[derive(Deserialize)]
pub(crate) struct Message {
    pub(crate) data: MessageData,
}

#[derive(Deserialize)]
pub(crate) struct MessageData {
    pub(crate) phase: String,
    pub(crate) events: Vec<EventRef>,
    pub(crate) targets: Vec<OfEvent>,
}

#[derive(Deserialize)]
pub(crate) struct OfEvent {
    pub(crate) event: usize,
}

#[derive(Deserialize)]
pub(crate) struct EventRef {
    pub(crate) id: String,
}

async fn note_all(mut consumer: Consumer, seen: Arc<Mutex<Seen>>) {
    while let Some(Ok(delivery)) = consumer.next().await {
        // A heartbeat has no phase.
        let Ok(Message { data }) = serde_json::from_slice(&delivery.data) else { continue };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let phase = if data.phase == "requested" { &mut seen.requested } else { &mut seen.confirmed };
        for (place, event) in data.events.iter().enumerate() {
            let Ok(number) = event.id.parse() else { continue };
            phase.note(number, data.targets.iter().filter(|target| target.event == place).count());
        }
    }
}
