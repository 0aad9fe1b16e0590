//! The worker's own commands, and the file of tokens that one of them reads.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::client::worker;
use crate::stage::Stage;
use crate::{Result, load};

/// The incident that is measured.
pub(crate) const INCIDENT: &str = "leak";
/// Who opens an incident, and who approves it.
const OPENER: &str = "soc-1";
const APPROVER: &str = "soc-2";

/// Refresh tokens in NDJSON, removed on drop.
pub(crate) struct TokenFile(PathBuf);

impl TokenFile {
    /// Tokens 0 to `targets`.
    pub(crate) fn write(targets: u32) -> Result<Self> {
        let file = Self(std::env::temp_dir().join(format!("revocation-bench-{}.ndjson", std::process::id())));
        let mut lines = BufWriter::new(File::create(&file.0)?);
        for number in 0..targets {
            writeln!(
                lines,
                r#"{{"token":"{}","token_type_hint":"refresh_token"}}"#,
                load::refresh_token(number)
            )?;
        }
        lines.flush()?;
        Ok(file)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        // What cannot be removed stays in the temporary directory.
        let _ = fs::remove_file(&self.0);
    }
}

/// `incident open` of what the caller adds.
pub(crate) fn open(stage: &Stage, url: &str, name: &str) -> Command {
    let mut command = worker("incident", stage, url);
    command.args(["open", name, "--reason", "token_theft", "--actor", OPENER, "--json"]);
    command
}

/// `incident approve` by somebody else.
pub(crate) fn approve(stage: &Stage, url: &str, name: &str) -> Command {
    let mut command = worker("incident", stage, url);
    command.args(["approve", name, "--actor", APPROVER, "--json"]);
    command
}

/// Runs it to its end.
pub(crate) async fn done(mut command: Command) -> Result {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "a command ended with {}: {} {}",
            output.status,
            said(&output.stdout),
            said(&output.stderr)
        )
        .into()),
    }
}
