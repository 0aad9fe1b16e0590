//! Verifiers: how long one takes to know what it missed, what that costs, and how soon many of them refuse a
//! token.

mod feed;
mod history;
pub(crate) mod live;
pub(crate) mod process;

use serde_json::json;

use crate::Result;
use crate::bound::Bound;
use crate::stage::Servers;
use feed::Feed;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Denials published, one a message, while the verifier is down.
    #[arg(long, default_value_t = 100_000)]
    missed: u32,
    /// Live entries, in messages of two and then of five hundred.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u32,
    /// Messages of the past before 100,000 live entries: half of them heartbeats in the log, half denials
    /// that have expired; 0 leaves them out.
    #[arg(long, default_value_t = 1_000_000)]
    history: u32,
    /// Verifiers with a connection each.
    #[arg(long, default_value_t = 20)]
    verifiers: usize,
    /// Logouts a second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Seconds of logouts, after one second of warm-up; 0 leaves them out.
    #[arg(long, default_value_t = 15)]
    seconds: u32,
}

#[tokio::main]
pub(crate) async fn run(options: &Options) -> Result {
    let mut servers = Servers::boot(0).await?;
    // Nobody would read what fills the feeds.
    servers.bound = Bound::None;
    for (name, entries, a_message) in [
        ("missed", options.missed, 1),
        ("live, two a message", options.entries, 2),
        ("live, 500 a message", options.entries, 500),
    ] {
        if entries > 0 {
            let feed = Feed::raise(&mut servers).await?;
            feed.deny(entries, a_message).await?;
            let figures = process::Figures::measure(&feed).await?;
            println!("{}", json!({ "feed": name, "entries": entries, "figures": figures }));
            feed.strike(&servers).await?;
        }
    }
    if options.history > 0 {
        println!("{}", history::run(&mut servers, options.history, 100_000).await?);
    }
    if options.seconds > 0 {
        servers.bound = Bound::Quorum;
        let spread = live::run(&mut servers, options.verifiers, options.rate, options.seconds).await?;
        println!(
            "{}",
            json!({
                "verifiers": options.verifiers, "logouts_per_s": options.rate, "seconds": options.seconds,
                "publish_to_refusal_at_all": spread,
            })
        );
    }
    Ok(())
}
