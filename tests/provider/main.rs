//! The provider clients against a scripted provider on loopback: bytes on the wire, answers, faults, secrecy.

#![cfg(test)]

mod discovery;
mod faults;
mod limits;
mod probe;
#[path = "../scripted_idp/mod.rs"]
mod scripted_idp;
mod secrecy;
mod settings;
mod setup;
mod tls;
mod verdicts;
mod verify;
mod wire;
