//! One drain: a full queue, a fresh start, and the clock from the first event taken to the last one on
//! record.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::bound::Reader;
use crate::client::Client;
use crate::contender::Contender;
use crate::measure::{Cpu, memory_mib, now_us};
use crate::stage::{CONCURRENCY, Servers, Stage};
use crate::writes::Writes;
use crate::{Result, load};

/// At the provider at once where it takes time to answer: with 20 ms a call, 6,400 events/s are possible.
const CONCURRENCY_OF_SLOW: u32 = 256;

/// What is drained, and how the provider behaves meanwhile.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Load {
    pub(crate) events: u32,
    /// Milliseconds before each answer of the provider.
    pub(crate) latency_ms: u64,
    /// The share of tokens whose first request fails.
    pub(crate) failing: f64,
    pub(crate) concurrency: u32,
    /// Processes of the contender.
    pub(crate) processes: u32,
}

impl Load {
    /// With a concurrency at which the latency is hidden, and one process.
    pub(crate) fn new(events: u32, latency_ms: u64) -> Self {
        let concurrency = if latency_ms == 0 { CONCURRENCY } else { CONCURRENCY_OF_SLOW };
        Self { events, latency_ms, failing: 0.0, concurrency, processes: 1 }
    }
}

/// What a drain came to.
#[derive(Clone, Serialize)]
pub(crate) struct Drain {
    pub(crate) contender: Contender,
    pub(crate) load: Load,
    pub(crate) events_per_s: f64,
    /// Seconds for 1,000 events.
    pub(crate) cpu: Cpu,
    /// Invalidations published for each event, and the bytes of their bodies.
    pub(crate) messages: f64,
    pub(crate) message_bytes: f64,
    /// For each event.
    pub(crate) writes: Writes,
    pub(crate) peak_mib: f64,
    /// From process start to the first event taken.
    pub(crate) start_ms: f64,
}

/// Drains it.
pub(crate) async fn run(servers: &mut Servers, contender: Contender, load: Load) -> Result<Drain> {
    let events = load.events;
    servers.concurrency = load.concurrency;
    let stage = Stage::raise(servers).await?;
    contender.prepare(&stage).await?;
    let reader = stage.reader().await?;
    load::all_at_once(
        &stage.producer,
        (0..events).map(load::event),
        &stage.producer.properties(),
        load::WINDOW,
    )
    .await?;
    stage.calm().await?;
    servers.provider.behave(load.latency_ms, load.failing).await?;
    servers.provider.reset().await?;

    let (before, written) = (Cpu::now(None, servers.provider.pid), Writes::now(&stage).await?);
    let mut clients = (0..load.processes)
        .map(|_| Client::start(contender, &stage, &servers.provider.url))
        .collect::<Result<Vec<_>>>()?;
    wait_for_the_end(servers, &mut clients, contender, &stage, events).await?;
    let finished_us = now_us();
    wait_until_told(&mut clients, contender, &reader, events).await?;
    let pids = clients.iter().map(|client| client.pid);
    let cpu = Cpu::now(pids.clone(), servers.provider.pid).per_thousand(before, events);
    let peak_mib = pids.map(|pid| memory_mib(pid, "VmHWM")).fold(0.0, f64::max);

    let first_us = contender.first_taken_us(&stage).await?;
    let started_us = clients.iter().map(|client| client.started_us).min().unwrap_or(first_us);
    for client in clients {
        client.stop().await?;
    }
    let writes = Writes::now(&stage).await?.per_event(written, events);
    verify(contender, &stage, events).await?;
    let (messages, bytes) = {
        let told = reader.told();
        (told.messages, told.bytes)
    };
    reader.stop().await?;
    stage.strike(servers).await?;
    let each = |count: u64| count as f64 / f64::from(events);
    Ok(Drain {
        contender,
        load,
        events_per_s: f64::from(events) / ((finished_us - first_us) as f64 / 1e6),
        cpu,
        messages: each(messages),
        message_bytes: each(bytes),
        writes,
        peak_mib,
        start_ms: (first_us - started_us) as f64 / 1e3,
    })
}

/// First the provider's count, which costs nothing to look at, then the record.
async fn wait_for_the_end(
    servers: &mut Servers,
    clients: &mut [Client],
    contender: Contender,
    stage: &Stage,
    events: u32,
) -> Result {
    let start = Instant::now();
    while servers.provider.posts().await? < 2 * u64::from(events)
        || !contender.has_recorded(stage, events).await?
    {
        check(clients, "the end of a drain", start)?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The reader of the bound queue may be behind.
async fn wait_until_told(
    clients: &mut [Client],
    contender: Contender,
    reader: &Reader,
    events: u32,
) -> Result {
    let start = Instant::now();
    while !reader.told().is_complete(contender, events) {
        check(clients, "verifiers to be told of each token", start)?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn check(clients: &mut [Client], waiting_for: &str, since: Instant) -> Result {
    clients.iter_mut().try_for_each(|client| client.check(waiting_for, since))
}

/// A run that lost or left something behind has no result.
async fn verify(contender: Contender, stage: &Stage, events: u32) -> Result {
    let (recorded, expected) = (contender.count(stage).await?, contender.expected(events));
    let (left, _) = stage.intake().await?;
    if recorded != expected || left != 0 {
        return Err(format!(
            "{}: {recorded} of {expected} on record, {left} messages left in the queue",
            contender.name()
        )
        .into());
    }
    Ok(())
}
