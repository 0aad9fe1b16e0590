//! `incident pause` and `incident resume`.

use super::Change;
use super::steering::steer;
use crate::cli::CommandError;
use crate::store::{Steering, Store};

pub(super) async fn pause(store: &Store, args: &Change) -> Result<(), CommandError> {
    steer(store, args, &Steering::Pause, None).await
}

pub(super) async fn resume(store: &Store, args: &Change) -> Result<(), CommandError> {
    steer(store, args, &Steering::Resume, None).await
}
