//! A mass revocation: what it does to the logouts beside it, whether it stays flat, and how soon a cutoff is
//! known in front of its backlog.

mod accounts;
mod backlog;
mod beside;
pub(crate) mod command;
mod cutoff;
mod incident;
mod report;
mod samples;

use crate::Result;
use crate::stage::Servers;

/// Most targets: they and the logouts beside them share one numbering.
const MOST_TARGETS: i64 = 10_000_000;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Refresh tokens of the incident.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=MOST_TARGETS))]
    targets: u32,
    /// Logouts a second, alone and beside the incident.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Milliseconds that the pretend provider takes to answer.
    #[arg(long, default_value_t = 20)]
    provider_ms: u64,
    /// Seconds of logouts alone, after one second of warm-up.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Cutoffs of each kind; 0 leaves them out.
    #[arg(long, default_value_t = 10)]
    cutoffs: u32,
    /// Adds the figures as a line of JSON.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
pub(crate) async fn run(options: &Options) -> Result {
    let mut servers = Servers::boot(options.provider_ms).await?;
    let beside = beside::run(&mut servers, options).await?;
    let cutoffs = match options.cutoffs {
        0 => None,
        _ => Some(cutoff::run(&mut servers, options).await?),
    };
    report::print(options, &beside, cutoffs.as_ref());
    Ok(())
}
