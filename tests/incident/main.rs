//! Mass revocations through real servers and real processes: withheld, steered, throttled, in outages, and
//! killed at any moment.
#![cfg(test)]
#![cfg(feature = "sandbox")]

mod approval;
mod approval_rule;
mod bounds;
mod cancelled;
mod cutoffs;
mod fleet_rate;
mod handles;
#[path = "../harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "each test binary uses its part of the harness")]
mod harness;
mod kills;
mod outage;
mod page;
mod page_browser;
#[path = "../commands/program.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod program;
mod provider;
mod publishers;
mod put_back;
mod rates;
mod rates_of_a_fleet;
mod retry_after;
mod roles;
mod scene;
mod servers_away;

use harness::scripted_idp;
