//! Drains a pre-loaded queue through the worker, a bare loop and a consumer in Go, in turn, on one private
//! RabbitMQ and Postgres, and prints what each costs; or prints the goals and what they came to; or measures
//! verifiers, a mass revocation, poison tokens, or one publisher's worst minute. `docs/performance.md` says
//! what is measured and how.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its result")]

mod bare;
mod bound;
mod client;
mod contender;
mod drain;
mod goals;
mod invalidation;
mod latency;
mod load;
mod mass;
mod measure;
mod peer;
mod poison;
mod provider;
mod report;
mod sizing;
mod stage;
mod verifiers;
mod worst;
mod writes;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use bound::Bound;
use contender::Contender;
use drain::Load;
use stage::Servers;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Drains a pre-loaded queue through the worker, a bare loop and a consumer in Go, in turn; then has events
/// come at steady rates.
#[derive(Parser)]
#[command(name = "system", bin_name = "cargo bench --bench system --features sandbox --")]
struct Options {
    /// Events in the queue at the start of a drain; each names two tokens.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    events: u32,
    /// How often each contender runs.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Milliseconds that the pretend provider takes to answer; a drain for each.
    #[arg(long, value_name = "MS", value_delimiter = ',', default_values_t = [0, 20])]
    latency: Vec<u64>,
    /// Events (bare loop, Go) or calls (worker) at the provider at once [default: 32 where it answers at
    /// once, else 256].
    #[arg(long)]
    concurrency: Option<u32>,
    /// The share of tokens whose first request fails in a drain, with 503.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    failing: f64,
    /// The queue that is bound to all invalidations, and read.
    #[arg(long, default_value = "quorum")]
    bound: Bound,
    /// Events a second of the latency part, at a provider that answers at once; a run for each.
    #[arg(long, value_delimiter = ',', default_values_t = [200, 2000],
        value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: Vec<u32>,
    /// Length of a run of the latency part in seconds, after one second of warm-up; 0 leaves it out.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Runs one contender alone.
    #[arg(long)]
    only: Option<Contender>,
    /// Adds the figures as a line of JSON.
    #[arg(long)]
    json: bool,
    /// Passed by `cargo bench`, and not by `cargo test`, which has nothing to do here.
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// Another measure, or what a process started by the benchmark itself does.
#[derive(Subcommand)]
enum Role {
    /// Prints the project's goals, and what each came to.
    Goals(goals::Options),
    /// Measures verifiers: how soon one that missed denials is ready, what it holds, how soon many refuse a
    /// token.
    Verifiers(verifiers::Options),
    /// Measures a mass revocation: logouts beside it, its own rate and cost, cutoffs before its backlog.
    Mass(mass::Options),
    /// Measures what tokens of somebody else do to the logouts beside them.
    Poison(poison::Options),
    /// Measures what one publisher's worst minute does to the logouts of another.
    Worst(worst::Options),
    /// A verifier in a process of its own.
    #[command(hide = true)]
    Verifier,
    /// The pretend provider.
    #[command(hide = true)]
    Provider {
        /// Milliseconds before each answer.
        delay_ms: u64,
    },
    /// The bare loop.
    #[command(hide = true)]
    Bare,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result {
    match options.role {
        Some(Role::Provider { delay_ms }) => provider::serve(Duration::from_millis(delay_ms)),
        Some(Role::Bare) => bare::run(),
        Some(Role::Verifier) => verifiers::process::run(),
        Some(Role::Goals(ref options)) => goals::run(options),
        Some(Role::Verifiers(ref options)) => verifiers::run(options),
        Some(Role::Poison(ref options)) => poison::run(options),
        Some(Role::Worst(ref options)) => worst::run(options),
        Some(Role::Mass(ref options)) => mass::run(options),
        None if options.bench => compare(options),
        None => {
            println!("run it with `cargo bench`");
            Ok(())
        }
    }
}

fn share(text: &str) -> std::result::Result<f64, String> {
    let share = text.parse().map_err(|_| "a number from 0 to 1 is wanted".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("it lies between 0 and 1".to_owned()) }
}

#[tokio::main]
async fn compare(options: &Options) -> Result {
    let contenders = options.only.map_or_else(Contender::present, |only| vec![only]);
    let mut servers = Servers::boot(0).await?;
    servers.bound = options.bound;
    let (mut drains, mut latencies) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        for latency_ms in options.latency.iter().copied() {
            for contender in contenders.iter().copied() {
                let mut load = Load::new(options.events, latency_ms);
                load.failing = options.failing;
                load.concurrency = options.concurrency.unwrap_or(load.concurrency);
                drains.push(drain::run(&mut servers, contender, load).await?);
            }
        }
        servers.at_once().await?;
        for rate in options.rate.iter().copied().filter(|_| options.seconds > 0) {
            for contender in contenders.iter().copied() {
                latencies.push(latency::run(&mut servers, contender, rate, options.seconds).await?);
            }
        }
        println!("round {round} of {} done", options.rounds);
    }
    report::print(options, &drains, &latencies);
    Ok(())
}
