//! What a format's reader is told beside the body.

use time::OffsetDateTime;

use super::{Origin, Rules};

/// How a body came, and by which rules it is read.
pub(super) struct Receipt<'a> {
    pub(super) origin: &'a Origin,
    pub(super) rules: &'a Rules,
    /// When the delivery was received.
    pub(super) at: OffsetDateTime,
}
