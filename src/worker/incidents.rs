//! What this worker knows of the incidents under way: how operators steer them, and how much of each it may do.
//!
//! Looked up in Postgres a few times a second, so that a pause, a throttle or an approval takes effect on every worker within that time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, SetOnce, watch};

use crate::store::ActiveIncident;
use crate::target::Kind;

/// Work of a throttled incident is taken on for this long ahead.
const AHEAD: Duration = Duration::from_secs(1);
/// Most targets of one incident in the hot index: beyond that, those that were tried come first.
const MOST_HOT: i64 = 20_000;

/// An event that needs a second person is on record, and looked at, by then.
const ON_RECORD: Duration = Duration::from_secs(5);

/// How an incident is steered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Steering {
    /// Its targets are revoked.
    #[default]
    Running,
    /// Nothing is denied or revoked until a second person approves.
    AwaitingApproval,
    /// Nothing is revoked; denials go on.
    Paused,
    /// Nothing more happens.
    Cancelled,
}

impl Steering {
    fn parse(state: &str) -> Self {
        match state {
            "running" => Self::Running,
            "paused" => Self::Paused,
            "cancelled" => Self::Cancelled,
            _ => Self::AwaitingApproval,
        }
    }
}

/// One incident, as this worker last saw it.
pub struct Incident {
    name: String,
    seen: Mutex<Seen>,
    /// Targets that came since it was last looked at.
    arrived: AtomicI64,
    /// Targets in memory.
    in_memory: AtomicI64,
}

#[derive(Default)]
struct Seen {
    steering: Steering,
    received: i64,
    approved_up_to: Option<i64>,
    approved: Vec<Kind>,
    hot: i64,
    withheld: bool,
    providers: Vec<String>,
    /// This worker's part of the throttle.
    rate: Option<f64>,
    /// When the calls made so far are paid for at that rate.
    paid_until: Option<Instant>,
    /// Counts the changes of the rate.
    era: u64,
    /// When an event last came that needs a second person; nothing once Postgres has told what became of it.
    asked_at: Option<Instant>,
}

/// A target's turn, at the rate of that time.
#[derive(Clone, Copy)]
pub struct Turn(u64);

/// One more target of an incident in memory, as long as it lives.
pub struct Seat(Arc<Incident>);

/// How much of an incident to claim.
pub struct Share {
    /// The incident.
    pub incident: Arc<Incident>,
    /// Providers with open targets.
    pub providers: Vec<String>,
    /// Most targets.
    pub most: usize,
    /// Whether targets may be let in that still wait for their turn.
    pub lets_in: bool,
}

/// All that are under way.
#[derive(Default)]
pub struct Incidents {
    known: Mutex<HashMap<String, Arc<Incident>>>,
    /// Set when Postgres was asked for the first time, whatever came of it.
    asked: SetOnce<()>,
    /// Somebody has reason to look before it is time.
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

    /// Asks whoever looks to look at once.
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
        let waiting = known.values().filter(|incident| incident.steering() == Steering::AwaitingApproval);
        waiting.map(|incident| incident.name.clone()).collect()
    }

    /// Takes over what Postgres says; an incident that is not listed any more has ended.
    pub fn update(&self, active: Vec<ActiveIncident>, workers: i64) {
        let mut known = self.lock();
        let mut now: HashMap<String, Arc<Incident>> = HashMap::with_capacity(active.len());
        for row in active {
            let incident = known.remove(&row.incident).unwrap_or_else(|| Incident::new(&row.incident));
            incident.update(row, workers);
            now.insert(incident.name.clone(), incident);
        }
        // Not on record yet: its first event is on its way there.
        let arriving = known.drain().filter(|(_, incident)| incident.arrived.swap(0, Ordering::Relaxed) > 0 || incident.has_just_asked());
        now.extend(arriving);
        let withheld = now.values().any(|incident| incident.may_be_denied());
        *known = now;
        drop(known);
        self.withheld.send_replace(withheld);
    }

    /// The incident of this name; one that was not heard of yet runs.
    pub fn of(&self, name: &str) -> Arc<Incident> {
        self.lock().entry(name.to_owned()).or_insert_with(|| Incident::new(name)).clone()
    }

    /// What to claim of each incident that runs, of `room` targets in all.
    pub fn shares(&self, room: usize) -> Vec<Share> {
        let running: Vec<_> = self.lock().values().filter(|incident| incident.may_be_revoked()).cloned().collect();
        let each = (room / running.len().max(1)).max(1);
        running.into_iter().map(|incident| incident.share(each)).filter(|share| share.most > 0 && !share.providers.is_empty()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Incident>>> {
        // Nothing under this lock can panic half-way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Incident {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), seen: Mutex::default(), arrived: AtomicI64::new(0), in_memory: AtomicI64::new(0) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn update(&self, row: ActiveIncident, workers: i64) {
        self.arrived.store(0, Ordering::Relaxed);
        let mut seen = self.seen();
        seen.steering = Steering::parse(&row.state);
        seen.received = row.received;
        seen.approved_up_to = Some(row.approved_up_to);
        seen.approved = row.approved_asks.iter().filter_map(|kind| Kind::parse(kind)).collect();
        seen.hot = row.hot;
        seen.withheld = row.withheld;
        seen.providers = row.providers;
        seen.asked_at = seen.asked_at.filter(|asked| asked.elapsed() < ON_RECORD);
        let rate = row.throttle_per_s.map(|rate| f64::from(rate) / workers.max(1) as f64);
        if seen.rate != rate {
            (seen.rate, seen.paid_until) = (rate, None);
            seen.era += 1;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing under this lock can panic half-way.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is steered.
    pub fn steering(&self) -> Steering {
        self.seen().steering
    }

    /// Whether targets may be revoked now: it runs, and all that is on record of it is denied.
    pub fn may_be_revoked(&self) -> bool {
        let seen = self.seen();
        seen.steering == Steering::Running && !seen.withheld
    }

    /// Whether denials that were withheld may be published now.
    fn may_be_denied(&self) -> bool {
        let seen = self.seen();
        seen.withheld && matches!(seen.steering, Steering::Running | Steering::Paused)
    }

    /// Counts `targets` that have arrived. Returns whether the incident has more now than one person may order, who may order `above`.
    pub fn arrive(&self, targets: i64, above: i64) -> bool {
        let arrived = self.arrived.fetch_add(targets, Ordering::Relaxed) + targets;
        let seen = self.seen();
        seen.received + arrived > seen.approved_up_to.unwrap_or(above)
    }

    /// An event needs a second person. What comes behind it is withheld too, though it may not be on record yet.
    pub fn ask(&self) {
        self.seen().asked_at = Some(Instant::now());
    }

    /// Whether an event that needs a second person came, and Postgres has not told yet what became of it.
    pub fn is_asking(&self) -> bool {
        self.seen().asked_at.is_some()
    }

    fn has_just_asked(&self) -> bool {
        self.seen().asked_at.is_some_and(|asked| asked.elapsed() < ON_RECORD)
    }

    /// Whether so many targets are approved, and all of these kinds.
    pub fn is_approved(&self, kinds: &[Kind], targets: i64) -> bool {
        let seen = self.seen();
        seen.approved_up_to.is_some_and(|most| targets <= most) && kinds.iter().all(|kind| seen.approved.contains(kind))
    }

    /// Takes a seat for a target in memory.
    pub fn seat(self: &Arc<Self>) -> Seat {
        self.in_memory.fetch_add(1, Ordering::Relaxed);
        Seat(self.clone())
    }

    fn share(self: Arc<Self>, most: usize) -> Share {
        let seen = self.seen();
        let ahead = seen.rate.map_or(usize::MAX, |rate| (rate * AHEAD.as_secs_f64()).ceil() as usize);
        let room = ahead.saturating_sub(usize::try_from(self.in_memory.load(Ordering::Relaxed)).unwrap_or(0));
        let (providers, lets_in) = (seen.providers.clone(), seen.hot < MOST_HOT);
        drop(seen);
        Share { incident: self, providers, most: most.min(room), lets_in }
    }

    /// Waits for the incident's own rate. Returns what [`Incident::may_go_on`] asks for; `None` where the target may not be revoked then.
    pub async fn turn(&self) -> Option<Turn> {
        let (wait, era) = {
            let mut seen = self.seen();
            (seen.pay(Instant::now()), seen.era)
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.may_be_revoked().then_some(Turn(era))
    }

    /// Whether a target may still be revoked that has had its turn: it may have waited for the provider meanwhile.
    pub fn may_go_on(&self, Turn(era): Turn) -> bool {
        self.may_be_revoked() && self.seen().era == era
    }
}

impl Seen {
    /// Pays for one call; returns how long to wait before it.
    fn pay(&mut self, now: Instant) -> Duration {
        let Some(rate) = self.rate.filter(|rate| *rate > 0.0) else {
            self.paid_until = None;
            return Duration::ZERO;
        };
        let at = self.paid_until.map_or(now, |paid| paid.max(now));
        self.paid_until = Some(at + Duration::from_secs_f64((1.0 / rate).min(3600.0)));
        at - now
    }
}

impl Seat {
    /// The incident.
    pub fn incident(&self) -> &Incident {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.in_memory.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
