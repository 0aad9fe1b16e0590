//! Mass revocations through real servers and real processes: withheld, steered, throttled, in outages, and killed at any moment.
#![cfg(test)]
#![cfg(feature = "sandbox")]

#[path = "../harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "each test binary uses its part of the harness")]
mod harness;
#[path = "../commands/program.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod program;
mod approval;
mod provider;
mod scene;

use harness::scripted_idp;
