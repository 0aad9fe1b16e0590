//! The sandbox: private servers, and the command that shows the whole thing on them.
#![cfg(test)]
#![cfg(feature = "sandbox")]

mod demo;
mod running;
mod servers;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
