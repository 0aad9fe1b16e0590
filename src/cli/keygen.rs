//! `keygen`: makes a sealing key, or a key that signs archives of incidents.

use super::CommandError;
use super::output::{remark, say};
use crate::config::signing_key;
use crate::seal;

/// Options of `keygen`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The key's id, stored beside each token that it seals and in each archive that it signs [default:
    /// today's year and month]
    #[arg(long)]
    id: Option<String>,
    /// Make a key for evidence.signing_key, and show its public key on standard error
    #[arg(long)]
    signing: bool,
}

/// Prints an entry for `sealing.keys` or SEALING_KEYS. Put a new one first; keep the old ones until nothing
/// is sealed with them.
///
/// With `--signing`, one for `evidence.signing_key` or EVIDENCE_SIGNING_KEY. Publish its fingerprint before
/// it signs anything.
pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let now = time::OffsetDateTime::now_utc();
    let id = args.id.clone().unwrap_or_else(|| format!("{}-{:02}", now.year(), u8::from(now.month())));
    let key = seal::generate(&id).map_err(|e| CommandError::Usage(e.to_string()))?;
    if args.signing {
        let signer = signing_key(&key).map_err(CommandError::failed)?.signer();
        remark(format_args!("public key  {}\nfingerprint {}", signer.public_key, signer.fingerprint));
    }
    say(key.expose());
    Ok(())
}
