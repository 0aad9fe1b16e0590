//! The provider clients against a scripted provider on loopback: bytes on the wire, answers, faults, secrecy.

#![cfg(test)]

mod bearer;
mod discovery;
mod faults;
mod global_token_revocation;
mod hydra;
mod keycloak;
mod kick_users;
mod limits;
mod okta;
mod probe;
#[path = "../scripted_idp/mod.rs"]
mod scripted_idp;
mod secrecy;
mod settings;
mod setup;
mod support;
mod tls;
mod verdicts;
mod verify;
mod wire;
