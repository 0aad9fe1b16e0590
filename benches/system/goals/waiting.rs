//! A long queue: what the worker's memory comes to, and whether it is as fast at the end as at the start.

use std::time::{Duration, Instant};

use super::Options;
use super::line::Limit::{AtLeast, AtMost};
use super::line::Line;
use crate::client::Client;
use crate::contender::Contender::Worker;
use crate::measure::{memory_mib, now_us};
use crate::report::number;
use crate::stage::{Servers, Stage};
use crate::{Result, load};

const LOOK: Duration = Duration::from_millis(200);
/// Shares of the queue between which the rates at its start and at its end are taken.
const START: [f64; 2] = [0.02, 0.12];
const END: [f64; 2] = [0.88, 0.98];

/// When so many events had been revoked, in microseconds since 1970.
struct Sample {
    at_us: i64,
    events: f64,
}

pub(super) async fn run(servers: &mut Servers, options: &Options) -> Result<Vec<Line>> {
    servers.at_once().await?;
    let events = options.waiting;
    let stage = Stage::raise(servers).await?;
    Worker.prepare(&stage).await?;
    let reader = stage.reader().await?;
    let (producer, bodies) = (&stage.producer, (0..events).map(load::event));
    load::all_at_once(producer, bodies, &producer.properties(), load::WINDOW).await?;
    stage.calm().await?;
    servers.provider.reset().await?;
    println!("{events} events wait");

    let mut worker = Client::start(Worker, &stage, &servers.provider.url)?;
    let samples = drain(servers, &mut worker, events).await?;
    let peak_mib = memory_mib(worker.pid, "VmHWM");
    let start = Instant::now();
    while !reader.told().is_complete(Worker, events) {
        worker.check("verifiers to be told of each token", start)?;
        tokio::time::sleep(LOOK).await;
    }
    worker.stop().await?;
    reader.stop().await?;
    stage.strike(servers).await?;

    let (first, last) = (rate(&samples, events, START), rate(&samples, events, END));
    let from = format!("{} of {} events/s", number(last), number(first));
    Ok(vec![
        Line::plain(format!("{events} waiting: memory, MiB"), peak_mib, "peak")
            .must(AtMost(128.0))
            .aim(AtMost(80.0)),
        // Two runs of one program on one machine differ by a tenth.
        Line::plain(format!("{events} waiting: rate at the end, of that at the start"), last / first, from)
            .must(AtLeast(0.9)),
    ])
}

async fn drain(servers: &mut Servers, worker: &mut Client, events: u32) -> Result<Vec<Sample>> {
    let (mut samples, mut moved) = (Vec::<Sample>::new(), Instant::now());
    loop {
        let sample = Sample { at_us: now_us(), events: servers.provider.posts().await? as f64 / 2.0 };
        if samples.last().is_none_or(|last| last.events < sample.events) {
            moved = Instant::now();
        }
        let is_done = sample.events >= f64::from(events);
        samples.push(sample);
        if is_done {
            return Ok(samples);
        }
        worker.check("a further event to be revoked", moved)?;
        tokio::time::sleep(LOOK).await;
    }
}

/// Events a second between two shares.
fn rate(samples: &[Sample], events: u32, between: [f64; 2]) -> f64 {
    let [from, to] =
        between.map(|share| samples.iter().find(|sample| sample.events >= share * f64::from(events)));
    from.zip(to)
        .map_or(f64::NAN, |(from, to)| (to.events - from.events) / ((to.at_us - from.at_us) as f64 / 1e6))
}
