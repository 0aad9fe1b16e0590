//! A verifier in a process of its own, so that its memory is counted apart.

use std::env;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Stdio;
use std::time::Instant;

use revocation_verifier::{Denylist, Options, StalenessPolicy};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::feed::Feed;
use crate::Result;
use crate::measure::memory_mib;

/// What it says of itself once it is ready.
#[derive(Serialize, Deserialize)]
pub(crate) struct Figures {
    /// From its process's first instruction to the end of the stream.
    ready_ms: f64,
    entries: u64,
    /// Resident memory when ready, and its peak until then.
    resident_mib: f64,
    peak_mib: f64,
    /// A digest of everything that it holds.
    contents: u64,
}

/// The process: prints its figures as a line of JSON.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run() -> Result {
    let start = Instant::now();
    let denylist =
        Denylist::connect(Options::new(env::var("AMQP_URL")?, "late", StalenessPolicy::FailClosed))?;
    denylist.ready().await;
    let ready_ms = start.elapsed().as_secs_f64() * 1e3;
    let memory = |what| memory_mib(std::process::id(), what);
    let (resident_mib, peak_mib) = (memory("VmRSS"), memory("VmHWM"));
    let figures = Figures {
        ready_ms,
        entries: denylist.figures().entries,
        resident_mib,
        peak_mib,
        contents: digest(&denylist.contents()),
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

impl Figures {
    /// Starts the process and fails unless it holds what the verifier that never stopped holds.
    pub(crate) async fn measure(feed: &Feed) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("verifier").env("AMQP_URL", feed.amqp_url()).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await?;
        let figures: Self = serde_json::from_slice(&output.stdout).map_err(|error| {
            format!("the verifier's process: {error}; {}", String::from_utf8_lossy(&output.stderr))
        })?;
        if figures.contents == digest(&feed.contents()) {
            Ok(figures)
        } else {
            Err("the late verifier holds something else".into())
        }
    }
}

fn digest(contents: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    contents.hash(&mut hasher);
    hasher.finish()
}
