//! revocation-worker

pub mod app;
pub mod broker;
pub mod cli;
pub mod config;
pub mod event;
pub mod failpoint;
pub mod http;
pub mod invalidation;
pub mod outcome;
pub mod provider;
pub mod retry;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod seal;
pub mod store;
pub mod target;
pub mod telemetry;
pub mod worker;
