//! Why a worker does not start, or stops by itself.

use crate::broker::BrokerError;
use crate::provider::ProviderSetupError;
use crate::seal::SealError;
use crate::store::{SchemaError, StoreError};
use crate::worker::Ended;

/// Why the worker did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A setting that only its user can judge, such as a sealing key or a provider.
    #[error("{0}")]
    Setting(String),
    /// The schema is missing or old.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Postgres failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker refused, at start.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The address of a setting, such as `http.listen`, cannot be used.
    #[error("{0}: {1}")]
    Listen(&'static str, std::io::Error),
    /// A step ended that never should.
    #[error("the worker's step `{0}` ended unexpectedly; restarting the process is safe")]
    Step(&'static str),
}

impl From<SealError> for AppError {
    fn from(error: SealError) -> Self {
        Self::Setting(format!("sealing.keys: {error}"))
    }
}

impl From<ProviderSetupError> for AppError {
    fn from(error: ProviderSetupError) -> Self {
        Self::Setting(error.to_string())
    }
}

impl From<Ended> for AppError {
    fn from(Ended { step, error }: Ended) -> Self {
        error.map_or(Self::Step(step), Self::Schema)
    }
}

impl AppError {
    /// Whether it is the configuration's fault: exit code 2.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Setting(_))
    }
}
