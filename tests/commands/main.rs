//! The operators' commands as processes, on a real RabbitMQ and a real Postgres: exit codes, output, and what
//! they leave behind.
#![cfg(test)]
#![cfg(feature = "sandbox")]

mod audit;
mod audit_questions;
mod check;
mod check_expected;
mod check_limits;
mod check_rights;
mod check_servers;
mod checkpoints;
mod dead;
mod dead_ids;
mod errors;
mod evidence;
#[path = "../harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "each test binary uses its part of the harness")]
mod harness;
mod incident_approval;
mod incident_cancel;
mod incident_handles;
mod incident_identity;
mod incident_open;
mod incident_record;
mod incident_shown;
mod incident_upkeep;
mod incident_watch;
mod input;
mod left_alone;
mod log_format;
mod look;
mod program;
mod provider;
mod purge;
mod queue;
mod reconcile;
mod refused_writes;
mod retry;
mod roles;
mod status;
mod stream;
mod submit;
mod target;
mod target_show;

use harness::scripted_idp;
