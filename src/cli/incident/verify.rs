//! `incident verify`: whether a file is exactly what `incident export` wrote, and who signed it. Needs
//! neither database nor broker.

use std::fs::File;
use std::path::{Path, PathBuf};

use revocation_evidence::{self as evidence, PublicKey, Report, Verified};

use crate::cli::CommandError;
use crate::cli::output::{count, exact, printable, say, say_json};
use crate::config::{Environment, VerifySettings};

/// Options of `incident verify`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// What `incident export` wrote
    file: PathBuf,
    /// A key to trust, instead of the configured ones: the public key as `keygen --signing` printed it; may
    /// be given several times
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    public_key: Vec<PublicKey>,
    /// Accept a file that is intact, whoever signed it: compare the fingerprint yourself
    #[arg(long)]
    any_signer: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn public_key(text: &str) -> Result<PublicKey, &'static str> {
    PublicKey::parse(text).ok_or(
        "not an Ed25519 public key as `keygen --signing` prints it: base64 that begins with MCowBQYDK2VwAyEA",
    )
}

pub(super) fn run(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    let trusted = if args.public_key.is_empty() {
        VerifySettings::load(path, &Environment::of_process())?.trusted
    } else {
        args.public_key.clone()
    };
    let name = args.file.display();
    let file = File::open(&args.file).map_err(|e| CommandError::failed(format!("open {name}: {e}")))?;
    let verified =
        evidence::verify(file, &trusted).map_err(|e| CommandError::failed(format!("read {name}: {e}")))?;
    if args.json {
        say_json(&Report::of(&verified));
    } else {
        say_sentences(&verified);
    }
    verdict(&verified, args, trusted.is_empty())
}

fn say_sentences(verified: &Verified) {
    verified.findings.iter().for_each(|finding| say(printable(finding)));
    let Some(manifest) = verified.manifest.as_ref().filter(|_| verified.findings.is_empty()) else { return };
    let rows = |member: &evidence::Entry| format!("{} {}", member.rows, member.name);
    let at = exact(manifest.exported_at);
    say(printable(&format!("incident {}, exported at {at}: intact", manifest.incident)));
    say(format_args!("lines: {}", manifest.members.iter().map(rows).collect::<Vec<_>>().join(", ")));
    let known = if verified.is_known { "known" } else { "NOT KNOWN" };
    // The fingerprint is that of the key that verified: a false one is a finding.
    say(printable(&format!(
        "signer: {known}, key {}, fingerprint {}",
        manifest.signer.key_id, manifest.signer.fingerprint
    )));
}

fn verdict(verified: &Verified, args: &Args, trusts_nobody: bool) -> Result<(), CommandError> {
    let name = args.file.display();
    if !verified.findings.is_empty() {
        return Err(CommandError::failed(format!(
            "{name} is not what was exported: {}",
            count(verified.findings.len() as u64, "finding")
        )));
    }
    if verified.is_known || args.any_signer {
        return Ok(());
    }
    let whom = if trusts_nobody { "no key to trust was given" } else { "no trusted key signed it" };
    let remedy = "a forger can sign, too, with a key of their own: compare the fingerprint with the one that \
        was published before, and give the key as \
                  --public-key, or accept any with --any-signer";
    Err(CommandError::failed(format!("{name} is intact, but its signer is not known: {whom}; {remedy}")))
}
