//! What this worker knows of the incidents under way: how operators steer them, and how much of each it may
//! do.
//!
//! Polled from Postgres a few times a second (`fleet`), so that a pause, a throttle or an approval takes
//! effect on every worker within that time.
//!
//! | state | denials of what arrives | in Postgres | in memory, waiting for a call |
//! |---|---|---|---|
//! | running | published | claimed, at the throttle's rate where there is one | called in turn |
//! | paused | published | left there ([`Incidents::shares`]) | handed back at no cost ([`Incident::turn`]) |
//! | awaiting approval | withheld, and published with the approval (`withheld`) | left there | handed back |
//! | cancelled | the event is refused | given up (`tend`) | handed back, and given up |
//!
//! A call that is under way ends, and its result is recorded, whatever the state.

pub(super) mod approval;
pub(super) mod excess;
mod fuse;
mod incident;
pub(super) mod tend;
pub(super) mod withheld;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, SetOnce, watch};

pub(super) use incident::{Arrival, IncidentState, Share};
pub use incident::{Incident, IncidentGuard};

use self::fuse::Ordered;
use crate::store::ActiveIncident;

/// All that are under way.
#[derive(Default)]
pub struct Incidents {
    known: Mutex<HashMap<String, Arc<Incident>>>,
    /// Set when Postgres was asked for the first time, whatever came of it.
    asked: SetOnce<()>,
    /// Somebody has reason to poll before it is time.
    changed: Notify,
    /// Whether an incident that may go on has denials that are not published.
    withheld: watch::Sender<bool>,
}

impl Incidents {
    /// Waits until the incidents were looked up once, or could not be.
    pub async fn known(&self) {
        self.asked.wait().await;
    }

    /// They were looked up, or could not be.
    pub fn note_asked(&self) {
        // Set the first time; later it is.
        drop(self.asked.set(()));
    }

    /// Asks for a poll at once.
    pub fn hurry(&self) {
        self.changed.notify_one();
    }

    /// Waits for [`Incidents::hurry`].
    pub async fn hurried(&self) {
        self.changed.notified().await;
    }

    /// Waits until an incident that may go on has denials that are not published.
    pub async fn approved(&self) {
        let mut withheld = self.withheld.subscribe();
        // The sender lives as long as this.
        drop(withheld.wait_for(|withheld| *withheld).await);
    }

    /// The names of those that wait for a second person.
    pub fn awaiting_approval(&self) -> Vec<String> {
        let known = self.lock();
        let waiting = known.values().filter(|incident| incident.state() == IncidentState::AwaitingApproval);
        waiting.map(|incident| incident.name().to_owned()).collect()
    }

    /// A poll begins: what is committed from here on may not be in what it finds.
    pub fn begin_poll(&self) {
        self.lock().values().for_each(|incident| incident.polled().fuse.begin_poll());
    }

    /// Takes over what Postgres says; an incident that is not listed any more has ended.
    pub fn update(&self, active: Vec<ActiveIncident>, workers: i64) {
        let mut known = self.lock();
        let mut now: HashMap<String, Arc<Incident>> = HashMap::with_capacity(active.len());
        for row in active {
            let incident = known.remove(&row.incident).unwrap_or_else(|| Incident::new(&row.incident));
            incident.update(row, workers);
            now.insert(incident.name().to_owned(), incident);
        }
        // Not on record yet, or ended: more of it is on its way there.
        let arriving = known.drain().filter(|(_, incident)| {
            let mut polled = incident.polled();
            polled.fuse.settle();
            polled.fuse.is_arriving()
        });
        now.extend(arriving);
        let withheld = now.values().any(|incident| incident.may_be_denied());
        *known = now;
        drop(known);
        self.withheld.send_replace(withheld);
    }

    /// Whether what is on record of it was read.
    pub fn is_known(&self, name: &str) -> bool {
        self.lock().get(name).is_some_and(|incident| incident.polled().fuse.is_known())
    }

    /// Counts an event that has come. `found` is what was read for it where it was not known. See
    /// [`Incident::arrive`].
    fn arrive(
        &self,
        name: &str,
        found: Option<ActiveIncident>,
        order: &Ordered,
        above: i64,
    ) -> (Arrival, bool) {
        // Under the lock, so that no poll forgets the incident meanwhile.
        let mut known = self.lock();
        let incident = known.entry(name.to_owned()).or_insert_with(|| Incident::new(name));
        if let Some(row) = found.filter(|_| !incident.polled().fuse.is_known()) {
            incident.update(row, 1);
        }
        incident.arrive(order, above)
    }

    /// The incident of this name; one that was not heard of yet runs.
    pub fn of(&self, name: &str) -> Arc<Incident> {
        self.lock().entry(name.to_owned()).or_insert_with(|| Incident::new(name)).clone()
    }

    /// What to claim of each incident that runs, of `room` targets in all.
    pub fn shares(&self, room: usize) -> Vec<Share> {
        let running: Vec<_> =
            self.lock().values().filter(|incident| incident.may_be_revoked()).cloned().collect();
        let mut shares: Vec<_> = running.into_iter().map(Incident::share).collect();
        shares.retain(|share| share.most > 0 && !share.providers.is_empty());
        let each = (room / shares.len().max(1)).max(1);
        shares.iter_mut().for_each(|share| share.most = share.most.min(each));
        shares
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Incident>>> {
        // Nothing under this lock can panic half-way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
