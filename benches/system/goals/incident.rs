//! The tokens of one incident: how long until the last one is denied, beside what publishing them takes.

use std::time::{Duration, Instant};

use super::Options;
use super::line::Limit::AtMost;
use super::line::Line;
use crate::Result;
use crate::client::Client;
use crate::contender::Contender::Worker;
use crate::latency::idle;
use crate::mass::command::{INCIDENT, TokenFile, done, open};
use crate::measure::{median, median_ratio, now_us};
use crate::report::number;
use crate::stage::{Servers, Stage};

pub(super) async fn run(servers: &mut Servers, options: &Options) -> Result<Line> {
    servers.at_once().await?;
    let file = TokenFile::write(options.incident)?;
    let (mut published, mut denied) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        published.push(publishing(servers, &file).await?);
        denied.push(denial(servers, &file, options.incident).await?);
        println!("round {round} of {} of the incident done", options.rounds);
    }
    let what =
        format!("incident of {} tokens: last one denied, of the time to publish them", options.incident);
    let from = format!("{} of {} s", number(median(&denied)), number(median(&published)));
    Ok(Line::plain(what, median_ratio(&denied, &published), from).must(AtMost(3.0)).aim(AtMost(1.5)))
}

/// Seconds of the command, while nobody takes what it publishes.
async fn publishing(servers: &mut Servers, file: &TokenFile) -> Result<f64> {
    let stage = Stage::raise(servers).await?;
    Worker.prepare(&stage).await?;
    // A worker declares the queue of mass revocations.
    let mut worker = Client::start(Worker, &stage, &servers.provider.url)?;
    idle(&mut worker, &stage).await?;
    worker.stop().await?;
    stage.calm().await?;
    let mut command = open(&stage, &servers.provider.url, INCIDENT);
    command.arg(file.path());
    let start = Instant::now();
    done(command).await?;
    let took = start.elapsed().as_secs_f64();
    stage.strike(servers).await?;
    Ok(took)
}

/// Seconds from the start of the command to the last denial, while a worker takes what it publishes.
async fn denial(servers: &mut Servers, file: &TokenFile, tokens: u32) -> Result<f64> {
    let stage = Stage::raise(servers).await?;
    Worker.prepare(&stage).await?;
    let reader = stage.reader().await?;
    servers.provider.reset().await?;
    let mut worker = Client::start(Worker, &stage, &servers.provider.url)?;
    idle(&mut worker, &stage).await?;
    stage.calm().await?;
    let mut command = open(&stage, &servers.provider.url, INCIDENT);
    command.arg(file.path());
    let (start, started_us) = (Instant::now(), now_us());
    let command = tokio::spawn(done(command));
    while reader.told().denied < u64::from(tokens) {
        worker.check("the last denial of an incident", start)?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let denied_us = reader.told().latest_denial_us;
    command.await??;
    worker.stop().await?;
    reader.stop().await?;
    stage.strike(servers).await?;
    Ok((denied_us - started_us) as f64 / 1e6)
}
