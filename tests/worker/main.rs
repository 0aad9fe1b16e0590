//! The worker as a process, between a real RabbitMQ, a real Postgres and a scripted provider.
#![cfg(test)]
#![cfg(feature = "sandbox")]

mod ahead;
mod beats;
mod clock_set_back;
mod clocks;
mod core_dumps;
#[cfg(feature = "failpoints")]
mod crash;
mod endpoints;
mod floods;
mod frames;
mod full;
mod gathering;
#[path = "../harness/mod.rs"]
#[expect(dead_code, reason = "each test binary uses its part of the harness")]
mod harness;
mod hostile;
mod identity;
mod identity_over_time;
mod identity_parts;
mod incident_schema;
mod lifetimes;
mod logout;
mod messages;
mod migrations;
mod no_probe;
mod no_yes;
mod one_write;
mod ops;
mod other_formats;
mod outage;
mod poison;
mod poison_wide;
mod products;
mod provider_faults;
mod reach;
mod receive;
mod receive_global;
mod receive_hostile;
#[cfg(feature = "failpoints")]
mod receive_killed;
mod receive_places;
mod receive_signals;
mod refused;
mod replicas;
mod reports_away;
mod retry_after;
mod schema;
mod secrecy;
mod shares;
mod signed;
mod sockets;
mod tokens;
mod topology;
mod traces;
mod unreadable;
mod unstorable;
mod upgrade;
mod verifier_owners;
mod verifiers;
mod views;
mod window;

use harness::scripted_idp;
