//! Retries, parked targets that are due again, and work that others left: claimed from Postgres as far as
//! there is room.

mod read_back;
mod reopen;
mod wants;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::read_back::read_back;
use self::reopen::set_to_work;
use self::wants::wants_of_lane;
use super::parts::{Ports, Worker};
use crate::broker::{InHand, LOGOUT_QUEUE};
use crate::event::Lane;
use crate::store::{Claimed, Store, StoreError, Want};

/// Most targets a claim.
const TARGETS: usize = 500;
/// How often to poll while there is nothing to do.
const IDLE: Duration = Duration::from_millis(250);
/// How many polls pass between two sweeps of expired tokens.
const SWEEP_EVERY: u32 = 8;
/// Most statements of one such sweep.
const SWEEPS: u32 = 20;
/// Fewer are not worth a poll of their own.
const HANDFUL: i64 = 32;

/// How often mass revocations' targets are claimed while more of a mass revocation arrives: denials come
/// first, and what is revoked meanwhile takes processors and Postgres from them.
const WHILE_ARRIVING: Duration = Duration::from_secs(1);
/// With so many events of mass revocations in hand, more arrives.
const ARRIVING: usize = 3;

/// Runs until the worker stops.
pub(super) async fn run(worker: Arc<Worker>) {
    claim(&worker).await;
    worker.hand_back(worker.live.ahead.close());
}

async fn claim(worker: &Arc<Worker>) {
    let (mut polls, mut mass_at) = (0_u32, None::<Instant>);
    while !worker.live.stop.is_cancelled() {
        polls = polls.wrapping_add(1);
        let lanes = match mass_at.is_some_and(|at| at.elapsed() < WHILE_ARRIVING) && arrives(worker) {
            true => &[Lane::Interactive][..],
            false => &Lane::ALL,
        };
        if lanes.contains(&Lane::Mass) {
            mass_at = Some(Instant::now());
        }
        let is_more = match poll(worker, lanes, polls.is_multiple_of(SWEEP_EVERY)).await {
            Ok(is_more) => is_more,
            Err(error) => {
                tracing::debug!(%error, "claim");
                worker.live.postgres.note(false);
                false
            }
        };
        if !is_more {
            tokio::select! {
                () = tokio::time::sleep(IDLE) => {}
                () = worker.live.due.notified() => {}
                () = worker.live.stop.cancelled() => return,
            }
        }
    }
}

/// Whether a mass revocation is arriving.
fn arrives(worker: &Worker) -> bool {
    let of_mass = |queue: &&InHand| queue.queue != LOGOUT_QUEUE;
    worker.live.window.in_hand().iter().filter(of_mass).map(|queue| queue.messages).sum::<usize>() >= ARRIVING
}

/// Returns whether there is likely more to be had at once.
async fn poll(worker: &Arc<Worker>, lanes: &[Lane], sweep: bool) -> Result<bool, StoreError> {
    if sweep {
        expire(&worker.ports).await?;
    }
    let is_more_ahead = read_back(worker).await?;
    let shares = worker.live.incidents.shares(TARGETS);
    let (mut wants, mut room) = (Vec::new(), HashMap::new());
    for (name, admission) in &worker.ports.admissions {
        for &lane in lanes {
            let lane_wants = wants_of_lane(name, admission, lane, &shares);
            let most = lane_wants.iter().map(|want| usize::try_from(want.limit).unwrap_or(0)).sum();
            if let Some(permits) = (!lane_wants.is_empty()).then(|| admission.room(lane, most)).flatten() {
                wants.extend(lane_wants);
                room.insert((name.clone(), lane), permits);
            }
        }
    }
    if wants.is_empty() {
        return Ok(is_more_ahead);
    }
    let claimed = worker.ports.store.claim(worker.number(), &wants).await?;
    worker.live.postgres.note(worker.ports.store.refuses_writes().is_none());
    let is_more = Lane::ALL.into_iter().any(|lane| is_more(lane.as_str(), &wants, &claimed));
    set_to_work(worker, claimed, room);
    Ok(is_more || is_more_ahead)
}

/// As much was found as was asked for, or somebody had all that they could have beside others; and no mere
/// handful.
fn is_more(lane: &str, wants: &[Want<'_>], claimed: &[Claimed]) -> bool {
    let (mut found, mut shares) = (0, HashMap::new());
    for target in claimed.iter().filter(|target| target.lane == lane) {
        found += 1;
        if let Some(quota) = target.quota {
            *shares.entry((target.want, target.party)).or_insert(quota) -= 1;
        }
    }
    let wanted: i64 =
        wants.iter().filter(|want| want.lane == lane && want.is_likely).map(|want| want.limit).sum();
    found >= HANDFUL && (found * 2 >= wanted || shares.into_values().any(|left| left <= 0))
}

/// Ends what died of age, all of it: a claim passes over what is not ended yet.
async fn expire(ports: &Ports) -> Result<(), StoreError> {
    for _ in 0..SWEEPS {
        let expired = ports.store.expire().await?;
        ports.metrics.expired(expired);
        if expired < Store::EXPIRED_AT_ONCE {
            break;
        }
    }
    Ok(())
}
