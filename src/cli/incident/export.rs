//! `incident export`: everything that is on record of an incident, in one signed file.

mod file;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use revocation_evidence::{self as evidence, Archive, FORMAT, Hash, Manifest, SigningKey};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use self::file::Target;
use super::{Name, unknown};
use crate::cli::CommandError;
use crate::cli::interrupt::interruption;
use crate::cli::operator::{Operator, open_store};
use crate::cli::output::{say, say_json};
use crate::config::{Environment, ExportSettings};
use crate::store::{Rows, Snapshot, Store};

/// Options of `incident export`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    incident: Name,
    /// Where to write it [default: NAME.tar in the current directory]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file where there is one
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    operator: Operator,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The content of `incident.json`.
#[derive(Serialize)]
struct Incident<'a> {
    format: &'static str,
    program_version: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    exported_at: OffsetDateTime,
    exported_by: &'a str,
    incident: &'a RawValue,
}

/// What was written.
struct Written {
    manifest: Manifest,
    bytes: u64,
    sha256: Hash,
}

/// Members with rows, in the archive's order.
const ROWS: [Rows; 5] =
    [Rows::Revocations, Rows::Attempts, Rows::Operations, Rows::Verifiers, Rows::Propagation];

pub(super) async fn run(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    let settings = ExportSettings::load(path, &Environment::of_process())?;
    let store = open_store(&settings.database).await?;
    let interrupted = interruption()?;
    let exported = tokio::select! {
        exported = export(&store, &settings.signing_key, args) => exported,
        () = interrupted.cancelled() => Err(CommandError::failed("interrupted; no file was written")),
    };
    store.close().await;
    let (target, written) = exported?;
    say_written(&target, &written, args.json);
    Ok(())
}

/// The order is recorded first, so that it is in the archive, and again with the file's digest, which cannot
/// be.
async fn export(store: &Store, key: &SigningKey, args: &Args) -> Result<(PathBuf, Written), CommandError> {
    let name = &args.incident.name;
    if !store.has_incident(name).await? {
        return Err(unknown(name));
    }
    let target = Target::new(args.out.as_deref(), name, args.force).map_err(CommandError::failed)?;
    let actor = args.operator.name();
    let ordered =
        json!({ "phase": "ordered", "file": target.path(), "key_fingerprint": key.signer().fingerprint });
    store.note_export(&actor, name, &ordered).await?;
    let mut snapshot = store.snapshot(name).await?.ok_or_else(|| unknown(name))?;
    let written = write(&mut snapshot, &target, key, &actor, name).await?;
    drop(snapshot);
    store.note_export(&actor, name, &detail(&target, &written)).await?;
    Ok((target.keep().map_err(CommandError::failed)?, written))
}

fn detail(target: &Target, written: &Written) -> serde_json::Value {
    json!({ "phase": "written", "file": target.path(), "bytes": written.bytes, "sha256": written.sha256,
            "rows": rows(&written.manifest), "key_fingerprint": written.manifest.signer.fingerprint })
}

fn rows(manifest: &Manifest) -> serde_json::Map<String, serde_json::Value> {
    manifest.members.iter().map(|member| (member.name.clone(), member.rows.into())).collect()
}

/// Writes the archive, then reads it again as an auditor would.
async fn write(
    snapshot: &mut Snapshot,
    target: &Target,
    key: &SigningKey,
    actor: &str,
    name: &str,
) -> Result<Written, CommandError> {
    let failed = |e: &io::Error| CommandError::failed(format!("write {}: {e}", target.path().display()));
    let bar = progress(snapshot).await?;
    let file = target.create().map_err(|e| failed(&e))?;
    let mut archive = Archive::new(io::BufWriter::with_capacity(1 << 20, file), name, snapshot.at);
    let incident = incident(snapshot, actor)?;
    let mut member = archive.begin().map_err(|e| failed(&e))?;
    member.line(&incident).and_then(|()| member.end()).map_err(|e| failed(&e))?;
    for part in ROWS {
        let mut member = archive.begin().map_err(|e| failed(&e))?;
        let mut rows = snapshot.rows(part);
        while let Some(row) = rows.try_next().await? {
            member.line(&row).map_err(|e| failed(&e))?;
            bar.inc(1);
        }
        member.end().map_err(|e| failed(&e))?;
    }
    let (manifest, mut out) = archive.finish(key).map_err(|e| failed(&e))?;
    bar.finish_and_clear();
    out.flush().and_then(|()| out.get_ref().sync_all()).map_err(|e| failed(&e))?;
    reread(target, key, manifest).map_err(|e| failed(&e))
}

fn incident(snapshot: &Snapshot, actor: &str) -> Result<String, CommandError> {
    let row = RawValue::from_string(snapshot.incident.clone()).map_err(CommandError::failed)?;
    let exported_at = snapshot.at.replace_nanosecond(0).unwrap_or(snapshot.at);
    let incident = Incident {
        format: FORMAT,
        program_version: crate::VERSION,
        exported_at,
        exported_by: actor,
        incident: &row,
    };
    serde_json::to_string(&incident).map_err(CommandError::failed)
}

fn reread(target: &Target, key: &SigningKey, manifest: Manifest) -> io::Result<Written> {
    let verified = evidence::verify(target.open()?, &[key.public()])?;
    if !verified.findings.is_empty() || !verified.is_known {
        return Err(io::Error::other(format!(
            "what was written reads otherwise: {}",
            verified.findings.join("; ")
        )));
    }
    let (bytes, sha256) = evidence::digest(target.open()?)?;
    Ok(Written { manifest, bytes, sha256 })
}

/// On a terminal only: counting the rows takes a moment.
async fn progress(snapshot: &mut Snapshot) -> Result<ProgressBar, CommandError> {
    let bar = ProgressBar::new(0);
    if !bar.is_hidden() {
        bar.set_length(snapshot.expected().await?);
        if let Ok(style) =
            ProgressStyle::with_template("{wide_bar} {percent:>3} %  {human_pos} rows, {per_sec}  {eta} left")
        {
            bar.set_style(style);
        }
    }
    Ok(bar)
}

fn say_written(file: &Path, written: &Written, json: bool) {
    let Written { manifest, bytes, sha256 } = written;
    if json {
        let (rows, signer) = (rows(manifest), &manifest.signer);
        return say_json(
            &json!({ "file": file, "bytes": bytes, "sha256": sha256, "rows": rows, "signer": signer }),
        );
    }
    let lines = manifest.members.iter().map(|member| format!("{} {}", member.rows, member.name));
    say(format_args!("{}: {bytes} bytes; lines: {}", file.display(), lines.collect::<Vec<_>>().join(", ")));
    say(format_args!("sha256 {sha256}"));
    say(format_args!(
        "signed by key {}, fingerprint {}",
        manifest.signer.key_id, manifest.signer.fingerprint
    ));
}
