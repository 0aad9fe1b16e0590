//! What verifiers are still owed: denials of workers that died, confirmations that never went out, and all
//! that a broker confirmed shortly before it was lost.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::announce::{Late, OVERLAP};
use super::parts::Worker;
use crate::invalidation::Phase;
use crate::store::{StoreError, Unconfirmed, WorkerNo};
use crate::target::TargetId;

/// How long what could not be published again rests. Heartbeats wait for it, but not for long.
const REST: Duration = Duration::from_millis(500);
/// Most targets a query.
const TARGETS: i64 = 500;
/// Most events a query that reads all targets of each.
const EVENTS: usize = 20;
/// How far from its last sign of life a dead worker's last events may lie. What is older it has noted, or the
/// broker delivers again.
const AROUND: time::Duration = time::Duration::minutes(2);

/// Denies what dead workers left undenied, once for each: a dead one accepts nothing more.
pub(super) async fn deny_all_owed(
    worker: &Worker,
    dead: &[WorkerNo],
    settled: &mut HashSet<WorkerNo>,
) -> Result<(), StoreError> {
    settled.retain(|known| dead.contains(known));
    for dead in dead {
        if !settled.contains(dead)
            && let Some(last_seen) = worker.ports.store.last_seen(*dead).await?
            && deny_owed(worker, *dead, floor(last_seen - AROUND)..floor(last_seen + AROUND)).await?
        {
            settled.insert(*dead);
        }
    }
    Ok(())
}

/// The smallest row id of events received at `at` or later.
fn floor(at: OffsetDateTime) -> Uuid {
    let millis = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    Uuid::from_u128(u128::from(millis) << 80)
}

/// Publishes the denials of a dead worker's events that are not known to be confirmed. Returns whether all of
/// them are now.
async fn deny_owed(worker: &Worker, dead: WorkerNo, rows: Range<Uuid>) -> Result<bool, StoreError> {
    let (mut after, mut all) = (None, true);
    loop {
        let owed = worker.ports.store.denials(dead, &rows, true, after, TARGETS).await?;
        let Some(last) = owed.last() else { return Ok(all) };
        after = Some(TargetId { event: last.event, ordinal: last.ordinal });
        let mut events: Vec<_> = owed.iter().map(|denial| denial.event).collect();
        events.dedup();
        if worker.ports.verifiers.publish(Phase::Requested, &owed).await {
            events.into_iter().for_each(|row| worker.note_denied(row, worker.ports.clock.now()));
        } else {
            all = false;
        }
    }
}

pub(super) async fn confirm_owed(worker: &Worker) -> Result<(), StoreError> {
    loop {
        let owed = worker.ports.store.unconfirmed(Unconfirmed::Missing, None, TARGETS).await?;
        if owed.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> =
            owed.iter().map(|denial| TargetId { event: denial.event, ordinal: denial.ordinal }).collect();
        if !worker.ports.verifiers.publish(Phase::Confirmed, &owed).await {
            return Ok(());
        }
        worker.ports.store.mark_confirmed(&ids, worker.ports.clock.now()).await?;
    }
}

/// After each loss of the broker, publishes again what it had confirmed for the events of the last minute,
/// until all of it is confirmed once more.
pub(super) async fn republish(worker: &Worker) {
    let mut losses = worker.ports.verifiers.publisher().losses();
    while losses.changed().await.is_ok() {
        let loss = *losses.borrow_and_update();
        let floor = floor(worker.ports.clock.now() - OVERLAP);
        for phase in [Phase::Requested, Phase::Confirmed] {
            while !republish_phase(worker, phase, floor).await {
                tokio::time::sleep(REST).await;
            }
        }
        while !republish_late(worker).await {
            tokio::time::sleep(REST).await;
        }
        worker.ports.verifiers.republished.send_replace(loss);
    }
}

/// The same for what was published late: after an approval, or after a subject's revocation.
async fn republish_late(worker: &Worker) -> bool {
    let verifiers = &worker.ports.verifiers;
    let late: HashSet<_> = verifiers.late.all().into_iter().collect();
    let events: Vec<_> = late.iter().map(|late| late.event()).collect::<HashSet<_>>().into_iter().collect();
    for events in events.chunks(EVENTS) {
        let Ok(denials) = worker.ports.store.denials_of(events).await else { return false };
        let (mut requested, mut confirmed) = (Vec::new(), Vec::new());
        for denial in denials {
            if late.contains(&Late::Cutoff(TargetId { event: denial.event, ordinal: denial.ordinal })) {
                confirmed.push(denial);
            } else if late.contains(&Late::Denial(denial.event)) {
                requested.push(denial);
            }
        }
        if !verifiers.publish(Phase::Requested, &requested).await
            || !verifiers.publish(Phase::Confirmed, &confirmed).await
        {
            return false;
        }
    }
    true
}

/// Returns whether everything was confirmed.
async fn republish_phase(worker: &Worker, phase: Phase, floor: Uuid) -> bool {
    let mut after = None;
    loop {
        let again = match phase {
            Phase::Requested => {
                worker
                    .ports
                    .store
                    .denials(worker.number(), &(floor..Uuid::max()), false, after, TARGETS)
                    .await
            }
            Phase::Confirmed => {
                worker
                    .ports
                    .store
                    .unconfirmed(Unconfirmed::Since(floor, worker.number()), after, TARGETS)
                    .await
            }
        };
        match again {
            Ok(again) => {
                let Some(last) = again.last() else { return true };
                after = Some(TargetId { event: last.event, ordinal: last.ordinal });
                if !worker.ports.verifiers.publish(phase, &again).await {
                    return false;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "look for what to publish again");
                return false;
            }
        }
    }
}
