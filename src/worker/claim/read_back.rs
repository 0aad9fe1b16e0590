//! What was leased ahead, read back from Postgres as memory gets room for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::reopen::set_to_work;
use super::{HANDFUL, TARGETS};
use crate::event::Lane;
use crate::store::StoreError;
use crate::target::Scope;
use crate::worker::ahead::Group;
use crate::worker::parts::Worker;

/// Of the room that there is, half: the rest is for what is due in Postgres. Returns whether there is likely
/// more to be read at once.
pub(super) async fn read_back(worker: &Arc<Worker>) -> Result<bool, StoreError> {
    let (mut groups, mut room, mut is_more) = (Vec::new(), HashMap::new(), false);
    for (name, admission) in &worker.ports.admissions {
        // Whoever may call the provider first, or has room, takes them on.
        worker.hand_back(match admission.rejects(Scope::Token) {
            true => worker.live.ahead.take_all(name),
            false => worker.live.ahead.take_overdue(name, Instant::now()),
        });
        let most = admission.wanted(Lane::Interactive, Scope::Token).min(TARGETS) / 2;
        let taken = worker.live.ahead.take(name, most);
        let targets = taken.iter().map(|group| group.ids().count()).sum();
        if targets == 0 {
            continue;
        }
        match admission.room(Lane::Interactive, targets) {
            Some(permits) => {
                is_more |= targets >= HANDFUL as usize && targets >= most;
                room.insert((name.clone(), Lane::Interactive), permits);
                groups.extend(taken);
            }
            None => worker.hand_back(taken),
        }
    }
    if groups.is_empty() {
        return Ok(false);
    }
    let ids: Vec<_> = groups.iter().flat_map(Group::ids).collect();
    match worker.ports.store.read_back(worker.number(), &ids).await {
        Ok(targets) => {
            set_to_work(worker, targets, room);
            Ok(is_more)
        }
        Err(error) => {
            worker.hand_back(groups);
            Err(error)
        }
    }
}
