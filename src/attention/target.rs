//! What is said of one target: how it stands, why, and what to do about it.

use super::{Finding, mint};
use crate::store::RevocationRow;
use crate::visible::errors::brief;
use crate::visible::names::command;
use crate::visible::times::utc;

/// Sentences without their ends, and the commands to type.
pub fn target(row: &RevocationRow) -> Vec<Finding> {
    let id = &row.revocation_id;
    let of = |says: String, command: Option<String>| Finding { says, command };
    let next = row.next_attempt_at.as_deref().map(|at| utc(Some(at)));
    let why = row.last_error.as_deref().map_or_else(String::new, |error| format!(": {}", brief(error)));
    let retry = || Some(command("retry --id", "", id));
    let mut told = match (row.state.as_str(), next) {
        ("pending", Some(at)) => {
            vec![of(format!("it waits for its next attempt, due {at}{why}; to try it now"), retry())]
        }
        ("pending", None) => {
            vec![of(format!("a worker has it, or it waits for its incident's turn{why}"), None)]
        }
        ("parked", at) => vec![
            of(format!("it needs a person{why}"), None),
            of(
                format!(
                    "once that is mended, try it again (by itself: {})",
                    at.unwrap_or_else(|| "now".to_owned())
                ),
                retry(),
            ),
            of("or give it up".to_owned(), Some(command("target cancel --reason WHY", "", id))),
        ],
        ("revoked", _) => vec![of(proven(row.proof.as_deref()).to_owned(), None)],
        ("unsupported", _) => vec![of(
            format!("the provider cannot revoke it, verifiers refuse it until it expires{why}"),
            None,
        )],
        ("expired", _) => {
            vec![of("its own lifetime ended first: nothing is left to revoke".to_owned(), None)]
        }
        ("cancelled", _) => {
            vec![of("an operator gave it up; what was denied stays denied until it expires".to_owned(), None)]
        }
        _ => Vec::new(),
    };
    if mint::of(std::slice::from_ref(row)) > 0 {
        told.push(Finding::of(mint::ONE.to_owned()));
    }
    told
}

fn proven(proof: Option<&str>) -> &'static str {
    match proof {
        Some("already_invalid") => "the provider said that it was dead already",
        Some("verified") => "the provider accepted it, and introspection says that it is dead",
        _ => "the provider accepted it",
    }
}
