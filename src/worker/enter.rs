//! Step 0: find a usable schema and register. Denials do not wait for it; everything that writes does.

use std::sync::Arc;

use super::Worker;
use crate::VERSION;
use crate::again::Again;
use crate::store::{OTHER_PEOPLE, Registration, SchemaError, WorkerNo};

/// Registers; each failure that may pass is logged and tried again. Then waits for the stop.
pub(super) async fn run(worker: Arc<Worker>, migrate: bool) -> Result<(), SchemaError> {
    let mut again = Again::until(&worker.stop);
    while !worker.stop.is_cancelled() {
        match register(&worker, migrate).await {
            Ok(number) => {
                tracing::info!(
                    instance = worker.instance,
                    worker = number.0,
                    version = VERSION,
                    "worker started"
                );
                worker.note_database(true);
                // Set once, here.
                drop(worker.number.set(number));
                worker.stop.cancelled().await;
            }
            Err(SchemaError::Store(error)) if error.is_passing() => {
                worker.note_database(false);
                // Denials of incidents must not wait for it.
                worker.incidents.note_asked();
                tracing::warn!(%error, failures = again.failed(), "database not ready; trying again");
                again.rest().await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Approvals go by what the database was told. That is no reason to stay away.
async fn compare_people(worker: &Worker) {
    let Some(people) = &worker.people else { return };
    match worker.store.is_told(people).await {
        Ok(true) => {}
        Ok(false) => tracing::warn!("{OTHER_PEOPLE}"),
        Err(error) => tracing::warn!(%error, "cannot tell whether [people] is what the database was told"),
    }
}

async fn register(worker: &Worker, migrate: bool) -> Result<WorkerNo, SchemaError> {
    if migrate {
        worker.store.migrate(worker.people.as_ref()).await?;
    } else {
        worker.store.check_schema().await?;
    }
    let registration = Registration { instance: &worker.instance, version: VERSION, lease: worker.lease };
    let (number, reading) = worker.store.register(&registration).await?;
    worker.learn_time(reading);
    if !migrate {
        compare_people(worker).await;
    }
    Ok(number)
}
