//! Finds a usable schema and registers. Denials do not wait for it; everything that writes does.

use std::sync::Arc;

use super::parts::Worker;
use crate::VERSION;
use crate::again::Again;
use crate::store::{OTHER_PEOPLE, Registration, SchemaError, WorkerNo};

/// Registers; each failure that may pass is logged and tried again. Then waits for the stop.
pub(super) async fn run(worker: Arc<Worker>, migrate: bool) -> Result<(), SchemaError> {
    let mut again = Again::until(&worker.live.stop);
    while !worker.live.stop.is_cancelled() {
        match register(&worker, migrate).await {
            Ok(number) => {
                tracing::info!(
                    instance = worker.me.instance,
                    worker = number.0,
                    version = VERSION,
                    "worker started"
                );
                worker.live.postgres.note(true);
                // Set once, here.
                drop(worker.me.number.set(number));
                worker.live.stop.cancelled().await;
            }
            Err(SchemaError::Store(error)) if error.is_passing() => {
                worker.live.postgres.note(false);
                // Denials of incidents must not wait for it.
                worker.live.incidents.note_asked();
                let failures = again.failed();
                tracing::warn!(%error, failures, "database not ready; trying again");
                again.rest().await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Approvals go by what the database was told. That is no reason to stay away.
async fn compare_people(worker: &Worker) {
    let Some(people) = &worker.rules.people else { return };
    match worker.ports.store.is_told(people).await {
        Ok(true) => {}
        Ok(false) => tracing::warn!("{OTHER_PEOPLE}"),
        Err(error) => tracing::warn!(%error, "cannot tell whether [people] is what the database was told"),
    }
}

async fn register(worker: &Worker, migrate: bool) -> Result<WorkerNo, SchemaError> {
    if migrate {
        worker.ports.store.migrate(worker.rules.people.as_ref()).await?;
    } else {
        worker.ports.store.check_schema().await?;
    }
    let registration =
        Registration { instance: &worker.me.instance, version: VERSION, lease: worker.me.lease };
    let (number, reading) = worker.ports.store.register(&registration).await?;
    worker.learn_time(reading);
    if !migrate {
        compare_people(worker).await;
    }
    Ok(number)
}
