//! What colours say; the words say it without them, too.

/// The sense of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
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
    pub fn of(word: &str) -> Self {
        // "stale: behind" is of the colour of "stale".
        match word.split(':').next().unwrap_or_default() {
            "parked" | "awaiting_approval" | "open" | "stale" | "contradicted" | "misconfigured" => {
                Self::Calls
            }
            "pending" | "paused" | "half_open" | "unsupported" | "transient" | "rejected" | "unknown"
            | "unverified" | "silent" => Self::Waits,
            "revoked" | "running" | "closed" | "live" | "accepted" | "already_invalid" | "verified"
            | "up to date" => Self::Fine,
            "expired" | "cancelled" | "finished" | "ended" => Self::Quiet,
            _ => Self::Plain,
        }
    }
}
