//! Prometheus's own checker.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs promtool in `ops/`; fails with what it says where it finds something.
pub(crate) fn promtool(arguments: &[&str], input: &str) -> Result<(), String> {
    let mut command = Command::new("promtool");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ops");
    let piped = command.args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn().expect("promtool is missing: ./dev setup");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("write to it");
    let ended = child.wait_with_output().expect("wait for it");
    let said = String::from_utf8_lossy(&[ended.stdout.as_slice(), &ended.stderr].concat()).into_owned();
    if ended.status.success() { Ok(()) } else { Err(said) }
}
