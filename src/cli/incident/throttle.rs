//! `incident throttle`: limits how many of its targets are revoked a second.

use super::Change;
use super::steering::steer;
use crate::cli::CommandError;
use crate::store::{Steering, Store};

/// Options of `incident throttle`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    limit: Limit,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Limit {
    /// Targets a second, over all workers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    rate: Option<i32>,
    /// No limit
    #[arg(long)]
    off: bool,
}

pub(super) async fn run(store: &Store, args: &Args) -> Result<(), CommandError> {
    steer(store, &args.change, &Steering::Throttle(args.limit.rate), None).await
}
