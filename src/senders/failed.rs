//! Why nothing is ordered.

use std::time::Duration;

use crate::receive::Refused;

/// Why nothing is ordered.
pub enum Failed {
    /// For good: the same again is refused again.
    Refused(Refused),
    /// For now; the sentence is for the log.
    Unavailable(String, Duration),
    /// The sender orders too much.
    OverRate(Duration),
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}
