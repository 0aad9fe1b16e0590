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
/// So long after an event that needs an approval, what Postgres says of its incident may be from before it was committed.
const DOUBT: Duration = Duration::from_secs(2);

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
    /// Targets in memory.
    in_memory: AtomicI64,
}

#[derive(Default)]
struct Seen {
    steering: Steering,
    received: i64,
    /// Targets that have come and are not committed; that were committed since the last look began; and before that, but not before its own snapshot.
    arrived: i64,
    landed: i64,
    settling: i64,
    approved_up_to: Option<i64>,
    approved: Vec<Kind>,
    approved_asking: i64,
    asking: i64,
    /// When an event came that needs an approval which is not on record.
    doubted: Option<Instant>,
    hot: i64,
    withheld: bool,
    providers: Vec<String>,
    /// This worker's part of the throttle.
    rate: Option<f64>,
    /// When the calls made so far are paid for at that rate.
    paid_until: Option<Instant>,
    /// Counts the changes of the rate.
    era: u64,
}

/// What an event orders.
pub struct Ordered {
    /// Kinds that need an approval, its own and those that its incident is said to have.
    pub asks: Vec<Kind>,
    /// Its own targets of those kinds, and those that its incident is said to have.
    pub asking: i64,
    /// See `asking`.
    pub asking_expected: Option<i64>,
    /// Its own targets.
    pub targets: i64,
    /// Those that its incident is said to have.
    pub declared: i64,
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

    /// A look begins: what is committed from here on may not be in what it finds.
    pub fn begin_look(&self) {
        self.lock().values().for_each(|incident| incident.seen().begin_look());
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
        let arriving = known.drain().filter(|(_, incident)| incident.is_arriving());
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

impl Incident {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), seen: Mutex::default(), in_memory: AtomicI64::new(0) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn update(&self, row: ActiveIncident, workers: i64) {
        let mut seen = self.seen();
        seen.settling = 0;
        seen.received = row.received;
        seen.asking = row.asking;
        seen.approved_asking = row.approved_asking;
        seen.doubted = seen.doubted.filter(|since| since.elapsed() <= DOUBT);
        seen.steering = Steering::parse(&row.state);
        seen.approved_up_to = Some(row.approved_up_to);
        seen.approved = row.approved_asks.iter().filter_map(|kind| Kind::parse(kind)).collect();
        seen.hot = row.hot;
        seen.withheld = row.withheld;
        seen.providers = row.providers;
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

    /// Whether it is not on record yet, as far as is known here, and about to be.
    fn is_arriving(&self) -> bool {
        let seen = self.seen();
        seen.arrived + seen.landed + seen.settling > 0
    }

    /// Counts `targets` that have arrived. Returns whether the incident has more now than one person may order, who may order `above`.
    pub fn arrive(&self, targets: i64, above: i64) -> bool {
        let mut seen = self.seen();
        seen.arrived += targets;
        seen.received + seen.arrived + seen.landed + seen.settling > seen.approved_up_to.unwrap_or(above)
    }

    /// `targets` that had arrived are committed, or were known before.
    pub fn land(&self, targets: i64, is_new: bool) {
        let mut seen = self.seen();
        seen.arrived -= targets;
        seen.landed += if is_new { targets } else { 0 };
    }

    /// Whether what is ordered was approved: so many targets, all of these kinds and so many of them.
    pub fn is_approved(&self, order: &Ordered) -> bool {
        let seen = self.seen();
        let asking = order.asking_expected.unwrap_or(0).max(seen.asking + order.asking);
        let covers = asking <= seen.approved_asking && order.asks.iter().all(|kind| seen.approved.contains(kind));
        seen.approved_up_to.is_some_and(|most| order.declared <= most) && (order.asks.is_empty() || covers)
    }

    /// An event has come that needs an approval: until Postgres has had time to know of it, what else comes is taken to wait for it too.
    pub fn doubt(&self) {
        self.seen().doubted = Some(Instant::now());
    }

    /// Whether what comes now is to be denied at once, as far as the incident is concerned.
    pub fn denies_at_once(&self) -> bool {
        let seen = self.seen();
        seen.doubted.is_none() && matches!(seen.steering, Steering::Running | Steering::Paused)
    }

    /// Takes a seat for a target in memory.
    pub fn seat(self: &Arc<Self>) -> Seat {
        self.in_memory.fetch_add(1, Ordering::Relaxed);
        Seat(self.clone())
    }

    fn share(self: Arc<Self>) -> Share {
        let seen = self.seen();
        let ahead = seen.rate.map_or(usize::MAX, |rate| (rate * AHEAD.as_secs_f64()).ceil() as usize);
        let room = ahead.saturating_sub(usize::try_from(self.in_memory.load(Ordering::Relaxed)).unwrap_or(0));
        let (providers, lets_in) = (seen.providers.clone(), seen.hot < MOST_HOT);
        drop(seen);
        Share { incident: self, providers, most: room, lets_in }
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
    fn begin_look(&mut self) {
        self.settling += std::mem::take(&mut self.landed);
    }

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
