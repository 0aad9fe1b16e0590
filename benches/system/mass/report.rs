//! The result in tables, one a question.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use super::Options;
use super::beside::{Beside, Logouts};
use super::cutoff::Cutoffs;
use crate::latency::Spread;
use crate::report::number;

type Row = (String, Vec<f64>);

/// Prints it.
pub(super) fn print(options: &Options, beside: &Beside, cutoffs: Option<&Cutoffs>) {
    let Options { targets, rate, provider_ms, seconds, json, .. } = options;
    println!(
        "\n{rate} logouts/s alone for {seconds} s, then beside an incident of {targets} targets; the \
            provider takes {provider_ms} ms"
    );
    println!("\nLogouts; milliseconds from publishing\n{}", logouts(beside));
    println!("\nThe incident; CPU in seconds for 1,000 targets\n{}", incident(beside));
    println!("\nIts course\n{}", course(beside));
    if let Some(cutoffs) = cutoffs {
        println!(
            "\nCutoffs before a backlog of {} messages; milliseconds until a verifier refuses\n{}",
            cutoffs.backlog,
            table_of_cutoffs(cutoffs)
        );
    }
    if *json {
        let figures = json!({
            "targets": targets, "rate": rate, "provider_ms": provider_ms, "seconds": seconds,
            "mass": beside, "cutoffs": cutoffs,
        });
        println!("{figures}");
    }
}

fn logouts(figures: &Beside) -> Table {
    let row = |Logouts { denied, revoked, .. }: &Logouts| {
        [*denied, *revoked].into_iter().flat_map(values).collect::<Vec<_>>()
    };
    let (alone, beside, arriving) = (row(&figures.alone), row(&figures.beside), row(&figures.arriving));
    let ratio = alone.iter().zip(&beside).map(|(alone, beside)| beside / alone).collect();
    let rows = [
        ("alone", alone),
        ("beside the incident", beside),
        ("beside / alone", ratio),
        ("while it arrives", arriving),
    ];
    table(
        &["denied p50", "p99", "max", "revoked p50", "p99", "max"],
        rows.map(|(name, values)| (name.to_owned(), values)),
    )
}

fn values(spread: Spread) -> [f64; 3] {
    [spread.p50_ms, spread.p99_ms, spread.max_ms]
}

fn incident(figures: &Beside) -> Table {
    let incident = &figures.incident;
    let denied = ["denied p50 ms", "denied p99 ms", "denied max ms"].into_iter().zip(values(incident.denied));
    let others = [
        ("all denied after s", incident.all_denied_s),
        ("all revoked after s", incident.seconds),
        ("targets/s", incident.targets_per_s),
        ("worker CPU", incident.cpu.client),
        ("broker CPU", incident.cpu.broker),
        ("Postgres CPU", incident.cpu.postgres),
        ("idle MiB", figures.idle_mib),
        ("peak MiB", figures.peak_mib),
        ("end MiB", figures.end_mib),
        ("hot index MiB", incident.due_index_mib),
        ("waiting index MiB", incident.waiting_index_mib),
    ];
    table(&[""], denied.chain(others).map(|(name, value)| (name.to_owned(), vec![value])))
}

fn course(figures: &Beside) -> Table {
    let row = |name: f64, values| (format!("{:.0} % finished", name * 100.0), values);
    table(
        &["targets/s", "worker MiB"],
        figures.course.iter().map(|at| row(at.share, vec![at.targets_per_s, at.worker_mib])),
    )
}

fn table_of_cutoffs(cutoffs: &Cutoffs) -> Table {
    let rows = [
        ("--sub", &cutoffs.subject),
        ("--client, from its opening", &cutoffs.client),
        ("--client, from its approval", &cutoffs.approved),
    ];
    table(
        &["median", "max"],
        rows.map(|(name, times)| (name.to_owned(), vec![times.median_ms, times.max_ms])),
    )
}

fn table(columns: &[&str], rows: impl IntoIterator<Item = Row>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([""].iter().chain(columns));
    for (name, values) in rows {
        table.add_row([name].into_iter().chain(values.into_iter().map(number)));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
