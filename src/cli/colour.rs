//! What colours say; the words say it without them, too.

use std::io::{IsTerminal, stdout};

/// The sense of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// A person has to do something: red.
    Calls,
    /// It waits, or is not all that was asked for: yellow.
    Waits,
    /// It is as it should be: green.
    Fine,
    /// It needs no look: faint.
    Quiet,
    /// Nothing of these.
    Plain,
}

impl Colour {
    /// The colour of a state, an outcome, a proof, a breaker or an answer.
    pub(super) fn of(word: &str) -> Self {
        // "stale: behind" is of the colour of "stale".
        match word.split(':').next().unwrap_or_default() {
            "parked" | "awaiting_approval" | "open" | "stale" | "contradicted" | "misconfigured" => {
                Self::Calls
            }
            "pending" | "paused" | "half_open" | "unsupported" | "transient" | "rejected" | "unknown"
            | "unverified" | "silent" => Self::Waits,
            "revoked" | "running" | "closed" | "live" | "accepted" | "already_invalid" | "verified" => {
                Self::Fine
            }
            "expired" | "cancelled" | "finished" => Self::Quiet,
            _ => Self::Plain,
        }
    }

    /// A text in it, where colours are wanted.
    pub(super) fn paint(self, text: &str, coloured: bool) -> String {
        let code = match self {
            Self::Calls => "31",
            Self::Waits => "33",
            Self::Fine => "32",
            Self::Quiet => "2",
            Self::Plain => return text.to_owned(),
        };
        if coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Whether standard output shows colours, and they were not declined (<https://no-color.org>).
pub(super) fn are_wanted() -> bool {
    let is = |name: &str, value: &str| std::env::var_os(name).is_some_and(|given| given == value);
    let is_declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stdout().is_terminal() && !is_declined && !is("TERM", "dumb")
}
