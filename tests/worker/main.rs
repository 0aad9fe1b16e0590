//! The worker as a process, between a real RabbitMQ, a real Postgres and a scripted provider.
#![cfg(all(test, feature = "sandbox"))]

#[cfg(feature = "failpoints")]
mod crash;
#[path = "../harness/mod.rs"]
#[expect(dead_code, reason = "each test binary uses its part of the harness")]
mod harness;
mod logout;
mod outage;
mod provider_faults;
mod replicas;
#[path = "../scripted_idp/mod.rs"]
#[expect(dead_code, reason = "each test binary uses its part of the scripted provider")]
mod scripted_idp;
