//! `keygen`: makes a sealing key.

use super::CommandError;
use super::output::say;
use crate::seal;

/// Options of `keygen`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The key's id, stored beside each token that it seals [default: today's year and month]
    #[arg(long)]
    id: Option<String>,
}

/// Prints an entry for `sealing.keys` or SEALING_KEYS. Put a new one first; keep the old ones until nothing is sealed with them.
pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let now = time::OffsetDateTime::now_utc();
    let id = args.id.clone().unwrap_or_else(|| format!("{}-{:02}", now.year(), u8::from(now.month())));
    let key = seal::generate(&id).map_err(|e| CommandError::Usage(e.to_string()))?;
    say(key.expose());
    Ok(())
}
