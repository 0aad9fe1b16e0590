//! Verifiers beside a worker: a real RabbitMQ, a real Postgres, a scripted provider.
#![cfg(test)]
#![cfg(feature = "sandbox")]

#[path = "../harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "each test binary uses its part of the harness")]
mod harness;
mod permissions;
mod python;

use harness::scripted_idp;
