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
mod bounds;
mod cutoffs;
mod fleet_rate;
mod handles;
mod kills;
mod outage;
mod provider;
mod retry_after;
mod scene;
mod servers_away;

use harness::scripted_idp;
