//! One drain: a full queue, a fresh start, and the clock from the first event taken to the last one on
//! record.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::client::{Client, Contender};
use crate::measure::{Cpu, memory_mib, now_us};
use crate::stage::{Servers, Stage};
use crate::{Result, load};

/// What a drain came to.
#[derive(Clone, Serialize)]
pub(crate) struct Drain {
    pub(crate) contender: Contender,
    pub(crate) events_per_s: f64,
    /// Seconds for 1,000 events.
    pub(crate) cpu: Cpu,
    pub(crate) peak_mib: f64,
    /// From process start to the first event taken.
    pub(crate) start_ms: f64,
}

/// Drains `events`.
pub(crate) async fn run(servers: &mut Servers, contender: Contender, events: u32) -> Result<Drain> {
    let stage = Stage::raise(servers).await?;
    contender.prepare(&stage).await?;
    load::all_at_once(
        &stage.producer,
        (0..events).map(load::event),
        &stage.producer.properties(),
        load::WINDOW,
    )
    .await?;
    stage.calm().await?;
    servers.provider.reset().await?;

    let before = Cpu::now(None, servers.provider.pid);
    let mut client = Client::start(contender, &stage, &servers.provider.url)?;
    wait_for_the_end(servers, &mut client, contender, &stage, events).await?;
    let finished_us = now_us();
    let cpu = Cpu::now(Some(client.pid), servers.provider.pid).per_thousand(before, events);
    let peak_mib = memory_mib(client.pid, "VmHWM");

    let first_us = contender.first_taken_us(&stage).await?;
    let start_ms = (first_us - client.started_us) as f64 / 1e3;
    client.stop().await?;
    verify(contender, &stage, events).await?;
    stage.strike(servers).await?;
    let events_per_s = f64::from(events) / ((finished_us - first_us) as f64 / 1e6);
    Ok(Drain { contender, events_per_s, cpu, peak_mib, start_ms })
}

/// First the provider's count, which costs nothing to look at, then the record.
async fn wait_for_the_end(
    servers: &mut Servers,
    client: &mut Client,
    contender: Contender,
    stage: &Stage,
    events: u32,
) -> Result {
    let start = Instant::now();
    while servers.provider.posts().await? < 2 * u64::from(events)
        || !contender.has_recorded(stage, events).await?
    {
        client.check("the end of a drain", start)?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
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
