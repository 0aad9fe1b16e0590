//! The provider clients against a scripted provider on loopback: bytes on the wire, answers, faults, secrecy;
//! and the worker at real authorization servers.
#![cfg(test)]
#![cfg(feature = "sandbox")]

mod bearer;
mod client_auth;
mod declared;
mod discovery;
mod echoes;
mod faults;
mod global_token_revocation;
#[path = "../harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "each test binary uses its part of the harness")]
mod harness;
mod hydra;
mod keycloak;
mod keys;
mod kick_users;
mod limits;
mod listing;
mod mutual_tls;
mod oidc;
mod oidc_clients;
mod okta;
mod probe;
mod products;
mod proofs;
mod receive_oidc;
mod recipes;
mod secrecy;
mod settings;
mod setup;
mod support;
mod tls;
mod verdicts;
mod verify;
mod wire;
mod written;

use harness::scripted_idp;
