//! Nobody but root gets at the worker's memory, where tokens and secrets are.

use std::process::Command;

use crate::harness::{Setup, Stage, eventually};

/// Without its capabilities root is a user like others, and sees no more than they do.
const WITHOUT: [&str; 3] = ["setpriv", "--bounding-set", "-all"];

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("run id");
    output.stdout == b"0\n"
}

/// `program`, where need be as a user like others.
fn plainly<'a>(program: &[&'a str]) -> Vec<&'a str> {
    if is_root() { [&WITHOUT[..], program].concat() } else { program.to_vec() }
}

/// Whether the user of process `pid` can read this of it.
fn can_read(pid: u32, what: &str) -> bool {
    let path = format!("/proc/{pid}/{what}");
    // Of a link the target counts, of a file its first byte: some are empty instead of closed.
    let script =
        r#"if [ -L "$1" ]; then readlink "$1" >/dev/null; else [ "$(head -c 1 "$1" | wc -c)" = 1 ]; fi"#;
    let words = plainly(&["sh", "-c", script, "sh", &path]);
    Command::new(words[0])
        .args(&words[1..])
        .stderr(std::process::Stdio::null())
        .status()
        .expect("run it")
        .success()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_environment_are_closed_to_the_workers_own_user() {
    let stage = Stage::new().await;
    let setup: Setup = stage.worker("http://127.0.0.1:9/revoke");
    let worker = if is_root() { setup.through(&WITHOUT) } else { setup }.start().await;
    let words = plainly(&["sleep", "600"]);
    let mut other = Command::new(words[0]).args(&words[1..]).spawn().expect("a process like others");
    eventually("it has become that process", async || {
        (std::fs::read_to_string(format!("/proc/{}/comm", other.id())).ok()? == "sleep\n").then_some(())
    })
    .await;
    for what in ["environ", "maps", "auxv", "exe", "cwd"] {
        assert!(can_read(other.id(), what), "{what} of another process is open: this test would see it");
        assert!(!can_read(worker.pid(), what), "{what}");
    }
    other.kill().and_then(|()| other.wait()).expect("end it");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", worker.pid())).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit");
    assert_eq!(core.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"]);
    assert!(!worker.log().contains("core dumps are not forbidden"));
}
