//! Verifiers beside a worker: a real RabbitMQ, a real Postgres, a scripted provider.
#![cfg(test)]
#![cfg(feature = "sandbox")]

mod gate;
#[path = "../harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "each test binary uses its part of the harness")]
mod harness;

use harness::scripted_idp;
