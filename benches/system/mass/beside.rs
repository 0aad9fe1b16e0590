//! Logouts alone, and the same logouts beside an incident at the same provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::command::{INCIDENT, TokenFile, done, open};
use super::incident::Incident;
use super::samples::{Course, Sample, course, until_revoked};
use super::{Options, accounts};
use crate::bound::Reader;
use crate::client::Client;
use crate::contender::Contender;
use crate::latency::{Spread, idle, spread};
use crate::load::Producer;
use crate::measure::{Cpu, memory_mib, now_us};
use crate::stage::{Servers, Stage};
use crate::{Result, load};

/// What it came to.
#[derive(Serialize)]
pub(super) struct Beside {
    pub(super) alone: Logouts,
    pub(super) beside: Logouts,
    /// Those of them that were published before the incident's last target was denied.
    pub(super) arriving: Logouts,
    pub(super) incident: Incident,
    pub(super) course: Vec<Course>,
    /// The worker's resident memory before the first event, its peak, and two seconds after the last target.
    pub(super) idle_mib: f64,
    pub(super) peak_mib: f64,
    pub(super) end_mib: f64,
}

/// From publishing a logout to the denial of both its tokens, and to the provider's receipt of the second.
#[derive(Serialize)]
pub(super) struct Logouts {
    pub(super) logouts: usize,
    pub(super) denied: Spread,
    pub(super) revoked: Spread,
}

/// Logouts at a steady rate, numbered from `first`.
struct Stream {
    first: u32,
    published_us: Vec<i64>,
}

/// What was seen while the incident lasted.
struct Incidence {
    logouts: Stream,
    samples: Vec<Sample>,
    /// Spent on the incident.
    cpu: Cpu,
    /// When the command that opened it was started.
    opened_us: i64,
}

/// What all parts of the run need.
struct Run<'r> {
    options: &'r Options,
    stage: Stage,
    reader: Reader,
    client: Client,
    url: String,
    provider_pid: u32,
}

/// The incident's tokens have the numbers 0 to `targets`; the logouts' follow.
pub(super) async fn run(servers: &mut Servers, options: &Options) -> Result<Beside> {
    let file = TokenFile::write(options.targets)?;
    let mut run = Run::begin(servers, options).await?;
    let idle_mib = idle(&mut run.client, &run.stage).await?;
    let (alone, cpu_per_s) = run.alone().await?;
    println!("logouts alone: done");
    let incidence = run.incidence(alone.end(), &file, cpu_per_s).await?;
    let logouts = alone.published_us.len() + incidence.logouts.published_us.len();
    run.settle(servers, logouts).await?;
    println!("incident of {} targets: done", options.targets);

    tokio::time::sleep(Duration::from_secs(2)).await;
    let (peak_mib, end_mib) = (memory_mib(run.client.pid, "VmHWM"), memory_mib(run.client.pid, "VmRSS"));
    accounts::check(&run.stage, &mut servers.provider, options.targets, logouts).await?;
    let latest_us = servers.provider.latest_us().await?;
    let incident = Incident::of(
        &run.stage,
        &run.reader,
        incidence.opened_us,
        options.targets,
        incidence.cpu,
        &incidence.samples,
    )
    .await?;
    let arrived_us = incidence.opened_us + (incident.all_denied_s * 1e6) as i64;
    let figures = |stream: &Stream, until_us: i64| run.figures(stream, &latest_us, until_us);
    let (alone, beside, arriving) = (
        figures(&alone, i64::MAX)?,
        figures(&incidence.logouts, i64::MAX)?,
        figures(&incidence.logouts, arrived_us)?,
    );
    let course = course(&incidence.samples, options.targets);
    run.end(servers).await?;
    Ok(Beside { alone, beside, arriving, incident, course, idle_mib, peak_mib, end_mib })
}

impl<'r> Run<'r> {
    async fn begin(servers: &mut Servers, options: &'r Options) -> Result<Self> {
        let stage = Stage::raise(servers).await?;
        Contender::Worker.prepare(&stage).await?;
        let reader = stage.reader().await?;
        stage.calm().await?;
        servers.provider.reset().await?;
        let client = Client::start(Contender::Worker, &stage, &servers.provider.url)?;
        Ok(Self {
            options,
            stage,
            reader,
            client,
            url: servers.provider.url.clone(),
            provider_pid: servers.provider.pid,
        })
    }

    /// Returns what they cost a second, too.
    async fn alone(&self) -> Result<(Stream, Cpu)> {
        let (first, count) = (self.options.targets, self.options.rate * (self.options.seconds + 1));
        let (before, began) = (self.cpu(), Instant::now());
        let bodies = (first..first + count).map(load::event);
        let published_us = load::at_rate(&self.stage.producer, bodies, self.options.rate).await?;
        let cpu_per_s = self.cpu().since(before).times(1.0 / began.elapsed().as_secs_f64());
        Ok((Stream { first, published_us }, cpu_per_s))
    }

    /// Logouts from one second before the incident is opened until its last target is revoked.
    async fn incidence(&mut self, first: u32, file: &TokenFile, cpu_per_s: Cpu) -> Result<Incidence> {
        let stop = Arc::new(AtomicBool::new(false));
        let logouts =
            tokio::spawn(until_stopped(self.stage.producer.clone(), first, self.options.rate, stop.clone()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (before, began, opened_us) = (self.cpu(), Instant::now(), now_us());
        let mut command = open(&self.stage, &self.url, INCIDENT);
        command.arg(file.path());
        let samples =
            until_revoked(&self.stage, &mut self.client, self.options.targets, tokio::spawn(done(command)))
                .await?;
        let cpu = self.cpu().since(before).since(cpu_per_s.times(began.elapsed().as_secs_f64()));
        stop.store(true, Ordering::Relaxed);
        Ok(Incidence { logouts: Stream { first, published_us: logouts.await?? }, samples, cpu, opened_us })
    }

    /// Waits until everything is denied, received by the provider, and on record.
    async fn settle(&mut self, servers: &mut Servers, logouts: usize) -> Result {
        let tokens = self.options.targets as usize + 2 * logouts;
        let start = Instant::now();
        while self.reader.told().denied < tokens as u64
            || servers.provider.posts().await? < tokens as u64
            || !Contender::Worker.has_recorded(&self.stage, 0).await?
        {
            self.client.check("everything to be denied and on record", start)?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Of the stream's logouts that were published until then.
    fn figures(&self, stream: &Stream, latest_us: &[i64], until_us: i64) -> Result<Logouts> {
        let published = stream.published_us.partition_point(|at| *at <= until_us);
        let (from, warm_up) = (&stream.published_us[..published], self.options.rate as usize);
        let denied_us = self.reader.told().requested.all_us(stream.first..stream.end())?;
        let revoked_us = latest_us
            .get(stream.first as usize..stream.end() as usize)
            .ok_or("a logout did not reach the provider")?;
        let logouts = from.len().saturating_sub(warm_up);
        Ok(Logouts {
            logouts,
            denied: spread(from, &denied_us, warm_up),
            revoked: spread(from, revoked_us, warm_up),
        })
    }

    fn cpu(&self) -> Cpu {
        Cpu::now([self.client.pid], self.provider_pid)
    }

    async fn end(self, servers: &Servers) -> Result {
        self.client.stop().await?;
        self.reader.stop().await?;
        self.stage.strike(servers).await
    }
}

impl Stream {
    fn end(&self) -> u32 {
        self.first + u32::try_from(self.published_us.len()).unwrap_or(u32::MAX)
    }
}

async fn until_stopped(producer: Producer, first: u32, rate: u32, stop: Arc<AtomicBool>) -> Result<Vec<i64>> {
    let bodies = (first..).take_while(|_| !stop.load(Ordering::Relaxed)).map(load::event);
    load::at_rate(&producer, bodies, rate).await
}
