//! The `sandbox` command as a newcomer runs it: it ends with every token dead, says so, and leaves nothing
//! behind.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::Result;
use crate::running::{Running, sandbox};

/// A directory with every program of PATH but Node; it goes when dropped.
struct WithoutNode(PathBuf);

impl WithoutNode {
    fn new() -> Result<Self> {
        let programs =
            Self(std::env::temp_dir().join(format!("without-node-{}", uuid::Uuid::now_v7().simple())));
        fs::create_dir(&programs.0)?;
        let path = std::env::var_os("PATH").ok_or("no PATH")?;
        for entry in std::env::split_paths(&path).filter_map(|folder| fs::read_dir(folder).ok()).flatten() {
            let (program, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            let link = programs.0.join(&name);
            if !["node", "nodejs", "npm"].iter().any(|node| name == *node) && link.symlink_metadata().is_err()
            {
                std::os::unix::fs::symlink(program, link)?;
            }
        }
        Ok(programs)
    }
}

impl Drop for WithoutNode {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn every_token_dies_and_nothing_is_left_also_without_node() -> Result {
    let programs = WithoutNode::new()?;
    let mut command = sandbox(&["--users", "3", "--json"]);
    command.env("PATH", &programs.0);
    let mut demo = Running::start(command)?;
    let (mut output, mut error) = (String::new(), String::new());
    demo.child.stdout.take().ok_or("no output")?.read_to_string(&mut output)?;
    demo.child.stderr.take().ok_or("no errors")?.read_to_string(&mut error)?;
    assert!(demo.child.wait()?.success(), "{error}");
    let figures: Value = serde_json::from_str(&output)?;
    assert_eq!(figures["authorization_server"], "built-in");
    assert_eq!(
        (&figures["users"], &figures["tokens"], &figures["attempts"]),
        (&3.into(), &6.into(), &6.into())
    );
    assert_eq!(figures["left"], serde_json::json!({ "accepted": 0, "active": 0 }));
    assert_eq!(figures["bystander"], serde_json::json!({ "accepted": 1, "active": 2 }));
    let timelines = figures["timelines"].as_array().ok_or("no timelines")?;
    assert!(timelines.iter().all(|user| {
        ["service_refuses_ms", "provider_inactive_ms", "on_record_ms"].iter().all(|ms| user[ms].is_f64())
    }));
    assert!(demo.left()?.is_empty());
    Ok(())
}

/// Runs what the demo prints below a line with `what`, as a person would paste it.
fn follow(lines: &[String], what: &str) -> Result<String> {
    let heading = lines.iter().rposition(|line| line.contains(what)).ok_or(what)?;
    let command: Vec<&str> =
        lines[heading + 1..].iter().take_while(|line| line.starts_with("    ")).map(String::as_str).collect();
    let output = Command::new("sh").args(["-c", &command.join("\n")]).stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => Err(format!("{what}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

#[test]
fn kept_until_interrupted_then_all_gone() -> Result {
    let mut demo = Running::start(sandbox(&["--users", "1", "--keep"]))?;
    // Kept open: the demo has a last word to say.
    let mut output = BufReader::new(demo.child.stdout.take().ok_or("no output")?).lines();
    let lines = output.by_ref().map_while(std::result::Result::ok);
    let lines: Vec<String> = lines.take_while(|line| !line.contains("until Ctrl-C")).collect();
    let seen = lines.join("\n");
    assert!(seen.contains("npm's oidc-provider"), "{seen}");
    assert_eq!(follow(&lines, "the audit")?.matches("revoked").count(), 2);
    assert!(follow(&lines, "publish an event")?.contains("1 event published"));
    let deadline = Instant::now() + Duration::from_secs(60);
    while follow(&lines, "the audit")?.matches("revoked").count() < 4 {
        assert!(Instant::now() < deadline, "the bystander's logout is not on record");
    }
    assert!(
        follow(&lines, "order a mass revocation")?
            .contains("until a second person runs: revocation-worker incident approve demo")
    );
    while follow(&lines, "approve it").is_err() {
        assert!(Instant::now() < deadline, "the incident is not on record");
    }
    assert!(!demo.left()?.is_empty(), "the test does not see what runs");
    demo.interrupt()?;
    assert!(demo.child.wait()?.success(), "{seen}");
    assert_eq!(
        output.map_while(std::result::Result::ok).last().as_deref(),
        Some("Ending and removing everything.")
    );
    assert!(demo.left()?.is_empty());
    Ok(())
}

#[test]
fn interrupted_while_booting_leaves_nothing() -> Result {
    let mut demo = Running::start(sandbox(&[]))?;
    let mut first = String::new();
    BufReader::new(demo.child.stdout.take().ok_or("no output")?).read_line(&mut first)?;
    assert!(first.starts_with("Starting"), "{first}");
    demo.interrupt()?;
    let mut error = String::new();
    demo.child.stderr.take().ok_or("no errors")?.read_to_string(&mut error)?;
    assert_eq!(demo.child.wait()?.code(), Some(1), "{error}");
    assert!(error.contains("interrupted"), "{error}");
    assert!(demo.left()?.is_empty());
    Ok(())
}
