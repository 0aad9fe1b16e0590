//! What a person should know of how everything stands: what may still work, what is wrong, what waits for
//! somebody, and the command to type. The command `status` and the page say it alike.

mod incident;
pub mod mint;
mod operation;
mod provider;
mod target;
mod truth;
mod verifiers;
mod wrong;

use std::fmt;

pub use incident::{asked, call_for_action};
pub use operation::operation;
pub use provider::{RESTART, breaker};
pub use target::target;
pub use truth::{Truth, truth};
pub use verifiers::{silent, unapplied};
pub use wrong::{refused, wrong};

/// A thing that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is, as a sentence without its end.
    pub says: String,
    /// What to type about it, where there is something.
    pub command: Option<String>,
}

impl Finding {
    fn of(says: String) -> Self {
        Self { says, command: None }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.command {
            Some(command) => write!(f, "{}: {command}", self.says),
            None => f.write_str(&self.says),
        }
    }
}
