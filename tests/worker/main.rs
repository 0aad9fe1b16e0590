//! The worker as a process, between a real RabbitMQ, a real Postgres and a scripted provider.
#![cfg(test)]
#![cfg(feature = "sandbox")]

mod accepting;
#[path = "../harness/mod.rs"]
#[expect(dead_code, reason = "each test binary uses its part of the harness")]
mod harness;
mod logout;
mod refused;
#[path = "../scripted_idp/mod.rs"]
#[expect(dead_code, reason = "each test binary uses its part of the scripted provider")]
mod scripted_idp;
