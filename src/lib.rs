//! revocation-worker

pub mod broker;
pub mod config;
pub mod event;
pub mod invalidation;
pub mod outcome;
pub mod provider;
pub mod retry;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod seal;
pub mod store;
pub mod target;
