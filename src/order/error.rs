//! Why a mass revocation is not ordered, or broke off.

/// With what to do about it: exit codes follow from that.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    /// What was given cannot be meant; nothing was published.
    #[error("{0}")]
    Usage(String),
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
}

impl OrderError {
    /// A failure with its text.
    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}
