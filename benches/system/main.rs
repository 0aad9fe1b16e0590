//! Drains a pre-loaded queue through the worker and through a bare loop, in turn, on one private RabbitMQ and
//! Postgres, and prints what each costs; or measures verifiers, a mass revocation, poison tokens, or one
//! publisher's worst minute. `docs/benchmark.md` says what is measured and how.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its result")]

mod bare;
mod client;
mod drain;
mod latency;
mod load;
mod mass;
mod measure;
mod poison;
mod provider;
mod report;
mod stage;
mod verifiers;
mod worst;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use client::Contender;
use stage::Servers;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Drains a pre-loaded queue through the worker and through a bare loop, in turn.
#[derive(Parser)]
#[command(name = "system", bin_name = "cargo bench --bench system --features sandbox --")]
struct Options {
    /// Events in the queue at the start of a drain; each names two tokens.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    events: u32,
    /// How often each contender runs.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Events a second of the latency part.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Length of the latency part in seconds, after one second of warm-up; 0 leaves it out.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Milliseconds that the pretend provider takes to answer.
    #[arg(long, default_value_t = 0)]
    provider_ms: u64,
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

#[tokio::main]
async fn compare(options: &Options) -> Result {
    let contenders = options.only.map_or(vec![Contender::Bare, Contender::Worker], |only| vec![only]);
    let mut servers = Servers::boot(options.provider_ms).await?;
    let (mut drains, mut latencies) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        for contender in contenders.iter().copied() {
            drains.push(drain::run(&mut servers, contender, options.events).await?);
            if options.seconds > 0 {
                latencies.push(latency::run(&mut servers, contender, options.rate, options.seconds).await?);
            }
            println!("round {round} of {}: {} done", options.rounds, contender.name());
        }
    }
    report::print(options, &drains, &latencies)
}
