//! Verifiers on the feed of a real broker: what they know, when they know that they do not, what they refuse.
#![cfg(test)]
#![cfg(feature = "sandbox")]

mod beats;
mod catching_up;
mod clocks;
mod consumer;
mod consumers;
mod deleted_log;
mod door;
mod first_start;
mod gate;
mod gateways;
#[path = "../harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "each test binary uses its part of the harness")]
mod harness;
mod held_up;
mod killed_broker;
mod kinds;
mod lost_history;
mod permissions;
mod published;
mod refresh_tokens;
mod roles;
mod snapshots;
mod sockets;
mod source;
mod staleness;

use harness::scripted_idp;
