//! What so many logouts a second take, by the worker's figures for one event.

use comfy_table::{CellAlignment, Table, presets};

use crate::drain::Drain;
use crate::measure::median;
use crate::report::number;

/// Logouts a second.
const RATES: [f64; 3] = [1e3, 1e4, 1e5];
/// Of the provider, for the calls at once.
const ANSWER_S: f64 = 0.02;
const TOKENS: f64 = 2.0;
const MEGABYTE: f64 = 1e6;

/// A quantity at a rate.
type Quantity = fn(rate: f64, of: &dyn Fn(fn(&Drain) -> f64) -> f64) -> f64;

const QUANTITIES: [(&str, Quantity); 9] = [
    ("worker cores", |rate, of| rate / 1000.0 * of(|run| run.cpu.client)),
    ("RabbitMQ cores", |rate, of| rate / 1000.0 * of(|run| run.cpu.broker)),
    ("Postgres cores", |rate, of| rate / 1000.0 * of(|run| run.cpu.postgres)),
    ("commits/s", |rate, of| rate * of(|run| run.writes.commits)),
    ("row writes/s", |rate, of| rate * of(|run| run.writes.rows)),
    ("WAL MB/s", |rate, of| rate * of(|run| run.writes.wal_bytes) / MEGABYTE),
    ("messages/s", |rate, of| rate * of(|run| run.messages)),
    ("message MB/s", |rate, of| rate * of(|run| run.message_bytes) / MEGABYTE),
    ("calls at once, 20 ms", |rate, _| rate * TOKENS * ANSWER_S),
];

/// Of the worker's drains.
pub(crate) fn table(drains: &[&Drain]) -> Table {
    let of = |figure: fn(&Drain) -> f64| median(&drains.iter().map(|run| figure(run)).collect::<Vec<_>>());
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["logouts/s".to_owned()].into_iter().chain(RATES.map(|rate| format!("{rate}"))));
    for (name, quantity) in QUANTITIES {
        table.add_row([name.to_owned()].into_iter().chain(RATES.map(|rate| number(quantity(rate, &of)))));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
