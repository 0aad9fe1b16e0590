//! What is measured in rounds, the contenders in turns: drains, steady rates, and two workers beside one.

use super::line::Limit::{AtLeast, AtMost};
use super::line::Line;
use super::{Options, Rows};
use crate::contender::Contender;
use crate::contender::Contender::{Bare, Go, Worker};
use crate::drain::{Drain, Load};
use crate::latency::Latency;
use crate::measure::{median, median_ratio};
use crate::report::number;
use crate::stage::Servers;
use crate::{Result, drain, latency};

/// Milliseconds of the provider.
const LATENCIES: [u64; 2] = [0, 20];
/// Events a second: usual, and much.
const USUAL: u32 = 200;
const MUCH: u32 = 2000;

/// The runs of one kind.
struct Runs<T>(Vec<(Contender, T)>);

impl<T> Runs<T> {
    fn of(&self, contender: Contender, figure: impl Fn(&T) -> f64) -> Vec<f64> {
        self.0.iter().filter(|(of, _)| *of == contender).map(|(_, run)| figure(run)).collect()
    }

    /// The worker's figure, of another one's; nothing where that one did not run.
    fn ratio(&self, what: &str, other: Contender, figure: impl Fn(&T) -> f64, unit: &str) -> Option<Line> {
        let (worker, of) = (self.of(Worker, &figure), self.of(other, &figure));
        let from = format!("{} of {} {unit}", number(median(&worker)), number(median(&of)));
        let what = format!("{what}, of the {}'s", if other == Go { "Go consumer" } else { "bare loop" });
        (!of.is_empty()).then(|| Line::plain(what, median_ratio(&worker, &of), from.trim_end()))
    }
}

pub(super) async fn run(
    servers: &mut Servers,
    options: &Options,
    contenders: &[Contender],
) -> Result<Vec<Line>> {
    let asked = |rows| options.rows.contains(&rows);
    let mut drains = LATENCIES.map(|_| Runs(Vec::new()));
    let (mut usual, mut much) = (Runs(Vec::new()), Runs(Vec::new()));
    for round in 1..=options.rounds {
        for (latency_ms, drains) in LATENCIES.into_iter().zip(&mut drains).filter(|_| asked(Rows::Drain)) {
            for contender in contenders.iter().copied() {
                let load = Load::new(options.events, latency_ms);
                drains.0.push((contender, drain::run(servers, contender, load).await?));
            }
        }
        servers.at_once().await?;
        // The bare loop has no goal here.
        let contenders = contenders.iter().copied().filter(|contender| *contender != Bare);
        for contender in contenders.filter(|_| asked(Rows::Latency)) {
            let (seconds, fewer) = (options.seconds, options.seconds.div_ceil(2));
            usual.0.push((contender, latency::run(servers, contender, USUAL, seconds).await?));
            if contender == Worker {
                much.0.push((contender, latency::run(servers, contender, MUCH, fewer).await?));
            }
        }
        println!("round {round} of {} done", options.rounds);
    }
    let mut lines = Vec::new();
    if asked(Rows::Drain) {
        lines.extend(LATENCIES.into_iter().zip(&drains).flat_map(|(ms, drains)| throughput(ms, drains)));
        lines.extend(cost(&drains[0]));
    }
    if asked(Rows::Latency) {
        lines.extend(at_rates(&usual, &much));
    }
    Ok(lines)
}

fn throughput(latency_ms: u64, drains: &Runs<Drain>) -> Vec<Line> {
    let what = format!("drain, provider {latency_ms} ms: events/s");
    let ratio = |other| drains.ratio(&what, other, |run| run.events_per_s, "");
    let bare = ratio(Bare).map(|line| line.must(AtLeast(0.75)).aim(AtLeast(1.0)));
    let go = ratio(Go).map(|line| line.must(AtLeast(2.0)).aim(AtLeast(2.5)));
    let messages = median(&drains.of(Worker, |run| run.messages));
    let messages = Line::plain(format!("drain, provider {latency_ms} ms: messages an event"), messages, "")
        .must(AtMost(0.1));
    [bare, go, Some(messages)].into_iter().flatten().collect()
}

/// At a provider that answers at once.
fn cost(drains: &Runs<Drain>) -> Vec<Line> {
    const UNIT: &str = "s for 1,000 events";
    let worker = drains.ratio("drain: worker CPU", Bare, |run| run.cpu.client, UNIT);
    let broker = drains.ratio("drain: RabbitMQ CPU", Bare, |run| run.cpu.broker, UNIT);
    let postgres = drains.ratio("drain: Postgres CPU", Go, |run| run.cpu.postgres, UNIT);
    let of = |figure: fn(&Drain) -> f64| median(&drains.of(Worker, figure));
    let rows = of(|run| run.writes.rows);
    let wal = format!("{} bytes of WAL", number(of(|run| run.writes.wal_bytes)));
    let commits = of(|run| 1000.0 * run.writes.commits);
    [
        worker.map(|line| line.must(AtMost(1.5)).aim(AtMost(1.0))),
        broker.map(|line| line.must(AtMost(1.3)).aim(AtMost(1.0))),
        postgres.map(|line| line.must(AtMost(0.5)).aim(AtMost(0.35))),
        Some(Line::plain("drain: row writes an event", rows, wal)),
        Some(Line::plain("drain: commits for 1,000 events", commits, "")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn at_rates(usual: &Runs<Latency>, much: &Runs<Latency>) -> Vec<Line> {
    let denied = |what, figure: fn(&Latency) -> f64| {
        let line = usual.ratio(what, Go, figure, "ms");
        line.map(|line| line.must(AtMost(0.8)).aim(AtMost(0.6)))
    };
    let p99 = |runs: &Runs<Latency>| runs.of(Worker, |run| run.denied.p99_ms);
    let (at_usual, at_much) = (p99(usual), p99(much));
    let from = format!("{} of {} ms", number(median(&at_much)), number(median(&at_usual)));
    let rise =
        Line::plain("2,000 events/s: denied p99, of that at 200", median_ratio(&at_much, &at_usual), from);
    let postgres =
        usual.ratio("200 events/s: Postgres CPU", Go, |run| run.cpu.postgres, "s for 1,000 events");
    let commits = median(&usual.of(Worker, |run| run.writing_commits));
    let idle = median(&usual.of(Worker, |run| run.idle_mib));
    [
        denied("200 events/s: denied p50", |run| run.denied.p50_ms),
        denied("200 events/s: denied p99", |run| run.denied.p99_ms),
        Some(rise.must(AtMost(3.0)).aim(AtMost(2.0))),
        postgres.map(|line| line.must(AtMost(2.5)).aim(AtMost(1.2))),
        Some(Line::plain("200 events/s: writing commits an event", commits, "").must(AtMost(2.0))),
        Some(Line::plain("memory, idle, MiB", idle, "").must(AtMost(64.0)).aim(AtMost(30.0))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(super) async fn two_workers(servers: &mut Servers, options: &Options) -> Result<Line> {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        for (processes, runs) in [(1, &mut one), (2, &mut two)] {
            let load = Load { processes, ..Load::new(options.events, 0) };
            runs.push(drain::run(servers, Worker, load).await?.events_per_s);
        }
        println!("round {round} of {} of two workers done", options.rounds);
    }
    let from = format!("{} of {}", number(median(&two)), number(median(&one)));
    Ok(Line::plain("drain by two workers: events/s, of one's", median_ratio(&two, &one), from)
        .must(AtLeast(1.0)))
}
