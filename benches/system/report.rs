//! The result: a table of every run, the medians, and the median of the rounds' ratios.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::client::Contender;
use crate::drain::Drain;
use crate::latency::Latency;
use crate::measure::median;
use crate::{Options, Result};

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

const LATENCY: [(&str, Figure<Latency>); 7] = [
    ("denied p50", |run| run.denied.p50_ms),
    ("p99", |run| run.denied.p99_ms),
    ("revoked p50", |run| run.revoked.p50_ms),
    ("p99", |run| run.revoked.p99_ms),
    ("confirmed p50", |run| run.confirmed.map_or(f64::NAN, |spread| spread.p50_ms)),
    ("p99", |run| run.confirmed.map_or(f64::NAN, |spread| spread.p99_ms)),
    ("idle MiB", |run| run.idle_mib),
];

/// Prints it.
pub(crate) fn print(options: &Options, drains: &[Drain], latencies: &[Latency]) -> Result {
    println!("\nDrain of {} events, 2 tokens each; CPU in seconds for 1,000 events\n", options.events);
    println!("{}", table(&DRAIN, drains, |run| run.contender));
    if !latencies.is_empty() {
        println!("\nAt {} events/s for {} s; milliseconds from publishing\n", options.rate, options.seconds);
        println!("{}", table(&LATENCY, latencies, |run| run.contender));
    }
    if options.json {
        println!("{}", as_json(options, drains, latencies));
    }
    Ok(())
}

fn table<T>(figures: &[(&str, Figure<T>)], runs: &[T], contender: fn(&T) -> Contender) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([""].into_iter().chain(figures.iter().map(|(name, _)| *name)));
    let row = |label: &str, value: &dyn Fn(Figure<T>) -> f64| {
        let values = figures.iter().map(|(_, figure)| number(value(*figure)));
        [label.to_owned()].into_iter().chain(values).collect::<Vec<_>>()
    };
    for run in runs {
        table.add_row(row(contender(run).name(), &|figure| figure(run)));
    }
    let of = |wanted: Contender, figure: Figure<T>| {
        runs.iter().filter(|run| contender(run) == wanted).map(figure).collect::<Vec<_>>()
    };
    let (bare, worker) = (Contender::Bare, Contender::Worker);
    for wanted in [bare, worker].into_iter().filter(|wanted| runs.iter().any(|run| contender(run) == *wanted))
    {
        table.add_row(row(&format!("median {}", wanted.name()), &|figure| median(&of(wanted, figure))));
    }
    if [bare, worker].iter().all(|wanted| runs.iter().any(|run| contender(run) == *wanted)) {
        // Round by round, so that what disturbs a round disturbs both sides of its ratio.
        let ratios = |figure| {
            of(worker, figure)
                .into_iter()
                .zip(of(bare, figure))
                .map(|(worker, bare)| worker / bare)
                .collect::<Vec<_>>()
        };
        table.add_row(row("worker / bare", &|figure| median(&ratios(figure))));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Three or four significant digits.
pub(crate) fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "-".to_owned(),
        value if value.abs() >= 100.0 => format!("{value:.0}"),
        value if value.abs() >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn as_json(options: &Options, drains: &[Drain], latencies: &[Latency]) -> Value {
    let Options { events, rounds, rate, seconds, provider_ms, .. } = options;
    json!({
        "events": events, "rounds": rounds, "rate": rate, "seconds": seconds, "provider_ms": provider_ms,
        "drains": drains, "latencies": latencies })
}

/// Prints logouts alone, those beside something else, and the ratio of the two.
pub(crate) fn compare(name: &str, idle: &[Latency], beside: &[Latency]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
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
