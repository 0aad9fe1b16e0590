//! The goals of `docs/performance.md`, and what each came to on this machine.

mod fanout;
mod incident;
mod line;
mod overload;
mod rounds;
mod waiting;

use serde_json::json;

use crate::Result;
use crate::contender::Contender;
use crate::stage::Servers;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Groups of goals. Those that are not in the default take minutes each.
    #[arg(long, value_delimiter = ',', default_values = ["drain", "latency"])]
    rows: Vec<Rows>,
    /// How often each contender runs.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Events of a drain.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    events: u32,
    /// Seconds of events at 200 a second, with verifiers too; half as many at 2,000 a second.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Seconds of the overload.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    overload_seconds: u32,
    /// Events that wait.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..))]
    waiting: u32,
    /// Tokens of the incident.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..))]
    incident: u32,
    /// Verifiers, and readers of the broker's own fan-out.
    #[arg(long, default_value_t = 20)]
    verifiers: usize,
    /// Adds the figures as a line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Rows {
    /// Backlogs, at a provider that answers at once and at one that takes 20 ms.
    Drain,
    /// 200 and 2,000 events a second; idle memory.
    Latency,
    /// Three times what it can drain.
    Overload,
    /// A long queue: memory, and the rate at its start and its end.
    Waiting,
    /// Many verifiers, beside as many readers of the same messages.
    Fanout,
    /// The tokens of one incident.
    Incident,
    /// Two workers, beside one.
    Two,
}

#[tokio::main]
pub(crate) async fn run(options: &Options) -> Result {
    let asked = |rows| options.rows.contains(&rows);
    let mut servers = Servers::boot(0).await?;
    let mut lines = Vec::new();
    if asked(Rows::Drain) || asked(Rows::Latency) {
        let contenders = Contender::present();
        lines.extend(rounds::run(&mut servers, options, &contenders).await?);
    }
    if asked(Rows::Two) {
        lines.push(rounds::two_workers(&mut servers, options).await?);
    }
    if asked(Rows::Fanout) {
        lines.push(fanout::run(&mut servers, options).await?);
    }
    if asked(Rows::Incident) {
        lines.push(incident::run(&mut servers, options).await?);
    }
    if asked(Rows::Waiting) {
        lines.extend(waiting::run(&mut servers, options).await?);
    }
    if asked(Rows::Overload) {
        lines.extend(overload::run(&mut servers, options).await?);
    }
    println!("\n{}", line::table(&lines));
    if options.json {
        println!("{}", json!(lines));
    }
    Ok(())
}
