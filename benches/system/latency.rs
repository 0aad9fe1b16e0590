//! One latency run: a steady rate, and what the reader of the bound queue sees of each event, all by the
//! machine's own clock.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::bound::Reader;
use crate::client::Client;
use crate::contender::Contender;
use crate::load::Producer;
use crate::measure::{Cpu, memory_mib, percentile};
use crate::stage::{Servers, Stage};
use crate::writes::writing_commits;
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
    /// Events a second.
    pub(crate) rate: u32,
    /// Peak of resident memory until two seconds after the start, before the first event.
    pub(crate) idle_mib: f64,
    /// Seconds for 1,000 events, from the first one published on.
    pub(crate) cpu: Cpu,
    /// Transactions that wrote, for each event, from the first one published on.
    pub(crate) writing_commits: f64,
    /// From publishing to the invalidation of phase `requested`; the only one of those that do not confirm.
    pub(crate) denied: Spread,
    /// From publishing to the provider's receipt of the second token.
    pub(crate) revoked: Spread,
    /// From publishing to the invalidation of phase `confirmed`.
    pub(crate) confirmed: Option<Spread>,
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
    let reader = stage.reader().await?;
    stage.calm().await?;
    servers.provider.reset().await?;

    let mut client = Client::start(contender, &stage, &servers.provider.url)?;
    let idle_mib = idle(&mut client, &stage).await?;
    let bodies = load::events(events);
    let (before, written) = (Cpu::now([client.pid], servers.provider.pid), writing_commits(&stage).await?);
    let publish_beside = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        beside.publish(&other).await
    };
    let (published, ()) = tokio::try_join!(load::at_rate(&stage.producer, &bodies, rate), publish_beside)?;
    wait_for_the_end(servers, &mut client, contender, &reader, events).await?;
    let cpu = Cpu::now([client.pid], servers.provider.pid).per_thousand(before, events);
    let writing_commits = (writing_commits(&stage).await? - written) as f64 / f64::from(events);
    beside.settle(&stage, &mut client).await?;

    let revoked = servers.provider.latest_us().await?;
    client.stop().await?;
    let (requested_us, confirmed_us) = {
        let told = reader.told();
        let confirmed = contender.confirms().then(|| told.confirmed.all_us(0..events));
        (told.requested.all_us(0..events)?, confirmed.transpose()?)
    };
    reader.stop().await?;
    stage.strike(servers).await?;
    let spread = |until: &[i64]| spread(&published, until, rate as usize);
    Ok(Latency {
        contender,
        rate,
        idle_mib,
        cpu,
        writing_commits,
        denied: spread(&requested_us),
        revoked: spread(&revoked),
        confirmed: confirmed_us.as_deref().map(spread),
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
    Ok(memory_mib(client.pid, "VmHWM"))
}

async fn wait_for_the_end(
    servers: &mut Servers,
    client: &mut Client,
    contender: Contender,
    reader: &Reader,
    events: u32,
) -> Result {
    let start = Instant::now();
    while servers.provider.posts().await? < 2 * u64::from(events)
        || !reader.told().is_complete(contender, events)
    {
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
