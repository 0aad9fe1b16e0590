//! The result: tables of the medians, and of the medians of the rounds' ratios.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::contender::Contender;
use crate::drain::Drain;
use crate::latency::Latency;
use crate::measure::{median, median_ratio};
use crate::{Options, sizing};

/// A figure of a run, for the median over the runs.
type Figure<T> = fn(&T) -> f64;

const DRAIN: [(&str, Figure<Drain>); 8] = [
    ("events/s", |run| run.events_per_s),
    ("all CPU", |run| run.cpu.total()),
    ("client CPU", |run| run.cpu.client),
    ("broker CPU", |run| run.cpu.broker),
    ("Postgres CPU", |run| run.cpu.postgres),
    ("provider CPU", |run| run.cpu.provider),
    ("peak MiB", |run| run.peak_mib),
    ("start ms", |run| run.start_ms),
];

const COST: [(&str, Figure<Drain>); 7] = [
    ("messages", |run| run.messages),
    ("message bytes", |run| run.message_bytes),
    ("WAL bytes", |run| run.writes.wal_bytes),
    ("row writes", |run| run.writes.rows),
    ("HOT share", |run| run.writes.hot_share()),
    ("dead rows", |run| run.writes.dead_rows),
    ("commits", |run| run.writes.commits),
];

const LATENCY: [(&str, Figure<Latency>); 9] = [
    ("denied p50", |run| run.denied.p50_ms),
    ("p99", |run| run.denied.p99_ms),
    ("revoked p50", |run| run.revoked.p50_ms),
    ("p99", |run| run.revoked.p99_ms),
    ("confirmed p50", |run| run.confirmed.map_or(f64::NAN, |spread| spread.p50_ms)),
    ("p99", |run| run.confirmed.map_or(f64::NAN, |spread| spread.p99_ms)),
    ("Postgres CPU", |run| run.cpu.postgres),
    ("writing commits", |run| run.writing_commits),
    ("idle MiB", |run| run.idle_mib),
];

/// Prints the drains at each latency of the provider, then the latencies at each rate.
pub(crate) fn print(options: &Options, drains: &[Drain], latencies: &[Latency]) {
    for latency_ms in &options.latency {
        let of: Vec<&Drain> = drains.iter().filter(|run| run.load.latency_ms == *latency_ms).collect();
        let events = options.events;
        println!(
            "\nDrain of {events} events, 2 tokens each, provider {latency_ms} ms; CPU in s for 1,000 events\n"
        );
        println!("{}", table(&DRAIN, &of, |run| run.contender));
        println!("\nThe same drains, for each event\n");
        println!("{}", table(&COST, &of, |run| run.contender));
    }
    let shipped = options.latency.first();
    let worker = drains.iter().filter(|run| run.contender == Contender::Worker);
    let worker: Vec<_> = worker.filter(|run| shipped.is_some_and(|ms| run.load.latency_ms == *ms)).collect();
    if !worker.is_empty() {
        println!("\nThe worker's first of these drains, times so many logouts of 2 tokens a second\n");
        println!("{}", sizing::table(&worker));
    }
    for rate in &options.rate {
        let of: Vec<&Latency> = latencies.iter().filter(|run| run.rate == *rate).collect();
        if !of.is_empty() {
            println!(
                "\nAt {rate} events/s for {} s; ms from publishing, CPU in s for 1,000 events\n",
                options.seconds
            );
            println!("{}", table(&LATENCY, &of, |run| run.contender));
        }
    }
    if options.json {
        println!("{}", as_json(options, drains, latencies));
    }
}

/// The medians of each contender, and the worker's ratio to each other one.
fn table<T>(figures: &[(&str, Figure<T>)], runs: &[&T], contender: fn(&T) -> Contender) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([""].into_iter().chain(figures.iter().map(|(name, _)| *name)));
    let of = |wanted: Contender, figure: Figure<T>| {
        runs.iter().filter(|run| contender(run) == wanted).map(|run| figure(run)).collect::<Vec<_>>()
    };
    let mut row = |label: String, value: &dyn Fn(Figure<T>) -> f64| {
        let values = figures.iter().map(|(_, figure)| number(value(*figure)));
        table.add_row([label].into_iter().chain(values));
    };
    let present = |wanted: &Contender| runs.iter().any(|run| contender(run) == *wanted);
    for one in Contender::ALL.into_iter().filter(present) {
        row(one.name().to_owned(), &|figure| median(&of(one, figure)));
    }
    let worker = Contender::Worker;
    let others = Contender::ALL.into_iter().filter(|other| *other != worker && present(other));
    for other in others.filter(|_| present(&worker)) {
        row(format!("worker / {}", other.name()), &|figure| {
            median_ratio(&of(worker, figure), &of(other, figure))
        });
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Three or four significant digits.
pub(crate) fn number(value: f64) -> String {
    match value {
        value if !value.is_finite() => "-".to_owned(),
        value if value.abs() >= 100.0 => format!("{value:.0}"),
        value if value.abs() >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn as_json(options: &Options, drains: &[Drain], latencies: &[Latency]) -> Value {
    let Options { rounds, seconds, bound, .. } = options;
    json!({ "rounds": rounds, "seconds": seconds, "bound": bound, "drains": drains, "latencies": latencies })
}

/// Prints logouts alone, those beside something else, and the ratio of the two.
pub(crate) fn compare(name: &str, idle: &[Latency], beside: &[Latency]) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["ms, medians of the rounds", "denied p50", "denied p99", "revoked p50", "revoked p99"]);
    let figures: [fn(&Latency) -> f64; 4] = [
        |run| run.denied.p50_ms,
        |run| run.denied.p99_ms,
        |run| run.revoked.p50_ms,
        |run| run.revoked.p99_ms,
    ];
    let of = |runs: &[Latency]| figures.map(|figure| median(&runs.iter().map(figure).collect::<Vec<_>>()));
    let (alone, with) = (of(idle), of(beside));
    let ratios: Vec<f64> = with.iter().zip(alone).map(|(with, alone)| with / alone).collect();
    for (what, row) in [("alone", &alone[..]), (name, &with), ("ratio", &ratios)] {
        table.add_row([what.to_owned()].into_iter().chain(row.iter().map(|value| number(*value))));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
}
